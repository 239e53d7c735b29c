"""Numbers of a window beyond all that the training data hold: spikes, range breaks, another unit in a few rows.

A check of distributions needs many rows; two readings far outside say as much. How far chance may take a number follows
from the tail of the training data: the largest sqrt(m) of m values, of which the excess over their smallest has a
generalised Pareto distribution (Pickands, Annals of Statistics 3, 1975), with scale and shape by the method of moments
(Hosking and Wallis, Technometrics 29, 1987). The shape is taken as at least 0, so that no tail is said to end.

The second largest number of a window counts. That two of n rows lie beyond x has a probability of at most
n P(X > x) / 2 (Markov), however the rows depend on each other: so a stream that remembers needs no spread between its
windows here. What it may need is a longer look: where a quarter of the training data goes beyond the three others,
later windows may go half as far beyond all of it. Siffer et al. ("Anomaly detection in streams with extreme value
theory", KDD 2017) set such limits for single rows.

The shape is at least one over the number of independent values in the tail: the predictive distribution of an
exponential tail of which k values are known is a Pareto distribution of that shape (Aitchison and Dunsmore,
"Statistical Prediction Analysis", 1975, chapter 2).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.rows.windows.blocks import Floats
from sparsewatch.detectors.rows.windows.stored_arrays import StoredArrays

#: Values of a column below which its tail is not known.
_LEAST_VALUES = 100
#: Rows of a window that lie beyond.
_LEAST_ROWS = 2
#: Largest shape: of larger ones not even the mean is finite.
_MOST_SHAPE = 0.9
#: Least distance from the range of the training data, in parts of that range, and parts in which it is looked through.
_MARGIN, _PARTS = 0.05, 4
#: Of how far a part went beyond the others, what later windows may go beyond all.
_FURTHER = 0.5
_LEAST_CHANCE = 1e-300


@dataclass(frozen=True, slots=True, eq=False)
class ColumnTails(StoredArrays):
    """How far out numbers of columns lie: 100 bytes a column."""

    #: Columns of numbers of which a tail is known, int32 of shape (c,).
    columns: NDArray[np.int32]
    #: Of the negative values, then of the values: where the tail begins, its scale, its shape, its share of the rows,
    #: the furthest value, and the nearest that is told; float64 of shape (2, 6, c). A scale of 0 tells nothing.
    figures: NDArray[np.float64]


class Beyond(msgspec.Struct, frozen=True, kw_only=True):
    """A column of which numbers lie beyond the training data."""

    column: str
    #: The furthest value, the furthest of the training data on that side, and rows beyond that.
    furthest: float
    known: float
    beyond: int
    #: Upper bound on the probability that two rows of a window lie as far out in any column, however they depend.
    chance: float


def fit_tails(values: Sequence[Floats | None]) -> ColumnTails | None:
    """The tails of columns; None if none is known.

    Args:
        values: Numbers of each column in the order of the training data, NaN where one is missing; None for a column
            of other values.
    """
    known = {
        at: finite
        for at, own in enumerate(values)
        if own is not None and (finite := own[np.isfinite(own)]).size >= _LEAST_VALUES
    }
    if not known:
        return None
    figures = np.stack([np.stack([_tail(-own), _tail(own)]) for own in known.values()], axis=2)
    return ColumnTails(np.array(list(known), dtype=np.int32), figures)


def beyond_tails(tails: ColumnTails, values: Sequence[Floats | None], names: Sequence[str]) -> list[Beyond]:
    """Columns of which at least two numbers of a window are to be told of, the least likely first.

    Args:
        tails: Of the training data.
        values: Numbers of each column in a sample of the window's rows, as of `fit_tails`.
        names: Of the columns.
    """
    tests = 2 * len(tails.columns)
    found = [
        one
        for at, column in enumerate(tails.columns.tolist())
        for sign, side in ((-1.0, 0), (1.0, 1))
        if (one := _beyond(tails.figures[side, :, at], values[column], sign, names[column], tests)) is not None
    ]
    return sorted(found, key=lambda one: (one.chance, one.column))


def _beyond(figures: Floats, values: Floats | None, sign: float, name: str, tests: int) -> Beyond | None:
    start, scale, shape, share, furthest, nearest = figures.tolist()
    if values is None or not scale:
        return None
    outward = sign * values[~np.isnan(values)]
    if outward.size < _LEAST_ROWS or (second := np.partition(outward, -_LEAST_ROWS)[-_LEAST_ROWS]) < nearest:
        return None
    chance = share * outward.size / _LEAST_ROWS * _survival((float(second) - start) / scale, shape)
    return Beyond(
        column=name,
        furthest=sign * float(outward.max()),
        known=sign * furthest,
        beyond=int((outward > furthest).sum()),
        chance=min(1.0, max(tests * chance, _LEAST_CHANCE)),
    )


def _survival(excess: float, shape: float) -> float:
    """Probability that a number of the tail exceeds its start by more, in scales."""
    return float(np.exp(-excess)) if shape < 1e-6 else float((1 + shape * excess) ** (-1 / shape))


def _tail(values: Floats) -> Floats:
    """The figures of one side, outward being upwards; see `ColumnTails`."""
    number = max(5, int(np.sqrt(values.size)))
    outermost = np.sort(values)[-number - 1 :]
    start, excess = outermost[0], outermost[1:] - outermost[0]
    mean, variance = float(excess.mean()), float(excess.var())
    shape = (1 - mean**2 / variance) / 2 if variance > 0 else 0.0
    shape = float(np.clip(max(shape, 1 / _clusters(np.flatnonzero(values > start))), 0.0, _MOST_SHAPE))
    furthest = float(outermost[-1])
    nearest = furthest + _MARGIN * (furthest - float(values.min())) + _FURTHER * _wandered(values)
    return np.array([start, mean * (1 - shape), shape, number / values.size, furthest, nearest])


def _clusters(places: NDArray[np.int64]) -> float:
    """How many independent values those at some places tell as much as, at least 1.

    What lies far out comes in clusters where values depend on those before them. Their number is that of the values
    times the extremal index, by the gaps between them (Ferro and Segers, "Inference for clusters of extreme values",
    JRSS B 65, 2003, equations 5 and 6).
    """
    gaps = np.diff(places).astype(np.float64)
    if gaps.size < 2:
        return 1.0
    less = 0.0 if gaps.max() <= 2 else 1.0
    squares = ((gaps - less) * (gaps - 2 * less)).sum()
    index = min(1.0, 2 * (gaps - less).sum() ** 2 / (gaps.size * squares)) if squares > 0 else 1.0
    return max(1.0, index * places.size)


def _wandered(values: Floats) -> float:
    """How far a part of the values went beyond the others at most."""
    tops = np.sort([part.max() for part in np.array_split(values, _PARTS)])
    return float(tops[-1] - tops[-2])
