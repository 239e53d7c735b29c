"""Which combinations of features to measure in which round, when there are too many for each.

The public `outrank` sorts all combinations by how often they were measured, each round. Here the same balance comes in
closed form: the P combinations are put in a fixed pseudo-random cycle, and round r takes the next `per_round` of it. So
after b rounds of m each was measured floor(b m / P) times or once more. Any worker computes any round, or its part of
one, without state, and nothing of size P is held: a place in the cycle is turned into a rank by a Feistel network over
[0, a) x [0, b) with a b >= P, walking on where it leaves [0, P) (Black and Rogaway, CT-RSA 2002, methods 2 and 3), and
a rank into a combination by the combinatorial number system (Knuth, TAOCP 4A, sec. 7.2.1.3).
"""

import hashlib
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.counts.value_hashes import Hashes, mix
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import Count, check_range

Ints = NDArray[np.int64]

#: Rounds of the Feistel network; more do not mix visibly better.
FEISTEL_ROUNDS = 8
#: Combinations that can be ranked: the network's numbers stay below 2**63.
MAX_COMBINATIONS = 2**62


class CombinationSchedule:
    """Least-sampled-first order of all combinations of features.

    It depends on the set of names alone: not on their order, on the worker or on what was measured before. State:
    8 bytes a feature and order.

    Args:
        features: Distinct names.
        order: Features of a combination, at least 1.
        per_round: Combinations a round may take, at least 1.

    Raises:
        ConfigError: If a name is given twice, a number is too small, or there are more than 2**62 combinations.
    """

    def __init__(self, features: Sequence[str], order: int, per_round: int) -> None:
        if len(set(features)) != len(features):
            raise ConfigError(f"features: expected distinct names, got {list(features)}")
        if not 1 <= order <= len(features):
            raise ConfigError(f"interaction order: expected 1 to {len(features)}, the number of features, got {order}")
        check_range(Count, per_round, "combinations per round")
        self.features = tuple(features)
        self.order = order
        #: Number of combinations, P.
        self.n_combinations = math.comb(len(features), order)
        if self.n_combinations > MAX_COMBINATIONS:
            raise ConfigError(f"expected at most 2**62 combinations, got {self.n_combinations}: lower the order")
        #: Combinations each round takes.
        self.per_round = min(per_round, self.n_combinations)
        self._places = np.array(sorted(range(len(features)), key=lambda i: features[i]), np.int64)
        self._keys = _keys(sorted(features), order)
        self._binomials = [_binomials(len(features), k) for k in range(1, order + 1)]

    def round(self, number: int, worker: int = 0, workers: int = 1) -> Ints:
        """The combinations of a round, or a worker's part of them.

        Args:
            number: Round, >= 0.
            worker: Which part, in [0, workers).
            workers: Parts; together they are the round, and none shares a combination with another.

        Returns:
            Positions in `features`, ascending in each row, shape (per_round, order) for one worker.

        Raises:
            ConfigError: If a number is out of range.
        """
        if number < 0 or not 0 <= worker < workers:
            raise ConfigError(f"expected a round >= 0 and a worker below {workers}, got {number} and {worker}")
        first, last = (part * self.per_round // workers for part in (worker, worker + 1))
        start = (number * self.per_round + first) % self.n_combinations
        ranks = _permute((start + np.arange(last - first)) % self.n_combinations, self.n_combinations, self._keys)
        return np.sort(self._places[self._unrank(ranks)], axis=1)

    def names(self, number: int, worker: int = 0, workers: int = 1) -> list[tuple[str, ...]]:
        """As `round`, by name, in the order of `features`."""
        chosen = self.round(number, worker, workers).tolist()
        return [tuple(self.features[i] for i in combination) for combination in chosen]

    def _unrank(self, ranks: Ints) -> Ints:
        """Combinations by rank: c_1 < c_2 < ... with the sum of C(c_k, k) equal to the rank."""
        combination = np.empty((ranks.size, self.order), np.int64)
        for k in range(self.order, 0, -1):
            table = self._binomials[k - 1]
            combination[:, k - 1] = np.searchsorted(table, ranks, side="right") - 1
            ranks = ranks - table[combination[:, k - 1]]
        return combination


def _binomials(n: int, k: int) -> Ints:
    """C(c, k) for c in 0 to n-1."""
    return np.array([math.comb(c, k) for c in range(n)], np.int64)


def _keys(names: Sequence[str], order: int) -> Hashes:
    """Keys of the Feistel rounds, from the names, each with its length before it."""
    digest = hashlib.blake2b(f"{order}".encode(), digest_size=8 * FEISTEL_ROUNDS)
    for name in names:
        encoded = name.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return np.frombuffer(digest.digest(), "<u8").astype(np.uint64)


def _permute(places: Ints, size: int, keys: Hashes) -> Ints:
    """A permutation of [0, size), at the places asked for."""
    width = math.isqrt(size - 1) + 1
    height = -(-size // width)
    ranks = _feistel(places, width, height, keys)
    while (outside := np.flatnonzero(ranks >= size)).size:
        ranks[outside] = _feistel(ranks[outside], width, height, keys)
    return ranks


def _feistel(places: Ints, width: int, height: int, keys: Hashes) -> Ints:
    """A permutation of [0, width * height)."""
    left, right = np.divmod(places, width)
    for i, key in enumerate(keys):
        if i % 2:
            left = (left + _noise(right, key, height)) % height
        else:
            right = (right + _noise(left, key, width)) % width
    return left * width + right


def _noise(x: Ints, key: np.uint64, below: int) -> Ints:
    return (mix(mix(x.astype(np.uint64) ^ key) + key) % np.uint64(below)).astype(np.int64)
