"""How easily the code is read and carried on, in figures: `python -m benchmarks.house [ROOT ...]`, `make house`."""
