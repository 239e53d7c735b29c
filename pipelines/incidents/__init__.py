"""Incidents of a job, for people: listed, shown, and decided about."""
