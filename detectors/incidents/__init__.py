"""Incidents: which findings have one cause, and when it began and ended."""
