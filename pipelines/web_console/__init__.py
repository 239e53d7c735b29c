"""A console of jobs in a browser: `sparsewatch console`."""
