"""Values of a window that are compared with those of other windows: each is hashed once, each sample weighted once."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa

from sparsewatch.detectors.counts.capped_counts import Floats, HashedCounters
from sparsewatch.detectors.counts.counts import Counts, Part
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.sample_weights import Sample, sample_weights
from sparsewatch.detectors.counts.value_counts import Held
from sparsewatch.detectors.counts.value_hashes import ARROW_TYPES, Hashes, hash_values

#: Of values.
TYPES: tuple[Any, ...] = tuple(ARROW_TYPES.values())
_NUMBERS = {arrow: number for number, arrow in enumerate(TYPES)}


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
    def of(cls, held: Sequence[Held]) -> Self:
        """Of the values of features."""
        parts = [one.part for one in held]
        sizes = np.array([part.rows.size for part in parts], np.int64)
        types = np.array([_NUMBERS.get(part.values.type, -1) for part in parts], np.int64)
        of_value = np.repeat(types, sizes)
        hashes, values = np.zeros(of_value.size, np.uint64), []
        for number, arrow in enumerate(TYPES):
            own = [part.values for part, type_ in zip(parts, types.tolist(), strict=True) if type_ == number]
            values.append(pa.concat_arrays(own) if own else pa.array([], arrow))
            hashes[of_value == number] = hash_values(values[-1], repeats=False)
        return cls(
            begins=np.cumsum(sizes) - sizes,
            sizes=sizes,
            types=types,
            highest=np.array([one.limit - 1 for one in held], np.uint64),
            rows=np.concatenate([np.zeros(0, np.int64), *(part.rows for part in parts)]),
            hashes=hashes,
            values=tuple(values),
        )


class WindowValues:
    """Values of all features of a window, and how many values each stands for in a sample.

    Args:
        counts: Of the window; they must not change any more.
    """

    def __init__(self, counts: FeatureCounts) -> None:
        self.counts = counts
        self._held = {name: counts.held(name) for name in counts.features}
        self._number = {name: number for number, name in enumerate(counts.features)}
        #: By feature, of the limit that was asked for last.
        self._weights: dict[str, tuple[int, Floats]] = {}

    @functools.cached_property
    def nulls(self) -> Counts:
        """Rows without a value of each feature, shape (n_features,)."""
        return np.array([self.counts.nulls(name) for name in self.counts.features], np.int64)

    def part(self, feature: str) -> Part:
        """Counts of the stored values, in no order."""
        return self._held[feature].part

    def hash_limit(self, feature: str) -> int:
        """The hashes of the values that may be compared are below it; `HASH_RANGE` where all values are stored."""
        return self._held[feature].limit

    @functools.cached_property
    def flat(self) -> FlatValues:
        """The values of all features, in their order."""
        return FlatValues.of(list(self._held.values()))

    def hashes(self, feature: str) -> Hashes:
        """Of the values of `part`."""
        first = self.flat.begins[self._number[feature]]
        return self.flat.hashes[first : first + self.part(feature).rows.size]

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
        part, hashed, _ = self._held[feature]
        hashes = self.hashes(feature)
        if hashed is None:
            hashed = HashedCounters.empty(self.counts.max_values)
            hashed.add(hashes, part.rows, part.clicks)
        below = hashes < np.uint64(limit)
        return Sample(hashed, hashes[below], part.rows[below], part.clicks[below], limit)

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
