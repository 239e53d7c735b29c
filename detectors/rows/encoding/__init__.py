"""Encoding of rows of mixed columns as a matrix."""
