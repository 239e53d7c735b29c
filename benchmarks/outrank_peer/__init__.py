"""Comparisons of `make bench-outrank` with the public tool `outrank` 0.97.5, a module for each part."""
