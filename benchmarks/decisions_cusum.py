"""Page's CUSUM for a change of known size of a known rate: no test of as few false alarms finds it sooner.

Moustakides, Annals of Statistics 14, 1986. Both its threshold and its delay are found by simulation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_RUNS = 400
#: Thresholds that are tried.
_THRESHOLDS = 100
_Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Cusum:
    """The test for one change of clicks, many times side by side."""

    rate: float
    rows: int
    #: Relative change of the rate, down to -1.
    change: float
    #: Probability of a false alarm in a window.
    alpha: float

    @property
    def moved(self) -> float:
        """The rate after the change; of a loss of all clicks so small that one click excludes it."""
        return max(self.rate * (1 + self.change), 1e-12 * self.rate)

    def log_ratios(self, clicks: NDArray[np.int64]) -> _Floats:
        """Evidence of windows with so many clicks."""
        click, none = np.log(self.moved / self.rate), np.log1p(-self.moved) - np.log1p(-self.rate)
        ratios: _Floats = clicks * click + (self.rows - clicks) * none
        return ratios

    @property
    def shortest(self) -> float:
        """Windows that the change takes to the first order (Lorden, Annals of Mathematical Statistics 42, 1971)."""
        click, none = np.log(self.moved / self.rate), np.log1p(-self.moved) - np.log1p(-self.rate)
        return float(-np.log(self.alpha) / (self.rows * (self.moved * click + (1 - self.moved) * none)))

    def threshold(self, rng: np.random.Generator) -> float:
        """The least with the rate of false alarms asked for; the windows up to one are exponential."""
        thresholds = np.linspace(0.1, 1 - np.log(self.alpha), _THRESHOLDS)[:, None]
        evidence, windows = np.zeros(_RUNS), round(1 / self.alpha)
        first = np.full((_THRESHOLDS, _RUNS), windows)
        for window in range(1, windows):
            evidence = np.maximum(evidence, 0) + self._next(self.rate, rng)
            first = np.where((evidence >= thresholds) & (first == windows), window, first)
        alarms = np.maximum((first < windows).sum(axis=1), 0.5)
        return float(thresholds[np.argmax(first.sum(axis=1) / alarms >= 1 / self.alpha), 0])

    def delay(self, rng: np.random.Generator, before: int, most: int) -> float:
        """Mean windows from the change to the end of that which finds it.

        Args:
            rng: Draws clicks.
            before: Windows without the change.
            most: Windows that are waited.
        """
        threshold, evidence = self.threshold(rng), np.zeros(_RUNS)
        for _ in range(before):
            evidence = np.maximum(evidence, 0) + self._next(self.rate, rng)
            evidence[evidence >= threshold] = 0
        taken, left = np.full(_RUNS, most), np.ones(_RUNS, bool)
        for window in range(1, most):
            evidence = np.maximum(evidence, 0) + self._next(self.moved, rng)
            taken[left & (evidence >= threshold)] = window
            left &= evidence < threshold
        return float(taken.mean())

    def _next(self, rate: float, rng: np.random.Generator) -> _Floats:
        return self.log_ratios(rng.binomial(self.rows, rate, _RUNS))
