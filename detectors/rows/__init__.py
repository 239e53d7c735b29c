"""Anomalies of rows: encoding of mixed columns, methods that score, and the model a job runs.

`encoding` makes a matrix of rows, `methods` holds the methods that score it, `model` joins both with a calibration
sample, `windows` sums up and checks the scores of a window.
"""
