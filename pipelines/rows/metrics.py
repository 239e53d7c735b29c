"""Metrics of every job that counts or scores rows."""

from sparsewatch.schemas.alerts import MetricSample, gauge


def window_rows(rows: int) -> MetricSample:
    """The sample of the rows of a window."""
    return gauge("sparsewatch_window_rows", "Rows of the last closed window.", rows)


def rows_scored(rows: int) -> MetricSample:
    """The sample of the rows of a window that were scored."""
    return gauge("sparsewatch_rows_scored", "Rows scored in the last closed window.", rows)
