"""Open-set methods for the benchmarks only, to compare with `open_set.novelty`."""
