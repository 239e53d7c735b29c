"""`sparsewatch report`: a day of a job as a page."""
