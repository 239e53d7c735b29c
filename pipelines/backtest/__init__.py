"""`sparsewatch backtest`: what a job would have told of a stretch of history, found by the job's own code."""
