"""Calibration of a prediction in a window: its clicks beside those that a column predicts, by prediction.

The column is a feature, so that the counts of a window tell rows and clicks of each of its values, or of each of its
bins, which are at most 3 % wide: the calibration of a window follows from its counts, whatever it was merged from. Bins
of the curve are the same for all streams, a third of a decade wide, so that windows compare.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.number_bins import far_borders
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE

#: Borders between the bins of the curve, probabilities.
BORDERS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


class Calibration(msgspec.Struct, frozen=True, array_like=True):
    """Rows, predicted clicks and clicks of a window by bin of the curve; rows without a probability are left out."""

    #: The column.
    prediction: str
    rows: tuple[int, ...]
    predicted: tuple[float, ...]
    clicks: tuple[int, ...]


def calibration_of(counts: FeatureCounts, prediction: str | None) -> Calibration | None:
    """The calibration of a window.

    Args:
        counts: Of the window.
        prediction: The column; None for none.

    Returns:
        None where the column is not counted, or more values are than are stored.
    """
    if prediction not in counts.features or counts.hash_limit(prediction) < HASH_RANGE:
        return None
    part = counts.ascending(prediction)
    values: NDArray[np.float64] = np.asarray(part.values.cast("float64"), np.float64)
    some = (values >= 0) & (values <= 1)
    if prediction in counts.bins.features:
        values = np.minimum((values + far_borders(values, counts.bins.bits)) / 2, 1.0)
    bins = np.searchsorted(BORDERS, values[some], side="right")

    def summed(weights: NDArray[np.generic]) -> list[float]:
        found: list[float] = np.bincount(bins, weights.astype(np.float64), minlength=len(BORDERS) + 1).tolist()
        return found

    rows, clicks = part.rows[some], part.clicks[some]
    return Calibration(
        prediction, tuple(map(int, summed(rows))), tuple(summed(rows * values[some])), tuple(map(int, summed(clicks)))
    )
