"""The demo: real photographs, as an archive would hold them."""
