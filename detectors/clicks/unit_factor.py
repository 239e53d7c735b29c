"""Whether numbers that are new are known ones in another unit: all of them a known number times one factor.

Numbers that are counted by value are sought among the known ones, each divided by the factor. Bins of numbers are no
multiples of one another, so of these the quantiles are compared with those before.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.counts.counts import Counts

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Steps between units: decimal ones, seconds to minutes, hours and days, bytes; the other way, too.
_STEPS = (10, 100, 1_000, 10_000, 100_000, 1_000_000, 1_000_000_000, 24, 60, 1_024, 1_440, 3_600, 86_400)
#: Part of the rows that a factor explains, and distinct numbers that it explains at least.
_EXPLAINED, _LEAST_VALUES = 0.9, 4
#: Quantiles that are compared, and how far each ratio may lie from the factor, as a ratio: bins and borders are coarse.
_QUANTILES = np.array([0.1, 0.25, 0.5, 0.75, 0.9])
_APART = 1.25
#: Of two floats that are the same number but for rounding.
_ROUNDING = 1e-12


def unit_factor(new: Floats | Ints, rows: Counts, known: Floats | Ints) -> float | None:
    """The factor by which known numbers become the new ones; None if there is none.

    Args:
        new: Distinct numbers, shape (n,), integers or floats as `known` is.
        rows: Of each.
        known: Distinct numbers, in any order.
    """
    ascending: Any = np.sort(known)
    found = [(float(rows[is_known].sum()), number) for number, is_known in enumerate(_explained(new, ascending))]
    most, number = max(found, key=lambda one: (one[0], -one[1]), default=(0.0, 0))
    return _factor(number) if most and most >= _EXPLAINED * rows.sum() else None


def quantile_factor(new: Floats, rows: Counts, borders: Floats, below: Floats) -> float | None:
    """As `unit_factor`, of bins: by what one factor all quantiles differ, about.

    Args:
        new: Distinct bins, ascending, shape (n,).
        rows: Of each.
        borders: Ascending, shape (m,).
        below: Share of the rows before up to each border.
    """
    if new.size < _LEAST_VALUES or not borders.size:
        return None
    now = new[np.searchsorted(np.cumsum(rows) / rows.sum(), _QUANTILES)]
    before = np.interp(_QUANTILES, below, borders)
    if (now * before <= 0).any():
        return None
    ratios = now / before
    factors = np.array([_factor(number) for number in range(2 * len(_STEPS))])
    apart = np.abs(np.log(ratios[np.newaxis] / factors[:, np.newaxis])).max(1)
    # The first that fits: of bins 1,024 is no other than 1,000.
    return next((float(factor) for factor in factors[apart <= np.log(_APART)]), None)


def wording(factor: float) -> str:
    """For a message.

    >>> wording(1_000), wording(1 / 60)
    ('1000 times', 'a 60th of')
    """
    return f"{factor:.0f} times" if factor >= 1 else f"a {1 / factor:.0f}th of"


def _factor(number: int) -> float:
    step = _STEPS[number // 2]
    return float(step) if number % 2 == 0 else 1 / step


def _explained(new: Floats | Ints, known: Floats | Ints) -> Iterator[NDArray[np.bool_]]:
    """By each factor, which numbers are known ones times it; of too few distinct ones none."""
    for step in _STEPS:
        for is_known in (_is_times(new, known, step), _is_part(new, known, step)):
            yield is_known if is_known.sum() >= _LEAST_VALUES else np.zeros(new.size, np.bool_)


def _is_times(new: Floats | Ints, known: Floats | Ints, step: int) -> NDArray[np.bool_]:
    if new.dtype.kind != "i":
        return _is_in(new / step, known)
    is_known: NDArray[np.bool_] = (new % step == 0) & _is_in(new // step, known)
    return is_known


def _is_part(new: Floats | Ints, known: Floats | Ints, step: int) -> NDArray[np.bool_]:
    if new.dtype.kind != "i":
        return _is_in(new * step, known)
    # A number whose product does not fit has none that is known.
    is_known: NDArray[np.bool_] = (np.abs(new) <= np.iinfo(np.int64).max // step) & _is_in(new * step, known)
    return is_known


def _is_in(numbers: Floats | Ints, known: Floats | Ints) -> NDArray[np.bool_]:
    """Which numbers are among some that ascend; floats but for rounding."""
    if not known.size:
        return np.zeros(numbers.size, np.bool_)
    slack = 0 if known.dtype.kind == "i" else _ROUNDING * np.abs(numbers)
    nearest = known[np.minimum(np.searchsorted(known, numbers - slack), known.size - 1)]
    close: NDArray[np.bool_] = np.abs(nearest - numbers) <= slack
    return close
