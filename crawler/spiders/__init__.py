"""One spider per kind of source. A spider yields photos; fetching and keeping them is the pipeline's work."""
