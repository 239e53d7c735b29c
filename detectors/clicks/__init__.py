"""What is checked of a window of clicks against a baseline."""
