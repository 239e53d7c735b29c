"""The values that a reference knows of all its features, and those of a window found among them in one pass.

A value is known by its hash and its feature (`sparsewatch.detectors.counts.value_hashes`): all values of all features
lie in one array, and a window's are sought in it at once. To seek them feature by feature takes several calls for each,
which at hundreds of features was most of what the checks of a window took.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow.compute as pc
from numpy.typing import NDArray

from sparsewatch.detectors.counts.counts import Counts, Part
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.hash_index import HashIndex
from sparsewatch.detectors.counts.value_hashes import (
    HASH_RANGE,
    Hashes,
    counters_of,
    hash_values,
    hashes_of_columns,
)

#: Type of a column of values, by the kind in which they are counted.
_POLARS_TYPES: dict[str, pl.DataType] = {"int": pl.Int64(), "float": pl.Float64(), "str": pl.String()}


class Matched(NamedTuple):
    """A window's values beside those that are known."""

    #: Rows of each known value in the window, shape (n_known,).
    rows: Counts
    #: Rows of the values of each feature that are not known, of those that can be: shape (n_features,).
    unknown: Counts
    #: Features that are compared one by one: more values than a window holds, or values of another type.
    apart: frozenset[str]


class KnownValues:
    """Known values of features.

    Args:
        values: Of each feature, each value once, without null.
        limits: For features of which a sample is known: the hashes of the known values are below the limit.
    """

    def __init__(self, values: Mapping[str, pl.Series], limits: Mapping[str, int] | None = None) -> None:
        self.values, self.limits = values, limits or {}
        self.features = tuple(values)
        kinds = {dtype: kind for kind, dtype in _POLARS_TYPES.items()}
        self._kinds = {name: kinds.get(series.dtype) for name, series in values.items()}
        self._numbers = {name: number for number, name in enumerate(self.features)}
        self._highest = np.array([self.limit(name) - 1 for name in self.features], np.uint64)
        #: Where the values of each feature begin among all, and the end of the last.
        self.starts: Counts = np.cumsum([0, *(len(series) for series in values.values())])
        self._index = HashIndex(_keys(range(len(self.features)), list(values.values())))

    def limit(self, feature: str) -> int:
        """The hashes of the known values are below it; `HASH_RANGE` where all are known."""
        return self.limits.get(feature, HASH_RANGE)

    def places(self, values: Mapping[str, pl.Series]) -> NDArray[np.int64]:
        """Places of values of features among all that are known, feature after feature; -1 for others."""
        number = {name: place for place, name in enumerate(self.features)}
        keys = _keys([number[name] for name in values], list(values.values()))
        return np.where(keys == 0, -1, self._index.find(keys))

    def match(self, counts: FeatureCounts) -> Matched:
        """Find the values of a window."""
        flat, hashes = counts.flat(), counts.hashes()
        header, sizes = flat.header, flat.sizes
        apart = frozenset(
            name
            for name, kind, size, hashed in zip(header.features, header.kinds, header.sizes, header.hashed, strict=True)
            if name in self._numbers and (hashed or (size and kind != self._kinds[name]))
        )
        numbers = np.array([-1 if name in apart else self._numbers.get(name, -1) for name in header.features], np.int64)
        # Of a feature of which a sample is known, those of a window's values that can be in it: few.
        below = hashes <= np.repeat(np.append(self._highest, np.uint64(0))[numbers], sizes)
        at = np.flatnonzero(below & np.repeat(numbers >= 0, sizes))
        return Matched(*self._found(np.repeat(numbers, sizes)[at], hashes[at], flat.rows[at]), apart)

    def unseen_shares(self, counts: FeatureCounts, matched: Matched) -> dict[str, float | None]:
        """Share of the rows with a value whose value is not known, by feature; None without a value.

        Of features with more values than a window or the reference holds an estimate.

        Args:
            counts: Of the window.
            matched: Its values.
        """
        shares: dict[str, float | None] = {}
        here = set(counts.features)
        for name, unknown in zip(self.features, matched.unknown.tolist(), strict=True):
            if name not in here:
                continue
            listed = counts.rows - counts.nulls(name)
            if not listed:
                shares[name] = None
            elif name in matched.apart or (unknown and self.limit(name) < HASH_RANGE):
                shares[name] = _unseen_share(counts, name, self.values[name], self.limit(name), listed)
            else:
                shares[name] = min(unknown / listed, 1.0)
        return shares

    def _found(self, columns: Counts, hashes: Hashes, held: Counts) -> tuple[Counts, Counts]:
        """The figures of `Matched` of some values: the number of the feature of each, its hash and its rows."""
        places = self._index.find(hashes_of_columns(hashes, columns))
        found, rows = places >= 0, np.zeros(self.starts[-1], np.int64)
        rows[places[found]] = held[found]
        return rows, np.bincount(columns[~found], held[~found], len(self.features)).astype(np.int64)


def _keys(columns: Sequence[int], values: Sequence[pl.Series]) -> Hashes:
    """Hashes of values of columns, column after column; 0 for values of a type that is not counted."""
    bounds = np.cumsum([0, *(len(series) for series in values)])
    keys = np.zeros(bounds[-1], np.uint64)
    for dtype in _POLARS_TYPES.values():
        own = [place for place, series in enumerate(values) if series.dtype == dtype]
        if own:
            hashes = hash_values(as_arrow(pl.concat([values[place] for place in own])), repeats=False)
            at = np.concatenate([np.arange(bounds[place], bounds[place + 1]) for place in own])
            keys[at] = hashes_of_columns(hashes, np.array(columns)[own].repeat(np.diff(bounds)[own]))
    return keys


def is_known(values: Any, known: pl.Series) -> NDArray[np.bool_]:
    """Which of a window's values, an Arrow array, are known; none if they are of another type."""
    others = as_arrow(known)
    if values.type != others.type:
        return np.zeros(len(values), np.bool_)
    found: NDArray[np.bool_] = pc.is_in(values, value_set=others).to_numpy(zero_copy_only=False)
    return found


def _unseen_share(counts: FeatureCounts, feature: str, known: pl.Series, hash_limit: int, listed: int) -> float:
    """Share of the rows with a value; counters of unnamed frequent values are unseen if no known value has them."""
    sampled = counts.sampled_values(feature, hash_limit)
    unseen = ~is_known(sampled.part.values, known)
    rows = float((sampled.weights[unseen] * sampled.part.rows[unseen]).sum())
    if hash_limit == HASH_RANGE and sampled.unnamed.size:
        taken = counters_of(hash_values(as_arrow(known), repeats=False), sampled.n_counters)
        rows += float(sampled.unnamed[~np.isin(sampled.counters, taken)].sum())
    return min(rows / listed, 1.0)


def places_in(part: Part, values: pl.Series) -> NDArray[np.int64]:
    """Where each of some values lies in the values of a part, -1 if it does not or they are of another type."""
    sought = as_arrow(values)
    if not part.rows.size or part.values.type != sought.type:
        return np.full(len(values), -1)
    places: NDArray[np.int64] = pc.index_in(sought, value_set=part.values).fill_null(-1).to_numpy()
    return places


def as_arrow(values: pl.Series) -> Any:
    """Values as an Arrow array, of the types in which they are counted."""
    return values.to_arrow(compat_level=pl.CompatLevel.oldest())
