"""HBOS: how rare each feature's value is, by a histogram of each feature.

Goldstein and Dengel, "Histogram-based outlier score (HBOS)", KI 2012: bins of equal width, score = sum of ln 1 / share.
A share is smoothed, (rows in the bin + 1/2) / (rows + bins / 2), so that an empty bin, or a value outside all bins, has
a finite score. Features are treated as independent: it finds odd values, not odd combinations.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.rows.methods.scorer import Report, Rows, State, Tensors, in_chunks
from sparsewatch.schemas.settings import Count, check_range

#: Bins a feature.
BINS = 10
#: Widens bins a little, so that the greatest value falls into the last bin.
_ROOM = 1 + 1e-5
#: Rows counted at once.
_PART_ROWS = 65_536
#: Narrower features count as constant: their bins could not be distinguished.
_TINY = float(np.finfo(np.float32).tiny) * 1e6


@dataclass(frozen=True, slots=True, eq=False)
class HistogramScorer:
    """Histograms of all features, 4 * (bins + 4) bytes each; `make bench-row_speed` prints its speed."""

    #: Lower end of the first bin, and bins a unit (0 for a constant feature), float32 of shape (d,).
    low: NDArray[np.float32]
    per_unit: NDArray[np.float32]
    #: ln(1 / share) below the bins, of each bin, and above; float32 of shape (d, bins + 2).
    surprise: NDArray[np.float32]

    @property
    def n_features(self) -> int:
        """Width of the rows."""
        return len(self.low)

    def score(self, X: Rows) -> NDArray[np.float32]:
        """Sum of the features' surprises in nats, shape (n,)."""
        return in_chunks(X, (), lambda rows: self.surprises(rows).sum(axis=1))

    def terms(self, X: Rows) -> NDArray[np.float32]:
        """Surprise of each feature, whose sum is the score."""
        return in_chunks(X, (self.n_features,), self.surprises)

    def surprises(self, rows: Rows) -> NDArray[np.float32]:
        """Surprise of each value, shape (n, d)."""
        return self.surprise.ravel()[_places(rows, self.low, self.per_unit, self.surprise.shape[1])]

    def to_state(self) -> State:
        """See `RowScorer`."""
        return {"low": self.low, "per_unit": self.per_unit, "surprise": self.surprise}, {}


def fit_histogram(X: Rows, seed: int = 0, report: Report | None = None, *, bins: int = BINS) -> HistogramScorer:
    """Count the values of each feature; see `scorer.Fit`.

    Args:
        X: Encoded rows.
        seed: Not used.
        report: Not used.
        bins: Bins of a feature, from 1.

    Raises:
        ConfigError: If there is no bin.
    """
    del seed, report
    check_range(Count, bins, "bins")
    low, high = X.min(axis=0), X.max(axis=0)
    width = (high - low) / bins * np.float32(_ROOM)
    per_unit = np.divide(1, width, out=np.zeros_like(width), where=width > _TINY)
    counts = np.zeros(X.shape[1] * (bins + 2), dtype=np.int64)
    # In parts: the places of all rows at once would take as much memory as the rows.
    for start in range(0, len(X), _PART_ROWS):
        places = _places(X[start : start + _PART_ROWS], low, per_unit, bins + 2)
        counts += np.bincount(places.ravel(), minlength=len(counts))
    surprise = np.log((len(X) + bins / 2) / (counts + 0.5)).astype(np.float32)
    return HistogramScorer(low, per_unit, surprise.reshape(X.shape[1], bins + 2))


def read_histogram(tensors: Tensors, meta: dict[str, Any]) -> HistogramScorer:
    """The scorer of `to_state`."""
    del meta
    return HistogramScorer(tensors["low"], tensors["per_unit"], tensors["surprise"])


def _places(rows: Rows, low: NDArray[np.float32], per_unit: NDArray[np.float32], places: int) -> NDArray[np.int32]:
    """Where each value counts: index into all features' places, one feature after the other; shape (n, d)."""
    position = np.floor((rows - low) * per_unit) + 1
    if not per_unit.all():
        # A constant feature has one bin; any other value is outside it.
        position = np.where(per_unit == 0, np.abs(rows - low) <= _TINY, position)
    index: NDArray[np.int32] = np.clip(position, 0, places - 1).astype(np.int32)
    index += np.arange(0, len(low) * places, places, dtype=np.int32)
    return index
