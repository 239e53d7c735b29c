"""Why wafers got their verdicts, shown: in words, as JSON, as one page, as pictures."""
