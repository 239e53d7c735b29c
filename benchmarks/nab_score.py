"""The scoring rule of NAB, the Numenta Anomaly Benchmark: what a detector's scores of rows are worth.

Lavin and Ahmad, "Evaluating Real-time Anomaly Detection Algorithms - the Numenta Anomaly Benchmark", ICMLA 2015
(arXiv 1510.03336), section II, with the conventions of release 1.1 where the paper leaves them open. Each anomaly has
a window around it. Of the rows called odd in a window the one of the largest weight counts, the first; a window without
any costs a miss. A row called odd outside costs by how far it lies behind the last window. The first rows of a series
are for learning and are not scored. One threshold serves the whole corpus: the one with the highest sum, chosen anew
for each detector and profile. So it is the rank of a score among all rows of the corpus that counts, not its scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

_PROBATION_SHARE, _MOST_PROBATION = 0.15, 750
#: Windows behind a window's end from where a false alarm costs all.
_FAR = 3.0

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Profile:
    """What a user gains by an anomaly found, and loses by a false alarm and a miss."""

    found: float
    false: float
    missed: float


#: The three of the benchmark.
PROFILES = {
    "standard": Profile(1.0, 0.11, 1.0),
    "reward_low_FP_rate": Profile(1.0, 0.22, 1.0),
    "reward_low_FN_rate": Profile(1.0, 0.11, 2.0),
}


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """The scored rows of a series, or of several."""

    #: Shape (n,), high is odd.
    scores: Floats
    #: In a window: 1 at its first row, falling to almost 0. Outside: -1 to almost 0, what a false alarm costs.
    weights: Floats
    #: Index of each row's window, -1 outside.
    windows: NDArray[np.int64]
    n_windows: int


def probation(rows: int) -> int:
    """First rows of a series that are not scored."""
    return min(int(_PROBATION_SHARE * rows), _MOST_PROBATION)


def sigmoid(position: Floats) -> Floats:
    """Section II, equation 1: near 1 at -1, the window's left edge, 0 at its right, -1 far behind it."""
    scaled: Floats = 2 / (1 + np.exp(5 * np.minimum(position, _FAR))) - 1
    return np.where(position >= _FAR, -1.0, scaled)


def window_edges(inside: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last row of each window, of whether each row is in one."""
    steps = np.diff(np.concatenate([[False], inside, [False]]).astype(np.int8))
    return np.flatnonzero(steps == 1), np.flatnonzero(steps == -1) - 1


def judged(scores: Floats, inside: NDArray[np.bool_]) -> Judged:
    """A series' rows behind its probation, with weights and windows.

    Args:
        scores: Of all rows in their order, shape (n,).
        inside: Whether each row is in a window.
    """
    first, last = window_edges(inside)
    rows, scored = np.arange(len(scores)), slice(probation(len(scores)), None)
    # The last window that has begun by a row, -1 before the first; a width of 1 stands in where there is none.
    begun = np.searchsorted(first, rows, side="right") - 1
    ends = np.append(last, 0)[begun]
    widths = np.append(last - first + 1, 1)[begun]
    within = sigmoid((rows - ends - 1) / widths) / sigmoid(np.array(-1.0))
    behind = sigmoid(np.where(begun < 0, _FAR, (rows - ends) / np.maximum(widths - 1, 1)))
    weights = np.where(inside, within, behind)
    return Judged(scores[scored], weights[scored], np.where(inside, begun, -1)[scored], len(first))


def pooled(series: Sequence[Judged]) -> Judged:
    """All rows of all series, with windows numbered through."""
    offsets = np.cumsum([0, *(one.n_windows for one in series)])
    windows = [np.where(s.windows < 0, -1, s.windows + at) for s, at in zip(series, offsets, strict=False)]
    return Judged(
        np.concatenate([one.scores for one in series]),
        np.concatenate([one.weights for one in series]),
        np.concatenate(windows),
        int(offsets[-1]),
    )


def sums_by_threshold(rows: Judged, profile: Profile) -> tuple[Floats, Floats]:
    """Every threshold that matters, falling from infinity, and the sum where rows of at least that score are odd."""
    order = np.argsort(-rows.scores, kind="stable")
    scores, windows = rows.scores[order], rows.windows[order]
    changes = np.where(windows < 0, profile.false, 0.0) * rows.weights[order]
    by_window = np.argsort(windows, kind="stable")
    edges = np.searchsorted(windows[by_window], np.arange(rows.n_windows + 1))
    for begin, end in pairwise(edges):
        at = by_window[begin:end]
        best = np.maximum.accumulate(profile.found * rows.weights[order][at])
        changes[at] = np.diff(best, prepend=-profile.missed)
    sums = np.cumsum(np.concatenate([[-profile.missed * rows.n_windows], changes]))
    ends = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    return np.concatenate([[np.inf], scores[ends]]), sums[np.concatenate([[0], ends + 1])]


def normalised(total: float, windows: int, profile: Profile) -> float:
    """0 for the null detector, which calls nothing odd, 100 for the perfect, equation 2."""
    null, perfect = -profile.missed * windows, profile.found * windows
    return 100 * (total - null) / (perfect - null)


def nab_score(rows: Judged, profile: Profile) -> tuple[float, float]:
    """The score at the best threshold, and this threshold."""
    thresholds, sums = sums_by_threshold(rows, profile)
    best = int(np.argmax(sums))
    return normalised(float(sums[best]), rows.n_windows, profile), float(thresholds[best])
