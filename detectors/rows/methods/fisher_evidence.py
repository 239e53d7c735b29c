"""Scores of any kind as evidence: -ln of the conformal p-value, so that scores of several methods can be added up.

Under no anomaly each p-value is about uniform, and the sum of their -ln is Fisher's statistic (Fisher, "Statistical
Methods for Research Workers", 4th ed., 1932, section 21.1); members are dependent: the sum ranks rows and is no test.
Between the reference's scores it is joined by lines. Beyond the highest one a p-value would stand still, and all far
outliers would tie: there it goes on as ln(1 + excess / mean excess of the upper twentieth).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Most knots of a score.
KNOTS = 256
#: Share of the reference's scores that scale what lies beyond.
_TAIL = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """How one score's values turn into evidence."""

    #: Scores, rising, and the evidence at each; float32 of shape (knots,).
    scores: NDArray[np.float32]
    nats: NDArray[np.float32]
    #: Mean excess of the tail.
    excess: float

    def __call__(self, scores: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """-ln p of each score, at least 0, shape (n,)."""
        nats: NDArray[np.float64] = np.interp(scores, self.scores, self.nats)
        beyond = np.flatnonzero(scores > self.scores[-1])
        nats[beyond] += np.log1p((scores[beyond] - self.scores[-1]) / self.excess)
        return nats


def fit_evidence(reference: NDArray[np.floating[Any]]) -> Evidence:
    """From scores of ordinary rows that the scorer has not learned from.

    Args:
        reference: Finite, of shape (m,), m >= 1.
    """
    rising = np.sort(reference.astype(np.float64))
    m = len(rising)
    scores, first = np.unique(rising, return_index=True)
    nats = -np.log((1 + m - first) / (m + 1))
    kept = _spread(nats)
    tail = rising[m - max(2, int(_TAIL * m)) :] if m > 1 else rising
    excess = float((tail - tail[0]).mean())
    scale = excess if excess > 0 else max(abs(float(rising[-1])), 1.0)
    return Evidence(scores[kept].astype(np.float32), nats[kept].astype(np.float32), scale)


def _spread(nats: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices of at most `KNOTS` rising values, first and last among them: half evenly by rank, half by value."""
    n = len(nats)
    if n <= KNOTS:
        return np.arange(n)
    by_rank = np.linspace(0, n - 1, KNOTS // 2).round().astype(np.int64)
    by_value = np.searchsorted(nats, np.linspace(nats[0], nats[-1], KNOTS // 2))
    return np.unique(np.concatenate([by_rank, by_value.clip(0, n - 1)]))
