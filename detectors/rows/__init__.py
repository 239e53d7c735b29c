"""Anomalies of rows: encoding of mixed columns, methods that score, and the model a job runs.

`encode` makes a matrix of rows, `methods` lists what can score it under the contract of `scorer`, `model` joins both
with a calibration sample, `summary` says what a window's scores mean.
"""
