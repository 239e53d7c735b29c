"""`sparsewatch mend`: topics that would lose a job's state are repaired."""
