"""Mergeable state of a window: counts of values by label, samples of rows, sketches of columns."""
