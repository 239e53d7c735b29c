"""One file a job: options, graph and command line."""
