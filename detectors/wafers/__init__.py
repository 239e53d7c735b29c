"""Models of wafer maps: training, verdicts, explanation, emerging patterns."""
