"""Values of a window that are compared with those of other windows: each is hashed once, each sample weighted once."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from sparsewatch.detectors.counts.capped_counts import Floats, HashedCounters
from sparsewatch.detectors.counts.counts import Counts, Part
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.feature_counts_codec import FlatCounts
from sparsewatch.detectors.counts.sample_weights import Sample, sample_weights
from sparsewatch.detectors.counts.value_counts import highest_stored
from sparsewatch.detectors.counts.value_hashes import ARROW_TYPES, HASH_RANGE, Hashes

#: Of values.
TYPES: tuple[Any, ...] = tuple(ARROW_TYPES.values())


class FlatValues(NamedTuple):
    """Stored values of features, feature after feature."""

    #: Where those of each feature begin, how many they are, the number of their type in `TYPES` (-1 for none) and the
    #: largest hash of those that may be compared with other windows; shape (n_features,).
    begins: Counts
    sizes: Counts
    types: Counts
    highest: Hashes
    #: Of each value, shape (n,).
    rows: Counts
    hashes: Hashes
    #: The values of each of `TYPES`, an Arrow array.
    values: tuple[Any, ...]

    def between(self, first: int, last: int) -> "FlatValues":
        """Those of some of the features."""
        ends = np.append(self.begins, self.rows.size)
        begin, end = ends[[first, last]].tolist()
        before = [self.sizes[:first][self.types[:first] == number].sum() for number in range(len(TYPES))]
        own = [self.sizes[first:last][self.types[first:last] == number].sum() for number in range(len(TYPES))]
        return FlatValues(
            begins=self.begins[first:last] - begin,
            sizes=self.sizes[first:last],
            types=self.types[first:last],
            highest=self.highest[first:last],
            rows=self.rows[begin:end],
            hashes=self.hashes[begin:end],
            values=tuple(values.slice(*at) for values, *at in zip(self.values, before, own, strict=True)),
        )

    @classmethod
    def of(cls, counts: FlatCounts, hashes: Hashes) -> Self:
        """Of the counts of all features, and the hashes of their values."""
        sizes = counts.sizes
        begins = np.cumsum(sizes) - sizes
        types = np.full(sizes.size, -1)
        for number, kind in enumerate(ARROW_TYPES):
            types[counts.are_of(kind)] = number
        highest = np.full(sizes.size, HASH_RANGE - 1, np.uint64)
        for place in np.flatnonzero(counts.header.hashed).tolist():
            own = hashes[begins[place] : begins[place] + sizes[place]]
            highest[place] = highest_stored(own) - 1
        values = tuple(counts.values[kind] for kind in ARROW_TYPES)
        return cls(begins, sizes, types, highest, counts.rows, hashes, values)


class WindowValues:
    """Values of all features of a window, and how many values each stands for in a sample.

    Args:
        counts: Of the window; they must not change any more.
    """

    def __init__(self, counts: FeatureCounts) -> None:
        self.counts = counts
        self._number = {name: number for number, name in enumerate(counts.features)}
        #: By feature, of the limit that was asked for last.
        self._weights: dict[str, tuple[int, Floats]] = {}

    @functools.cached_property
    def nulls(self) -> Counts:
        """Rows without a value of each feature, shape (n_features,)."""
        return np.array([nulls.rows for nulls in self._counted.header.nulls], np.int64)

    @functools.cached_property
    def flat(self) -> FlatValues:
        """The values of all features, in their order."""
        return FlatValues.of(self._counted, self.counts.hashes())

    @functools.cached_property
    def _counted(self) -> FlatCounts:
        return self.counts.flat()

    @functools.cached_property
    def _starts(self) -> tuple[list[int], list[int]]:
        return self._counted.starts()

    def part(self, feature: str) -> Part:
        """Counts of the stored values, ascending."""
        return self._counted.part(self._number[feature], self._starts)

    def hash_limit(self, feature: str) -> int:
        """The hashes of the values that may be compared are below it; `HASH_RANGE` where all values are stored."""
        return int(self.flat.highest[self._number[feature]]) + 1

    def weights(self, limits: Mapping[str, int]) -> Floats:
        """How many values each value of some features stands for whose hash is below a limit; feature after feature.

        Args:
            limits: Of features in their order, each below `HASH_RANGE` and known to `weigh`.
        """
        return np.concatenate([np.zeros(0), *(self._weights[name][1] for name in limits)])

    def _knows(self, feature: str, limit: int) -> bool:
        return feature in self._weights and self._weights[feature][0] == limit

    def samples(self, limits: Mapping[str, int]) -> dict[str, Sample]:
        """Samples of the features of which no weights are known, below their limits."""
        return {name: self._sample(name, limit) for name, limit in limits.items() if not self._knows(name, limit)}

    def _sample(self, feature: str, limit: int) -> Sample:
        number, flat = self._number[feature], self.flat
        own = slice(int(flat.begins[number]), int(flat.begins[number] + flat.sizes[number]))
        hashes, rows, clicks = flat.hashes[own], flat.rows[own], self._counted.clicks[own]
        hashed = self._counted.counters[number]
        if hashed is None:
            hashed = HashedCounters.empty(self.counts.max_values)
            hashed.add(hashes, rows, clicks)
        below = hashes < np.uint64(limit)
        return Sample(hashed, hashes[below], rows[below], clicks[below], limit)

    def learn(self, feature: str, limit: int, weights: Floats) -> None:
        """Keep weights of a sample of `samples`."""
        self._weights[feature] = (limit, weights)


def weigh(asked: Iterable[tuple[WindowValues, Mapping[str, int]]]) -> None:
    """Find the weights of features of windows at once; those that are known stay.

    Args:
        asked: The windows, and of each the limits of the hash below `HASH_RANGE`, by feature: at most its `hash_limit`.
    """
    samples = [(window, name, sample) for window, limits in asked for name, sample in window.samples(limits).items()]
    found = sample_weights([sample for _, _, sample in samples])
    for (window, name, sample), weights in zip(samples, found, strict=True):
        window.learn(name, sample.limit, weights)
