"""`sparsewatch status`: what is wrong with a job's stream and since when, and how far the job is."""
