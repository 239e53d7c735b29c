"""Mutual information of counts, its expectation by chance, and its error."""
