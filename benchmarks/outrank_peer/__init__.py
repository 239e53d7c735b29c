"""What `make bench-outrank` sets beside the public tool `outrank` 0.97.5, a part a module."""
