"""Pairs of features: scores, redundant twins, selection of a set."""
