"""Exact nearest neighbours, to the same bits on any machine."""
