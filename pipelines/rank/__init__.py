"""`sparsewatch rank`: the features of a file ranked by their information about a label."""
