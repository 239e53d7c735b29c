"""A reference's figures of one feature, each window and each value in its turn: slow, and easy to follow."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from sparsewatch.detectors.clicks.feature_reference import FeatureReference
from sparsewatch.detectors.clicks.inflation import LEAST_WINDOWS, of_figures, of_new_values, of_shares, within_reach
from sparsewatch.detectors.clicks.outlying import OUTLYING_Z, PART, clipped, consistency, outlying
from sparsewatch.detectors.clicks.strays import null_steadiness
from sparsewatch.detectors.clicks.stretch import Stretch
from sparsewatch.detectors.clicks.timely import _NEARLY_ALL, _changes_by_the_hour, reads_as_time
from sparsewatch.detectors.clicks.tolerances import (
    Abundances,
    Floats,
    Information,
    SharesOver,
    Statistic,
    distinct_sds,
    distinct_surprise,
    distinct_tolerance,
    information_tolerance,
    share_tolerance,
    statistic,
)
from sparsewatch.detectors.clicks.value_shares import ValueShares
from sparsewatch.detectors.clicks.values_over import LEAST_SHARE, MOST_FREQUENT
from sparsewatch.detectors.counts.counts import Counts
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE, hash_values
from sparsewatch.detectors.counts.value_order import ascending
from sparsewatch.detectors.counts.window_values import WindowValues, weigh

_FEW_VALUES, _LEADS = 3, 0.9


class StretchValues:
    """Values of one feature over all windows: all, or those below a limit of the hash that every window has."""

    def __init__(self, windows: Sequence[WindowValues], feature: str) -> None:
        self.limit = min(window.hash_limit(feature) for window in windows)
        found = _Values.of(windows, feature, self.limit)
        self.values = pl.Series("value", found.distinct)
        #: Rows with a value in each window, and those whose value is in no more windows than may be odd.
        self.listed = np.array([window.counts.rows - window.counts.nulls(feature) for window in windows])
        self.rare = found.rows_by_window(found.windows[found.places] <= max(len(windows) // PART, 1))
        #: Rows in each window of values that no window before it has.
        first = found.first[found.places]
        self.new = found.rows_by_window(first == found.window)
        #: Those of values that no window of the earlier half has.
        self.late = found.rows_by_window(first >= len(windows) // 2)
        #: Those of values that live in a few windows in a row, half of all at most.
        self.passing = found.rows_by_window(found.passing(len(windows) // 2)[found.places])
        #: Places in `values` of each window's most frequent value; None where windows have several, or one none.
        self.leading = found.leading(self.listed)
        self.abundances = Abundances.of(
            found.rows_of_value, scale=HASH_RANGE / self.limit, all_rows=int(self.listed.sum())
        )
        #: The values with most rows, most first, and their rows in each window, shape (n_windows, n).
        frequent = found.frequent(LEAST_SHARE * self.abundances.rows)
        self.frequent = pl.Series("value", found.distinct.take(pa.array(frequent)))
        self.frequent_rows = found.table(frequent)

    def expected(self, windows: Iterable[int]) -> tuple[Floats, Floats]:
        """Distinct values expected of as many rows as some windows have, and values expected to be missing."""
        rows = self.listed[list(windows)].tolist()
        return (
            np.array([self.abundances.expected_distinct(one) for one in rows]),
            np.array([self.abundances.expected_missing(one) for one in rows]),
        )


class _Values(NamedTuple):
    """Values of all windows, window after window, each once a window."""

    #: The distinct ones, ascending: an Arrow array, shape (n_distinct,).
    distinct: Any
    #: Of each value its place among the distinct ones, its window, its rows and how many values it stands for.
    places: Counts
    window: Counts
    rows: Counts
    weights: Floats
    n_windows: int

    @classmethod
    def of(cls, windows: Sequence[WindowValues], feature: str, limit: int) -> Self:
        """Of each window, those below a limit of the hash."""
        parts = [window.part(feature) for window in windows]
        encoded = _joined([part.values for part in parts]).dictionary_encode()
        order, codes = ascending(encoded.dictionary), encoded.indices.to_numpy()
        window = np.repeat(np.arange(len(windows)), [part.rows.size for part in parts])
        rows = np.concatenate([part.rows for part in parts])
        if limit < HASH_RANGE:
            some = np.concatenate([hash_values(part.values, repeats=False) for part in parts]) < np.uint64(limit)
            codes, window, rows = codes[some], window[some], rows[some]
            order = order[np.bincount(codes, minlength=order.size)[order] > 0]
        place = np.empty(len(encoded.dictionary), np.int64)
        place[order] = np.arange(order.size)
        return cls(
            encoded.dictionary.take(pa.array(order)),
            place[codes],
            window,
            rows,
            np.concatenate([_weights(window, feature, limit) for window in windows]),
            len(windows),
        )

    @property
    def rows_of_value(self) -> Counts:
        """Of each distinct value."""
        return np.bincount(self.places, self.rows, len(self.distinct)).astype(np.int64)

    @property
    def windows(self) -> Counts:
        """With each distinct value."""
        return np.bincount(self.places, minlength=len(self.distinct))

    @property
    def first(self) -> Counts:
        """Window of each distinct value that has it first."""
        first = np.empty(len(self.distinct), np.int64)
        # Of several numbers for a place the last one stays.
        first[self.places[::-1]] = self.window[::-1]
        return first

    def passing(self, most: int) -> NDArray[np.bool_]:
        """Whether all windows with a distinct value follow one another, so many at most."""
        last = np.empty(len(self.distinct), np.int64)
        last[self.places] = self.window
        span = last - self.first + 1
        passing: NDArray[np.bool_] = (span == self.windows) & (span <= most)
        return passing

    def leading(self, listed: Counts) -> Counts | None:
        """Places of the values that nearly all rows of each window have, the first of equals; None if some lack it."""
        if self.places.size > _FEW_VALUES * self.n_windows:
            return None
        order = np.lexsort((-self.rows, self.window))
        windows, first = np.unique(self.window[order], return_index=True)
        at = order[first]
        if windows.size < self.n_windows or (self.rows[at] < _LEADS * listed).any():
            return None
        return self.places[at]

    def rows_by_window(self, some: NDArray[np.bool_]) -> Floats:
        """Rows in each window of some of the values, and of those that these stand for."""
        found = np.bincount(self.window[some], self.rows[some] * self.weights[some], minlength=self.n_windows)
        return found.astype(np.float64)

    def frequent(self, least_rows: float) -> Counts:
        """Places of the values with most rows, at least so many, most first."""
        rows = self.rows_of_value
        frequent = np.flatnonzero(rows >= max(least_rows, 1))
        return frequent[np.argsort(-rows[frequent], kind="stable")[:MOST_FREQUENT]]

    def table(self, places: Counts) -> Floats:
        """Rows of some distinct values in each window, shape (n_windows, n)."""
        column = np.full(len(self.distinct), -1)
        column[places] = np.arange(places.size)
        columns = column[self.places]
        some = columns >= 0
        by_window = np.zeros((self.n_windows, places.size))
        by_window[self.window[some], columns[some]] = self.rows[some]
        return by_window


def _weights(window: WindowValues, feature: str, limit: int) -> Floats:
    if limit == HASH_RANGE:
        return np.ones(window.part(feature).rows.size)
    weigh([(window, {feature: limit})])
    return window.weights({feature: limit})


def _joined(arrays: Sequence[Any]) -> Any:
    """Arrays of one type, but for those of no values, as one."""
    kind = next((array.type for array in arrays if not pa.types.is_null(array.type)), pa.null())
    return pa.concat_arrays([array if array.type == kind else array.cast(kind) for array in arrays])


def slow_feature(name: str, stretch: Stretch, windows: int) -> tuple[FeatureReference, StretchValues]:
    """Figures of a feature over its own windows, of a reference of so many, and its values in those kept."""
    values = StretchValues(stretch.windows, name)
    odd = _odd_windows(name, stretch, values)
    if odd:
        stretch = stretch.without(odd)
        values = StretchValues(stretch.windows, name)
    return _feature(name, stretch, values, windows - len(stretch.windows)), values


def slow_shares(values: StretchValues) -> ValueShares:
    """Shares of the feature's values."""
    some = np.flatnonzero(values.listed)
    listed = values.listed[some].astype(np.float64)
    shares = values.frequent_rows[some] / listed[:, None]
    shares = np.concatenate([shares, np.maximum(1 - shares.sum(1, keepdims=True), 0.0)], axis=1)
    kept = np.delete(np.arange(len(shares)), _odd_values(shares, listed))
    if not kept.size:
        nothing = SharesOver(windows=0, independent=0, rows=0)
        return ValueShares(values.frequent, np.zeros((3, shares.shape[1])), nothing)
    shares, listed = shares[kept], listed[kept]
    sds, independent = _spread(shares)
    over = SharesOver(
        windows=kept.size, independent=independent, rows=float(listed.mean()), inflation=of_shares(shares, listed)
    )
    return ValueShares(values.frequent, np.stack([shares.mean(0), sds, shares.min(0)]), over)


def follows_time(values: StretchValues, starts_us: Sequence[int] | None) -> bool:
    """Whether the values come and go with the time."""
    if len(values.listed) < LEAST_WINDOWS or not (values.listed > 0).all():
        return False
    if (values.passing >= _NEARLY_ALL * values.listed).all():
        return True
    if starts_us is None or values.leading is None:
        return False
    leading = values.leading.tolist()
    shown = zip(values.values.gather(leading).to_list(), starts_us, strict=True)
    return all(reads_as_time(value, start_us) for value, start_us in shown) or _changes_by_the_hour(leading, starts_us)


def _feature(name: str, stretch: Stretch, values: StretchValues, left_out: int) -> FeatureReference:
    number, profiles = stretch.windows[0].counts.features.index(name), stretch.profiles
    some, timed = values.listed > 0, follows_time(values, stretch.starts_us)
    rows = np.array([one.rows for one in profiles], np.float64)
    missing = [float(one.null_shares[number]) for one in profiles]
    inflation = of_shares(np.array(missing)[:, None], rows)
    return FeatureReference(
        null_share=within_reach(statistic(missing), inflation, max(missing), rows.size, float(rows.mean())),
        cardinality=statistic([one.cardinalities[number] for one in profiles]),
        cardinality_ratio=_ratio(number, stretch, values),
        score=statistic([one.scores[number] for one in profiles]),
        normalised=statistic([one.normalised[number] for one in profiles], _of_signal(number, stretch)),
        unseen_share=_unseen(values) if some.sum() > 2 and not timed else None,
        rank=0,
        listed=int(values.listed.sum()),
        left_out=left_out,
        null_steadiness=null_steadiness(missing, rows.tolist()),
        follows_time=timed,
    )


def _ratio(number: int, stretch: Stretch, values: StretchValues) -> Statistic:
    some = np.flatnonzero(values.listed > 0)
    if not some.size:
        return statistic([1.0])
    distinct, missing = values.expected(some)
    ratios = np.array([stretch.profiles[place].cardinalities[number] for place in some.tolist()]) / distinct
    inflation = of_figures(ratios[:, None], distinct_sds(distinct, missing)[:, None])
    return statistic(ratios.tolist(), float(inflation[0]))


def _unseen(values: StretchValues) -> Statistic:
    some = values.listed > 0
    new, late, listed = values.new[some], values.late[some], values.listed[some].astype(np.float64)
    inflation = float(of_new_values(new[:, None], late[:, None], listed[:, None])[0])
    figure = statistic((new / listed)[listed.size // 2 :].tolist())
    return within_reach(figure, inflation, float((late / listed).max()), listed.size, float(listed.mean()))


def _of_signal(number: int, stretch: Stretch) -> float:
    some = [one for one in stretch.profiles if 0 < one.click_rate < 1]
    if not some:
        return 1.0
    score = max(float(np.mean([one.scores[number] for one in some])), 0.0)
    chance = [
        np.sqrt(one.noises[number] ** 2 + 2 * score / one.rows) / Information(one.rows, one.click_rate, 0).label_entropy
        for one in some
    ]
    figures = np.array([one.normalised[number] for one in some])
    return float(of_figures(figures[:, None], np.array(chance)[:, None])[0])


def _odd_windows(name: str, stretch: Stretch, values: StretchValues) -> frozenset[int]:
    """Places of the windows that are left out of a feature."""
    number = stretch.windows[0].counts.features.index(name)
    nulls = [float(one.null_shares[number]) for one in stretch.profiles]
    missing = _odd_shares(nulls, [one.rows for one in stretch.profiles], stretch.starts_us)
    some = np.flatnonzero(values.listed)
    if some.size < PART:
        return frozenset(missing)
    part, listed = stretch.at(some.tolist()), values.listed[some].tolist()
    rare = _odd_shares((values.rare[some] / values.listed[some]).tolist(), listed, part.starts_us)
    numbers, signals = _odd_numbers(number, part, values, some), _odd_signals(number, part)
    return frozenset([*missing, *some[[*{*rare, *numbers, *signals}]].tolist()])


def _odd_shares(shares: Sequence[float], rows: Sequence[int], starts_us: Sequence[int] | None) -> tuple[int, ...]:
    mean_rows = float(np.mean(rows))

    def tolerance(robust: Statistic, place: int) -> float:
        return share_tolerance(robust, len(rows), rows[place], mean_rows, OUTLYING_Z)

    return outlying(shares, tolerance, weights=rows, starts_us=starts_us)


def _odd_numbers(number: int, part: Stretch, values: StretchValues, some: Counts) -> tuple[int, ...]:
    seen = [int(one.cardinalities[number]) for one in part.profiles]
    distinct, lacking = values.expected(some)

    def tolerance(robust: Statistic, place: int) -> float:
        expected, missing = float(distinct[place]) * robust.mean, float(lacking[place])
        if distinct_surprise(seen[place], expected, missing, values.abundances.values) < OUTLYING_Z**2 / 2:
            return math.inf
        return robust.mean * distinct_tolerance(expected, missing, robust.sd / robust.mean, len(seen), OUTLYING_Z)

    return outlying(
        (np.array(seen) / distinct).tolist(), tolerance, weights=values.listed[some].tolist(), starts_us=part.starts_us
    )


def _odd_signals(number: int, part: Stretch) -> tuple[int, ...]:
    profiles, rows = part.profiles, [one.rows for one in part.profiles]
    score = float(np.median([one.scores[number] for one in profiles]))
    shares = [float(one.normalised[number]) for one in profiles]

    def tolerance(robust: Statistic, place: int) -> float:
        of = Information(rows[place], profiles[place].click_rate, float(profiles[place].noises[number]))
        if not 0 < of.click_rate < 1:
            return math.inf
        upwards = shares[place] > robust.mean
        return information_tolerance(robust, score, len(rows), float(np.mean(rows)), of, OUTLYING_Z, upwards=upwards)

    return outlying(shares, tolerance, weights=rows, starts_us=part.starts_us)


def _spread(shares: Floats) -> tuple[Floats, float]:
    """Deviation of each value's share between windows, the larger one of two (see the module).

    Args:
        shares: Of the windows in the order of time, shape (n_windows, n_values).

    Returns:
        The deviations, and how many windows that do not depend on one another tell as much.
    """
    windows = len(shares)
    if windows < 2:
        return np.zeros(shares.shape[1]), windows
    sds: Floats = shares.std(axis=0, ddof=1)
    if windows < 4:
        return sds, windows
    blocks = np.array_split(shares, min(4, windows // 2))
    total, squares = shares.sum(0), np.zeros(shares.shape[1])
    for block in blocks:
        others = windows - len(block)
        apart = block - (total - block.sum(0)) / others
        # The mean of the other windows has an error of its own.
        squares += (apart**2).sum(0) / (1 + 1 / others)
    return np.maximum(sds, np.sqrt(squares / windows)), windows / _inflation(shares, blocks)


def _inflation(shares: Floats, blocks: Sequence[Floats]) -> float:
    """By how much more a mean of the windows varies than one of as many independent ones; 1 at least.

    The larger one of two estimates, of all values together: from the means of blocks, and from what a window has in
    common with the one before it, as an autoregression of the first order (Bayley and Hammersley, JRSS Supplement 8,
    1946).
    """
    means = np.array([block.mean(0) for block in blocks])
    within = sum(float(((block - block.mean(0)) ** 2).sum()) for block in blocks)
    within /= sum(len(block) - 1 for block in blocks)
    if not within:
        return 1.0
    between = float(means.var(axis=0, ddof=1).sum()) * len(blocks[0])
    apart = shares - shares.mean(0)
    common = float((apart[1:] * apart[:-1]).sum() / (apart**2).sum())
    return min(max(1.0, between / within, (1 + common) / (1 - common)), len(blocks[0]))


def _odd_values(shares: Floats, listed: Floats) -> tuple[int, ...]:
    """Places of the windows in which values have moved, by what is usual in most windows.

    Args:
        shares: Of each value in each window, shape (n_windows, n_values).
        listed: Rows with a value in each window, shape (n_windows,).
    """
    most = len(shares) // PART
    if not most:
        return ()
    ordered = clipped(shares, most)
    means, sds = ordered.mean(0), ordered.std(0, ddof=1) / consistency(most / len(shares))
    strict = float(-ndtri(ndtr(-4.0) / means.size))
    moved = []
    for own, rows in zip(shares, listed.tolist(), strict=True):
        usual = [
            Statistic(mean=mean, sd=sd, min=0, max=1) for mean, sd in zip(means.tolist(), sds.tolist(), strict=True)
        ]
        bounds = [share_tolerance(one, len(shares), rows, float(listed.mean()), strict) for one in usual]
        beyond = [
            change if abs(change) > bound else 0.0 for change, bound in zip((own - means).tolist(), bounds, strict=True)
        ]
        moved.append(max(sum(one for one in beyond if one > 0), -sum(one for one in beyond if one < 0)))
    return outlying(moved, lambda _usual, _place: 0.05)
