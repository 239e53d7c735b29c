"""`sparsewatch demo`: two seeded streams with planted faults, watched live by the real jobs on a real broker."""
