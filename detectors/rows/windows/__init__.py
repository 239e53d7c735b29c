"""What the row scores of a window say: summary, drift, checks."""
