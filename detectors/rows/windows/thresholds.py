"""Thresholds of the checks on a window of row scores, see `sparsewatch.detectors.rows.windows.checks`."""

from typing import Annotated

from sparsewatch.schemas.settings import Count, Level, Range, Settings

#: Distance between two distributions.
_Distance = Annotated[float, Range(above=0, below=1)]


class RowCheck(Settings, frozen=True, kw_only=True):
    """When the rows of a window count as unlike the training data."""

    #: Probability of a false alarm per window, uncertainty of the threshold included.
    level: Level = 1e-6
    #: Least share of rows above the threshold, in multiples of the alarm rate.
    least_ratio: Annotated[float, Range(at_least=1)] = 3.0
    #: As `level`, for p-values that have moved.
    drift_level: Level = 1e-6
    #: Least distance of the p-values from those of calibration rows, see `checks.Drift`.
    least_drift: _Distance = 0.1
    #: As `level`, for single columns that have moved, all of them together.
    column_level: Level = 1e-6
    #: Least distance of a column from that of calibration rows, see `column_drift.ColumnDrift`.
    least_column_drift: _Distance = 0.15
    #: As `level`, for each of the three by the spread between stretches of the training data; see `blocks`.
    stretch_level: Level = 1e-4
    #: A column's type has changed from this share of its values, and from so many cells.
    mistyped_share: Annotated[float, Range(above=0, below=1)] = 0.05
    mistyped_cells: Count = 10
