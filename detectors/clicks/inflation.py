"""How far a baseline falls short of windows that it does not hold: by how much each tolerance is widened.

Windows of a real stream depend on those before them, and their spread within a baseline says too little of those that
come next. So the baseline is tried on itself, in its own order: the earlier half of its windows judges the later half
(forecasts that are judged out of their sample: Tashman, International Journal of Forecasting 16, 2000, sec. 3). Where
these *held-back* windows lie within what the earlier ones allow, nothing changes. Else tolerances are multiplied by
what the held-back windows show: what brings them inside, or the root mean square of their deviations in the unit of the
deviation allowed for, if that is more, since windows that stray together have but one occasion to show how far.

One held-back window in ten may lie anywhere, so that a bad one silences nothing. Windows that do not depend on one
another get a factor above 1 in one baseline of thirty; where they are few and vary far more than by chance, in one of
ten. Where most features of a job stray in one figure, so do the others: their factor is at least the median of all.
"""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from statistics import median
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.special import bdtri, ndtri, stdtrit

from sparsewatch.detectors.clicks.outlying import PART
from sparsewatch.detectors.clicks.tolerances import (
    Floats,
    SharesOver,
    Statistic,
    chance_bounds,
    share_tolerance,
)
from sparsewatch.detectors.counts.counts import Counts
from sparsewatch.detectors.sequential.steadiness import PRIOR_WINDOWS

#: Windows below which none is held back: of three nothing is known that the sampling error does not say.
LEAST_WINDOWS = 6
#: Probability of a factor above 1, were the baseline of independent windows known exactly.
_LEVEL = 0.01
#: The strictest rule, in standard deviations (see `sparsewatch.detectors.budget`).
_MOST_STRICT = 6.0


Inflated = TypeVar("Inflated", Statistic, SharesOver)


class _Strict(NamedTuple):
    """What held-back windows are compared with."""

    #: The largest deviation but so many is judged.
    place: int
    #: Deviation that it exceeds with a probability of `_LEVEL`: of Student's distribution, and of a Gaussian; of all
    #: figures or of each.
    student: float | Floats
    z: float | Floats


def of_shares(shares: Floats, rows: Floats) -> float:
    """Of shares of rows: the largest factor of them.

    Args:
        shares: Over windows in the order of time, shape (n_windows, n).
        rows: Of each window, > 0, shape (n_windows,).
    """
    return float(np.max(of_each_share(shares, rows[:, None], np.full(shares.shape[1], shares.shape[1])), initial=1.0))


def of_each_share(shares: Floats, rows: Floats, figures: Counts) -> Floats:
    """Of shares of rows of several features, shape (n,).

    Args:
        shares: Over windows in the order of time, shape (n_windows, n).
        rows: Of each share's windows, > 0; of that shape, or (n_windows, 1).
        figures: How many of the shares are of the same feature, shape (n,).
    """
    half = len(shares) // 2
    return _of_shares(shares[:half], shares[half:], half, rows, figures, np.abs)


def of_new_values(new: Floats, late: Floats, listed: Floats) -> Floats:
    """Of the share of rows whose value is new, of several features, shape (n,).

    Args:
        new: Rows of each window whose value no window before it has, shape (n_windows, n).
        late: Those whose value none of the earlier half has; 0 in that half.
        listed: Rows with a value, > 0.
    """
    half = len(new) // 2
    before, after = (new / listed)[half // 2 : half], (late / listed)[half:]
    # The more windows are known the fewer values are new, which is no sign of change.
    alone = np.ones(new.shape[1], np.int64)
    return _of_shares(before, after, half, listed, alone, lambda changes: np.maximum(changes, 0.0))


def of_figures(values: Floats, chance: Floats) -> Floats:
    """Of figures with a sampling error, shape (n,).

    Args:
        values: Of windows in the order of time, shape (n_windows, n).
        chance: Standard deviation of each by chance alone.
    """
    half = len(values) // 2
    if half < LEAST_WINDOWS // 2:
        return np.ones(values.shape[1])
    before, after = values[:half], values[half:]
    strict = _strict(half, len(after), 1)
    return _factor(np.abs(after - before.mean(0)), _between(before, half, chance[half:], strict), half, strict)


def of_past(values: Floats, chance: Callable[[Floats], Floats], known: int) -> float:
    """Of a figure whose windows are each judged by those just before them.

    Args:
        values: Of all past windows in the order of time, shape (n_windows,).
        chance: Variance of each by chance alone, given the mean of those before it; of all windows but the first
            `known`.
        known: Windows that judge one.
    """
    held_back = len(values) - known
    if known < LEAST_WINDOWS // 2 or held_back < LEAST_WINDOWS // 2:
        return 1.0
    before = sliding_window_view(values[:-1], known)
    means, strict = before.mean(1), _strict(known, held_back, 1)
    variance = (PRIOR_WINDOWS * chance(means) + (known - 1) * before.var(axis=1, ddof=1)) / (known - 1 + PRIOR_WINDOWS)
    tolerances = strict.student * np.sqrt(variance)
    return float(_factor(np.abs(values[known:] - means)[:, None], tolerances[:, None], known, strict)[0])


def within_reach(figure: Statistic, inflation: float, most: float, windows: int, rows: float) -> Statistic:
    """A share with a factor that lets it be found at its extreme: all rows, where no window comes near.

    Args:
        figure: The share.
        inflation: Its factor by held-back windows.
        most: The largest share of a held-back window.
        windows: Of the share.
        rows: Of a window on average.
    """
    if inflation > 1:
        room = (3 + most) / 4 - figure.mean
        inflation = max(1.0, min(inflation, room / share_tolerance(figure, windows, rows, rows, _MOST_STRICT)))
    return msgspec.structs.replace(figure, inflation=inflation)


def pooled(figures: Mapping[str, Inflated]) -> dict[str, Inflated]:
    """The same figure of several features, with at least the median of their factors."""
    least = median([figure.inflation for figure in figures.values()]) if figures else 1.0
    return {
        name: figure if figure.inflation >= least else msgspec.structs.replace(figure, inflation=least)
        for name, figure in figures.items()
    }


def _of_shares(
    before: Floats, after: Floats, half: int, rows: Floats, figures: Counts, deviations: Callable[[Floats], Floats]
) -> Floats:
    if half < LEAST_WINDOWS // 2:
        return np.ones(before.shape[1])
    strict = _strict_of_each(half, len(after), figures)
    means, total = before.mean(0), rows[:half].sum(0)
    smoothed = (means * total + 1) / (total + 2)
    variances, later = smoothed * (1 - smoothed), rows[half:]
    tolerances = np.maximum(
        _between(before, half, np.sqrt(variances / later), strict), chance_bounds(variances, later, strict.z)
    )
    return _factor(deviations(after - means), tolerances, half, strict)


def _between(before: Floats, half: int, chance: Floats, strict: _Strict) -> Floats:
    """Tolerance by the spread of the earlier windows, the sampling error its prior as in a check."""
    spread = before.var(axis=0, ddof=1)
    variance = (PRIOR_WINDOWS * chance**2 + (half - 1) * spread) / (half - 1 + PRIOR_WINDOWS)
    tolerance: Floats = strict.student * np.sqrt(variance)
    return tolerance


def _factor(deviations: Floats, tolerances: Floats, half: int, strict: _Strict) -> Floats:
    """By what the tolerances of each figure are to be multiplied, at least 1; shape (n,)."""
    widened = tolerances * math.sqrt(1 + 1 / half)
    return _factors(np.divide(deviations, widened, out=np.zeros_like(deviations), where=widened > 0), strict)


def _factors(beyond: Floats, strict: _Strict) -> Floats:
    """For each figure.

    Args:
        beyond: Deviations of held-back windows as parts of the tolerances, shape (n_held_back, n).
        strict: Of these tolerances.
    """
    ordered = np.sort(beyond, axis=0)
    held_back, place = len(ordered), len(ordered) - 1 - strict.place
    ordered[place:] = ordered[place]
    squares = PRIOR_WINDOWS / strict.student**2 + (ordered**2).sum(0)
    spread = strict.student * np.sqrt(squares / (PRIOR_WINDOWS + held_back))
    return np.where(ordered[-1] > 1, np.maximum(ordered[-1], spread), 1.0)


def _strict_of_each(known: int, held_back: int, figures: Counts) -> _Strict:
    """As `_strict`, of shares of features that have so many of them, shape (n,)."""
    some, places = np.unique(figures, return_inverse=True)
    found = [_strict(known, held_back, one) for one in some.tolist()]
    student, z = (np.array([getattr(one, name) for one in found])[places] for name in ("student", "z"))
    return _Strict(held_back // PART, student, z)


@lru_cache(maxsize=1024)
def _strict(known: int, held_back: int, figures: int) -> _Strict:
    place = held_back // PART
    # So likely is each held-back window to lie further out that more than `place` of them do in a hundredth of cases.
    chance = float(bdtri(place, held_back, 1 - _LEVEL / figures))
    return _Strict(place, float(-stdtrit(known - 1 + PRIOR_WINDOWS, chance / 2)), float(-ndtri(chance / 2)))
