"""Thresholds of the checks on a window of row scores, see `sparsewatch.detectors.rows.windows.checks`."""

from typing import Annotated

import msgspec

from sparsewatch.detectors.budget.spending import Allowance
from sparsewatch.schemas.settings import Count, Level, Range, Settings

#: Families of tests, one test a window each.
FAMILIES = ("row_outliers", "row_scores", "columns", "links", "ranges", "copies")
#: Without a budget.
_LEVEL, _STRETCH_LEVEL = 1e-6, 1e-4
#: The same of numbers beyond the training data: their chance holds however rows depend on each other.
_RANGE_LEVEL = 5e-3
#: Distance between two distributions.
_Distance = Annotated[float, Range(above=0, below=1)]


class RowCheck(Settings, frozen=True, kw_only=True):
    """When the rows of a window count as unlike the training data."""

    #: Probability of a false alarm per window, uncertainty of the threshold included; by the job's budget if absent.
    level: Level | None = None
    #: Least share of rows above the threshold, in multiples of the alarm rate.
    least_ratio: Annotated[float, Range(at_least=1)] = 3.0
    #: As `level`, for p-values that have moved.
    drift_level: Level | None = None
    #: Least distance of the p-values from those of calibration rows, see `checks.Drift`.
    least_drift: _Distance = 0.1
    #: As `level`, for single columns that have moved, all of them together.
    column_level: Level | None = None
    #: Least distance of a column from that of calibration rows, see `column_drift.ColumnDrift`.
    least_column_drift: _Distance = 0.05
    #: As `level`, for columns that no longer go together with others, all of them together.
    link_level: Level | None = None
    #: Least part of what a column had to do with others that must be lost, see `links.LostLink`.
    least_link_loss: _Distance = 0.1
    #: As `level`, for numbers beyond all of the training data, all columns together; see `tails`.
    range_level: Level | None = None
    #: As `level`, for rows that repeat others.
    copy_level: Level | None = None
    #: Least rise of the share of rows that repeat another one in all columns.
    rows_duplicated: Annotated[float, Range(above=0, at_most=1)] = 0.015
    #: As `level`, for each of the first four by the spread between stretches of the training data; see `blocks`. The
    #: budget makes all of these stricter than they were without, and never laxer: rows depend on each other.
    stretch_level: Level | None = None
    #: A column's type has changed from this share of its values, and from so many cells.
    mistyped_share: Annotated[float, Range(above=0, below=1)] = 0.05
    mistyped_cells: Count = 10

    @property
    def of_outliers(self) -> float:
        """Probability of a false alarm of rows above the threshold."""
        return _LEVEL if self.level is None else self.level

    @property
    def of_drift(self) -> float:
        """The same of p-values that have moved."""
        return _LEVEL if self.drift_level is None else self.drift_level

    @property
    def of_columns(self) -> float:
        """The same of single columns that have moved."""
        return _LEVEL if self.column_level is None else self.column_level

    @property
    def of_links(self) -> float:
        """The same of columns that no longer go together with others."""
        return _LEVEL if self.link_level is None else self.link_level

    @property
    def of_ranges(self) -> float:
        """The same of numbers beyond all of the training data."""
        return _RANGE_LEVEL if self.range_level is None else self.range_level

    @property
    def of_copies(self) -> float:
        """The same of rows that repeat others."""
        return _LEVEL if self.copy_level is None else self.copy_level

    @property
    def of_stretches(self) -> float:
        """The same of each of the first four, by the spread between stretches of the training data."""
        return _STRETCH_LEVEL if self.stretch_level is None else self.stretch_level

    def within(self, allowance: Allowance) -> "RowCheck":
        """As strict as a job's budget asks where nothing else is set.

        Args:
            allowance: With the families `FAMILIES`.
        """
        alphas = [allowance.alpha(family) for family in FAMILIES]
        outliers, drift, columns, links, _, copies = (min(_LEVEL, alpha) for alpha in alphas)
        ranges = min(_RANGE_LEVEL, allowance.spent("ranges"))
        stretch = min(max(allowance.alpha(family), min(_STRETCH_LEVEL, allowance.spent(family))) for family in FAMILIES)
        return msgspec.structs.replace(
            self,
            level=outliers if self.level is None else self.level,
            drift_level=drift if self.drift_level is None else self.drift_level,
            column_level=columns if self.column_level is None else self.column_level,
            link_level=links if self.link_level is None else self.link_level,
            copy_level=copies if self.copy_level is None else self.copy_level,
            range_level=ranges if self.range_level is None else self.range_level,
            stretch_level=stretch if self.stretch_level is None else self.stretch_level,
        )
