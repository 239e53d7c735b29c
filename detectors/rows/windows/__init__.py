"""Row scores of a window: summary, drift, checks."""
