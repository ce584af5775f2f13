"""A campaign of faults: jobs over an archive in a bucket, on a cluster, while things are killed and broken."""
