"""The click-through job, `kind = "ctr"`."""
