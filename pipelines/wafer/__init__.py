"""The wafer job, `kind = "wafer"`."""
