"""Open-set methods that only the benchmarks use, to compare with `open_set.novelty`."""
