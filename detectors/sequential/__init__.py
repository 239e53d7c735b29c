"""Changes that no single window shows: evidence is added up over windows until chance is excluded."""
