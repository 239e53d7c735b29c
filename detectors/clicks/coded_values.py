"""The values of features in windows as numbers: places among the distinct values of all these features."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from sparsewatch.detectors.clicks.own_windows import Yes
from sparsewatch.detectors.clicks.tolerances import Floats
from sparsewatch.detectors.counts.counts import Counts
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE, Hashes, hashes_of_columns
from sparsewatch.detectors.counts.value_order import ascending
from sparsewatch.detectors.counts.window_values import TYPES, FlatValues, WindowValues, weigh

_HIGHEST = np.uint64(HASH_RANGE - 1)


@dataclass(frozen=True)
class Distinct:
    """Distinct values of features, feature after feature."""

    #: Number of the type of each feature in `TYPES`, -1 of one without values, shape (n_features,); that of each value.
    of_feature: Counts
    types: Counts
    #: The values of each type.
    values: tuple[pl.Series, ...]

    def between(self, feature: int, first: int, last: int) -> pl.Series:
        """Those from one place to another, which are a feature's."""
        number = int(self.of_feature[feature])
        if number < 0:
            return pl.Series("value", [], pl.Null)
        ends = self._ends[number]
        return self.values[number][int(ends[first]) : int(ends[last])]

    def at(self, places: Counts) -> "Distinct":
        """Those at some places, which ascend by feature."""
        types = self.types[places]
        picked = (
            values.gather(self._ends[number][places[types == number]]) for number, values in enumerate(self.values)
        )
        return Distinct(self.of_feature, types, tuple(picked))

    @functools.cached_property
    def _ends(self) -> list[Counts]:
        """Values of each type before each place."""
        return [np.append(0, np.cumsum(self.types == number)) for number in range(len(self.values))]


@dataclass(frozen=True)
class Coded:
    """Values of features in their own windows, window after window."""

    #: Of each value, shape (n,): numbers of its feature and window, which one of the feature's windows that is, rows,
    #: how many values it stands for, and its place among the distinct ones.
    feature: Counts
    window: Counts
    turn: Counts
    rows: Counts
    weights: Floats
    place: Counts
    #: The distinct values, ascending in each feature; the number of the feature of each, shape (n_distinct,).
    values: Distinct
    feature_of: Counts
    #: Where those of each feature begin, and the end of the last; shape (n_features + 1,).
    bounds: Counts
    #: The hashes of the values of each feature are below it.
    limits: list[int]

    @classmethod
    def of(cls, windows: Sequence[WindowValues], features: range, own: Yes) -> "Coded":
        """See `sparsewatch.detectors.clicks.values_over.ValuesOver`."""
        flats = [one.flat.between(features.start, features.stop) for one in windows]
        highest = np.where(own, np.stack([one.highest for one in flats], axis=1), _HIGHEST).min(1)
        feature = np.concatenate([np.repeat(np.arange(len(own)), one.sizes) for one in flats])
        window = np.repeat(np.arange(len(flats)), [one.rows.size for one in flats])
        hashes = np.concatenate([one.hashes for one in flats])
        kept = np.flatnonzero(own[feature, window] & (hashes <= highest[feature]))
        feature, window, hashes = feature[kept], window[kept], hashes[kept]
        place, one_of = _places(hashes_of_columns(hashes, feature))
        values = _distinct(flats, own, kept[one_of])
        order = np.lexsort((values.rank, feature[one_of]))
        feature_of = feature[one_of[order]]
        limits = [int(one) + 1 for one in highest]
        return cls(
            feature=feature,
            window=window,
            turn=(np.cumsum(own, axis=1) - 1)[feature, window],
            rows=np.concatenate([one.rows for one in flats])[kept],
            weights=_weights(windows, features, own, limits, feature),
            place=_inverse(order)[place],
            values=values.in_order(order),
            feature_of=feature_of,
            bounds=np.searchsorted(feature_of, np.arange(len(own) + 1)),
            limits=limits,
        )

    @functools.cached_property
    def rows_of_value(self) -> Counts:
        """Rows of each distinct value."""
        return np.bincount(self.place, self.rows, self.feature_of.size).astype(np.int64)

    @functools.cached_property
    def windows(self) -> Counts:
        """Windows with each distinct value."""
        return np.bincount(self.place, minlength=self.feature_of.size)

    @functools.cached_property
    def first(self) -> Counts:
        """Which one of its feature's windows has each distinct value first."""
        first = np.empty(self.feature_of.size, np.int64)
        # Of several numbers for a place the last one stays.
        first[self.place[::-1]] = self.turn[::-1]
        return first

    @functools.cached_property
    def last(self) -> Counts:
        """Which one has it last."""
        last = np.empty(self.feature_of.size, np.int64)
        last[self.place] = self.turn
        return last


def _places(keys: Hashes) -> tuple[Counts, Counts]:
    """Of each key which one of the distinct ones it is, by size, and where each of these is."""
    order = np.argsort(keys)
    ordered = keys[order]
    is_new = np.append(True, ordered[1:] != ordered[:-1])[: keys.size]
    places = np.empty(keys.size, np.int64)
    places[order] = np.cumsum(is_new) - 1
    return places, order[is_new]


def _inverse(order: Counts) -> Counts:
    inverse = np.empty(order.size, np.int64)
    inverse[order] = np.arange(order.size)
    return inverse


@dataclass(frozen=True)
class _Found:
    """Values that were found, in no order."""

    types: Counts
    of_feature: Counts
    #: The values of each type, and where these are among those found.
    values: list[tuple[pa.Array, Counts]]

    @functools.cached_property
    def rank(self) -> Counts:
        """Of each value among those of its type, ascending."""
        rank = np.empty(self.types.size, np.int64)
        for values, at in self.values:
            rank[at[ascending(values)]] = np.arange(at.size)
        return rank

    def in_order(self, order: Counts) -> Distinct:
        """These values in an order."""
        place = _inverse(order)
        picked = []
        for values, at in self.values:
            series = pl.Series("value", values)
            picked.append(series.gather(np.argsort(place[at])))
        return Distinct(self.of_feature, self.types[order], tuple(picked))


def _distinct(flats: Sequence[FlatValues], own: Yes, some: Counts) -> _Found:
    """The values at some places among all of all windows."""
    of_each = np.stack([one.types for one in flats], axis=1)
    types = np.concatenate([np.repeat(one.types, one.sizes) for one in flats])
    found, values = types[some], []
    for number in range(len(TYPES)):
        at = np.flatnonzero(found == number)
        before = np.cumsum(types == number) - 1
        chunks = pa.chunked_array([one.values[number] for one in flats], TYPES[number])
        values.append((chunks.combine_chunks().take(pa.array(before[some[at]])), at))
    return _Found(found, np.where(own, of_each, -1).max(1), values)


def _weights(
    windows: Sequence[WindowValues], features: range, own: Yes, limits: Sequence[int], feature: Counts
) -> Floats:
    """How many values each of the values stands for, window after window."""
    sampled = [number for number, limit in enumerate(limits) if limit < HASH_RANGE]
    asked = [(one, dict(_limits(one, features, sampled, limits, own[:, at]))) for at, one in enumerate(windows)]
    weigh(asked)
    weights = np.ones(feature.size)
    is_sampled = np.zeros(len(own), np.bool_)
    is_sampled[sampled] = True
    weights[is_sampled[feature]] = np.concatenate(
        [np.zeros(0), *(one.weights(own_limits) for one, own_limits in asked)]
    )
    return weights


def _limits(
    window: WindowValues, features: range, sampled: Sequence[int], limits: Sequence[int], own: Yes
) -> Iterator[tuple[str, int]]:
    names = window.counts.features
    yield from ((names[features[number]], limits[number]) for number in sampled if own[number])
