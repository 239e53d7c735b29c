"""`sparsewatch run` and `check`: what can be wrong is found first, then the graph is built and handed to a runner."""
