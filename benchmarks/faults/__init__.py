"""Faults planted in tables: pure, vectorised, seeded; see `benchmarks.faults.library` for the list of them."""
