"""`sparsewatch wafers import`: wafer files read into a topic."""
