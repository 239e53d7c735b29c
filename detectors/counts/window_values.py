"""Values of a window that are compared with those of other windows: each is hashed once, each sample weighted once."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from sparsewatch.detectors.counts.capped_counts import Floats, HashedCounters
from sparsewatch.detectors.counts.counts import Part
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.sample_weights import Sample, sample_weights
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE, Hashes, hash_values


class WindowValues:
    """Values of all features of a window, and how many values each stands for in a sample.

    Args:
        counts: Of the window; they must not change any more.
    """

    def __init__(self, counts: FeatureCounts) -> None:
        self.counts = counts
        self._held = {name: counts.held(name) for name in counts.features}
        self._hashes: dict[str, Hashes] = {}
        #: By feature, of the limit that was asked for last.
        self._weights: dict[str, tuple[int, Floats]] = {}

    def part(self, feature: str) -> Part:
        """Counts of the stored values, in no order."""
        return self._held[feature].part

    def hash_limit(self, feature: str) -> int:
        """The hashes of the values that may be compared are below it; `HASH_RANGE` where all values are stored."""
        return self._held[feature].limit

    def hashes(self, feature: str) -> Hashes:
        """Of the values of `part`."""
        if feature not in self._hashes:
            self.hash_values([feature])
        return self._hashes[feature]

    def weights(self, feature: str, limit: int) -> Floats:
        """How many values each value of `part` whose hash is below a limit stands for.

        Args:
            feature: The feature.
            limit: At most its `hash_limit`.
        """
        if not self._knows(feature, limit):
            weigh([self], {feature: limit})
        return self._weights[feature][1]

    def hash_values(self, features: Iterable[str]) -> None:
        """Hash the values of several features at once."""
        news = [name for name in features if name not in self._hashes]
        values = {name: self.part(name).values for name in news}
        for kind in {array.type for array in values.values()}:
            names = [name for name in news if values[name].type == kind]
            sizes = [len(values[name]) for name in names]
            hashes = hash_values(pa.concat_arrays([values[name] for name in names]), repeats=False)
            self._hashes |= zip(names, np.split(hashes, np.cumsum(sizes)[:-1]), strict=True)

    def _knows(self, feature: str, limit: int) -> bool:
        return feature in self._weights and self._weights[feature][0] == limit

    def samples(self, limits: Mapping[str, int]) -> dict[str, Sample]:
        """Samples of the features of which no weights are known, below their limits."""
        news = [name for name, limit in limits.items() if not self._knows(name, limit)]
        sampled = [name for name in news if limits[name] < HASH_RANGE]
        self.hash_values(sampled)
        for name in set(news) - set(sampled):
            self._weights[name] = (HASH_RANGE, np.ones(self.part(name).rows.size))
        return {name: self._sample(name, limits[name]) for name in sampled}

    def _sample(self, feature: str, limit: int) -> Sample:
        part, hashed, _ = self._held[feature]
        hashes = self._hashes[feature]
        if hashed is None:
            hashed = HashedCounters.empty(self.counts.max_values)
            hashed.add(hashes, part.rows, part.clicks)
        below = hashes < np.uint64(limit)
        return Sample(hashed, hashes[below], part.rows[below], part.clicks[below], limit)

    def learn(self, feature: str, limit: int, weights: Floats) -> None:
        """Keep weights of a sample of `samples`."""
        self._weights[feature] = (limit, weights)


def weigh(windows: Sequence[WindowValues], limits: Mapping[str, int]) -> None:
    """Find the weights of several features in several windows at once; those that are known stay.

    Args:
        windows: The windows.
        limits: Of the hash, by feature: at most the `hash_limit` of each window.
    """
    asked = [(window, name, sample) for window in windows for name, sample in window.samples(limits).items()]
    found = sample_weights([sample for _, _, sample in asked])
    for (window, name, sample), weights in zip(asked, found, strict=True):
        window.learn(name, sample.limit, weights)
