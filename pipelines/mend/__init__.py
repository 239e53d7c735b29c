"""`sparsewatch mend`: topics that would lose a job's state are made fit to keep it."""
