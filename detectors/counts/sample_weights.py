"""How many values each sampled value stands for, of many samples at once.

The weights are those of `sparsewatch.detectors.counts.capped_counts.estimate`, to the rounding of sums. A baseline
needs them of each feature in each of its windows: thousands of small samples, for each of which a call would cost more
than its arithmetic. What is computed of a sample does not depend on those beside it, to the last bit: sums over a
sample are taken value after value, and what fills the rows of the tables up to the same length adds zeros behind them.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.counts.capped_counts import HEAVY_COUNTERS, STANDS_OUT, Floats, HashedCounters
from sparsewatch.detectors.counts.counts import Counts
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE, Hashes, counters_of

#: Numbers of a table: what is computed of it stays in the processor's cache.
_CELLS = 1 << 17


class Sample(NamedTuple):
    """Values of a column whose hash is below a limit: all that occur, and no others."""

    #: Counts of all values of the column.
    hashed: HashedCounters
    #: Shape (n,) each; rows >= 1.
    hashes: Hashes
    rows: Counts
    clicks: Counts
    #: In [1, `HASH_RANGE`].
    limit: int


def sample_weights(samples: Sequence[Sample]) -> list[Floats]:
    """Weights of the values of each sample, shape (n,) each.

    Args:
        samples: Of one number of counters or several.
    """
    weights: list[Floats] = [np.zeros(0)] * len(samples)
    for places in _alike(samples):
        some = [samples[place] for place in places]
        for place, sample, found in zip(places, some, _Table(some).weights(), strict=True):
            weights[place] = found[: sample.rows.size]
    return weights


def _alike(samples: Sequence[Sample]) -> Iterator[list[int]]:
    """Places of samples that fit into a table: of the same number of counters, and of similar sizes."""
    order = sorted(range(len(samples)), key=lambda place: (samples[place].hashed.rows.size, samples[place].rows.size))
    group: list[int] = []
    for place in order:
        counters, size = samples[place].hashed.rows.size, samples[place].rows.size
        full = (len(group) + 1) * max(counters, size) > _CELLS
        if group and (full or samples[group[0]].hashed.rows.size != counters):
            yield group
            group = []
        group.append(place)
    if group:
        yield group


class _Table:
    """Samples of one number of counters, a row each; at the end of each row are values without rows."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        sizes = np.array([sample.rows.size for sample in samples])
        self._held = np.arange(sizes.max(initial=0)) < sizes[:, None]
        self._rows = self._filled([sample.rows for sample in samples])
        self._clicks = self._filled([sample.clicks for sample in samples])
        self._sizes = sizes
        counters = samples[0].hashed.rows.size
        scale = np.array([HASH_RANGE / sample.limit - 1 for sample in samples])
        self._load = sizes * scale / counters
        self._all = [
            np.stack([sample.hashed.rows for sample in samples]),
            np.stack([sample.hashed.clicks for sample in samples]),
        ]
        hashes = np.concatenate([sample.hashes for sample in samples])
        at = np.repeat(np.arange(sizes.size), sizes) * counters + counters_of(hashes, counters)
        self._rest_rows, self._rest_clicks = (
            whole - np.bincount(at, own[self._held], whole.size).astype(np.int64).reshape(whole.shape)
            for whole, own in zip(self._all, (self._rows, self._clicks), strict=True)
        )

    def weights(self) -> Floats:
        """Of each value, shape (n_samples, n)."""
        border, mean = self._border()
        heavy = self._held & (self._rows >= border[:, None])
        standing = self._rest_rows >= np.maximum(border + mean, 1.0)[:, None]
        heavy_rows = _whole(np.where(standing, self._rest_rows - mean[:, None], 0.0))
        expected = (mean * self._rate(standing))[:, None]
        heavy_clicks = _whole(np.where(standing, self._rest_clicks - expected, 0.0)).clip(0, heavy_rows)
        totals = [
            whole.sum(1) - np.where(heavy, own, 0).sum(1) - counters.sum(1)
            for whole, own, counters in zip(
                self._all, (self._rows, self._clicks), (heavy_rows, heavy_clicks), strict=True
            )
        ]
        weights = self._calibrated(self._held & ~heavy, *totals)
        weights[heavy] = 1.0
        return weights

    def _filled(self, values: Sequence[Counts]) -> Counts:
        table = np.zeros(self._held.shape, np.int64)
        table[self._held] = np.concatenate(values)
        return table

    def _border(self) -> tuple[Floats, Floats]:
        """Rows from which a value is heavy, and mean rows that lighter ones give a counter, of each sample."""
        # What is not held has no rows: it comes last once the order is turned round twice.
        ascending = np.sort(np.where(self._held, self._rows, np.iinfo(np.int64).max), axis=1)
        ascending = np.where(self._held, ascending, 0).astype(np.float64)
        part = (self._load / np.maximum(self._sizes, 1))[:, None]
        means, variances = (
            part * np.concatenate([np.zeros((len(part), 1)), np.cumsum(ascending**power, axis=1)], axis=1)
            for power in (1, 2)
        )
        stands_out = means + STANDS_OUT * np.sqrt(variances)
        with np.errstate(divide="ignore"):
            fewest = np.ceil(self._sizes * np.maximum(1 - HEAVY_COUNTERS / self._load, 0.0))
        found = self._held & (np.arange(ascending.shape[1]) >= fewest[:, None]) & (stands_out[:, :-1] <= ascending)
        light = np.where(found.any(1), found.argmax(1), self._sizes) if found.size else self._sizes
        at = np.arange(light.size)
        above = np.where(light > 0, ascending[at, light - 1] + 1, 0.0) if found.size else np.zeros(light.size)
        return np.maximum(stands_out[at, light], above), means[at, light]

    def _rate(self, standing: NDArray[np.bool_]) -> Floats:
        rows, clicks = (np.where(standing, 0, rest).sum(1) for rest in (self._rest_rows, self._rest_clicks))
        rate: Floats = np.divide(clicks, rows, out=np.zeros(rows.size), where=rows != 0)
        return rate

    def _calibrated(self, light: NDArray[np.bool_], total_rows: Counts, total_clicks: Counts) -> Floats:
        rows, clicks = np.where(light, self._rows, 0), np.where(light, self._clicks, 0)
        share = np.divide(clicks, rows, out=np.zeros(rows.shape), where=rows > 0)
        others, unclicked = rows - clicks, np.where(light, 1 - share, 0.0)
        moments = np.array(
            [
                [_summed(clicks * share), _summed(others * share)],
                [_summed(clicks * unclicked), _summed(others * unclicked)],
            ]
        ).transpose(2, 0, 1)
        known = rows.sum(1)
        equal = np.maximum(total_rows, 0) / np.maximum(known, 1)
        both = np.repeat(equal[:, None], 2, axis=1)
        solvable = np.linalg.det(moments) > 1e-9 * known.astype(np.float64) ** 2
        targets = np.stack([total_clicks, total_rows - total_clicks], axis=1)[solvable].astype(np.float64)
        solved = np.linalg.solve(moments[solvable].transpose(0, 2, 1), targets[:, :, None])[:, :, 0]
        near = (equal[solvable, None] / 8 < solved) & (solved < 8 * equal[solvable, None])
        both[solvable] = np.where(near.all(1, keepdims=True), solved, both[solvable])
        weighted = both[:, :1] * share + both[:, 1:] * (1 - share)
        # Equal weights are not the sum of two parts of them, to the last bit.
        same = both[:, :1] == both[:, 1:]
        found: Floats = np.where(same, equal[:, None], weighted)
        return found


def _summed(parts: Floats) -> Floats:
    """Sums of rows of numbers, one number after the other: zeros behind them change nothing."""
    if not parts.shape[1]:
        return np.zeros(len(parts))
    sums: Floats = np.cumsum(parts, axis=1)[:, -1]
    return sums


def _whole(counts: Floats) -> Counts:
    """Whole numbers with the right sums; zeros stay zeros."""
    return np.diff(np.rint(np.cumsum(counts, axis=1)), prepend=0.0, axis=1).astype(np.int64)
