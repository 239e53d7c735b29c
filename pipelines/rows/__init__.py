"""The rows job, `kind = "rows"`, and the scoring of rows that click-through jobs share."""
