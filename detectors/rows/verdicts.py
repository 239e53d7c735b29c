"""The verdict on each row: its score, the score's p-value, and which columns make an outlier odd."""

import numpy as np
import pyarrow as pa

from sparsewatch.detectors.rows.model import RowModel, to_blame
from sparsewatch.detectors.rows.windows.summary import BLAMED_COLUMNS

#: Columns of verdicts; `blamed` is empty for rows that are not above the threshold.
ROW_VERDICTS = pa.schema(
    [
        pa.field("score", pa.float32(), nullable=False),
        pa.field("p_value", pa.float64(), nullable=False),
        pa.field("above", pa.bool_(), nullable=False),
        pa.field("blamed", pa.list_(pa.string()), nullable=False),
    ]
)


def judge_matrix(model: RowModel, X: np.ndarray, alarm_rate: float) -> pa.RecordBatch:
    """Verdicts on encoded rows.

    Args:
        model: The model.
        X: Its encoded rows, float32 of shape (n, d).
        alarm_rate: Share of training-like rows that may be above the threshold.

    Returns:
        `ROW_VERDICTS`, n rows; the blamed column without which the score falls most comes first.

    Raises:
        ConfigError: If the model's calibration is too small for `alarm_rate`.
    """
    threshold = model.threshold(alarm_rate)
    scores = model.score_matrix(X)
    above = scores > threshold
    blamed: list[list[str]] = [[]] * len(X)
    for row, columns in zip(np.flatnonzero(above), _blamed(model, X[above]), strict=True):
        blamed[row] = columns
    return pa.record_batch([scores, model.p_values(scores), above, blamed], schema=ROW_VERDICTS)


def _blamed(model: RowModel, X: np.ndarray) -> list[list[str]]:
    """Names of the columns without which each row's score falls most, largest fall first."""
    if not len(X):
        return []
    columns, falls = model.blame_matrix(X, BLAMED_COLUMNS)
    names = np.array(model.encoder.names, dtype=object)[columns]
    return [row[large].tolist() for row, large in zip(names, to_blame(falls), strict=True)]
