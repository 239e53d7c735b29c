"""Counts of clicks by the windows of a job, and the reference that they make.

Every window but the first and the last, which may be partial, is one measurement of each figure.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from sparsewatch.detectors.clicks.reference import Reference, fit_reference
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.number_bins import NO_BINS, NumberBins
from sparsewatch.detectors.counts.row_sample import (
    DEFAULT_SAMPLE_ROWS,
    REFERENCE_CELLS,
    RowSample,
    row_identities,
    sampled_rows,
)
from sparsewatch.schemas.block import EVENT_TIME_US

#: Fewest windows of which the first and the last are left out.
_TRIMMED_FROM = 4


class WindowedCounts:
    """Counts of rows by window.

    Args:
        window_us: Length of a window; windows start at multiples of it since the epoch.
        features: Columns to count.
        label: Column of clicks.
        sample_rows: Rows that are kept with the reference, at most; 0 for none.
        bins: Features that are counted in bins.
        prediction: Feature that predicts the label, if one does.
    """

    def __init__(
        self,
        window_us: int,
        features: Sequence[str],
        label: str,
        sample_rows: int = DEFAULT_SAMPLE_ROWS,
        bins: NumberBins = NO_BINS,
        prediction: str | None = None,
    ) -> None:
        self._window_us = window_us
        self._bins = bins
        self._prediction = prediction
        self._features = tuple(features)
        self._label = label
        self._windows: dict[int, FeatureCounts] = {}
        columns = (*self._features, label, EVENT_TIME_US)
        rows = sampled_rows(sample_rows, len(columns), REFERENCE_CELLS) if sample_rows else 0
        self._sample = RowSample(columns, rows) if rows else None
        self._rows = 0

    def add(self, rows: pa.RecordBatch, times_us: np.ndarray, places: Sequence[np.ndarray] | None = None) -> None:
        """Count rows.

        Args:
            rows: The features and the label, n rows.
            times_us: Event times in microseconds since the epoch, shape (n,).
            places: What distinguishes the rows, for the sample, each of shape (n,); their number among all rows that
                were added if None.

        Raises:
            SchemaError: If a row does not fit; see `FeatureCounts.update`.
        """
        if not rows.num_rows:
            return
        self._take(rows, times_us, places)
        windows = times_us // self._window_us
        order = np.argsort(windows, kind="stable")
        starts, first = np.unique(windows[order], return_index=True)
        ordered = rows.take(pa.array(order))
        for start, begin, end in zip(starts.tolist(), first, [*first[1:], rows.num_rows], strict=True):
            if start not in self._windows:
                self._windows[start] = FeatureCounts(
                    self._features, self._label, numbers=self._bins.features, number_bits=self._bins.bits
                )
            self._windows[start].update(ordered.slice(begin, end - begin))

    def reference(self) -> Reference:
        """A reference of the windows, less the first and the last where there are at least four.

        Raises:
            ConfigError: If there are no rows.
        """
        starts = sorted(self._windows)
        whole = starts[1:-1] if len(starts) >= _TRIMMED_FROM else starts
        return fit_reference(
            [self._windows[start] for start in whole],
            self._window_us,
            [start * self._window_us for start in whole],
            None if self._sample is None else self._sample.rows(),
            self._prediction,
        )

    def _take(self, rows: pa.RecordBatch, times_us: np.ndarray, places: Sequence[np.ndarray] | None) -> None:
        """Sample rows by their place in the stream, whatever the pieces it comes in."""
        if places is None:
            places = [np.arange(self._rows, self._rows + rows.num_rows)]
        self._rows += rows.num_rows
        if self._sample is not None:
            whole = rows.select([*self._features, self._label]).append_column(EVENT_TIME_US, pa.array(times_us))
            self._sample.update(whole, row_identities(*places))
