"""Pages and pictures that more than one report is made of."""
