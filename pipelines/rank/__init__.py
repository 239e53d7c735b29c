"""`sparsewatch rank`: the features of a file ranked by what they tell of a label."""
