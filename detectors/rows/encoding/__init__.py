"""Rows of mixed columns made into a matrix."""
