"""Saved models: files with a manifest of digests, versions, and smoke scores that verify them."""
