"""Files of wafers and a table of labels become labelled Parquet, as `sparsewatch train wafer` reads it."""
