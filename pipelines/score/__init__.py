"""`sparsewatch score`: what a model says of the rows or wafers of files, without a broker."""
