"""Open-set recognition: how far a wafer is from the known classes, with calibrated p-values."""
