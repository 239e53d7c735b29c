"""Columns made into codes, transformed and combined."""
