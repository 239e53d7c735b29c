"""Mean shift: rows moved towards the rows around them, as arXiv 2304.00709 does before it compares them.

A reference D^(0) of n rows is moved m times: each member of D^(i) is the mean of itself and its k - 1 nearest among the
other members of D^(i-1). A row that is not a member moves likewise: at step i to the mean of itself and its k - 1
nearest members of D^(i-1). Distances are Euclidean. The row itself counts explicitly, so that duplicate rows are
neither lost nor counted twice. With no shift or k = 1 nothing moves, to the bit. An outlier moves far, an inlier
hardly: the reconstruction of a row is then compared with the moved row.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from sparsewatch.detectors.neighbours.products import Indices
from sparsewatch.detectors.neighbours.search import NearestSearch
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import CountOrNone, check_range

Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class ShiftReference:
    """Levels D^(0) to D^(m-1) of a reference, ready to move rows m times."""

    #: Rows that are averaged, the row itself included.
    k: int
    searches: tuple[NearestSearch, ...]
    levels: tuple[Rows, ...]

    @classmethod
    def of_levels(cls, levels: Sequence[Rows], k: int) -> "ShiftReference":
        """Of levels already computed, each of shape (n, d)."""
        return cls(k, tuple(NearestSearch.over(level, max(1, k - 1)) for level in levels), tuple(levels))

    def shift(self, rows: Rows, threads: int = 1) -> Rows:
        """x^(m) of rows of shape (m, d) that are not members; a row's result does not depend on the other rows."""
        for search, level in zip(self.searches, self.levels, strict=True):
            if self.k > 1:
                rows = _means(rows, level, search.k_nearest(rows, self.k - 1, threads=threads)[1])
        return rows


def shift_reference(reference: Rows, k: int, shifts: int, threads: int = 1) -> ShiftReference:
    """Compute the levels that `shifts` shifts need.

    Costs shifts - 1 searches of all members among all, see `sparsewatch.detectors.neighbours.search`.

    Args:
        reference: D^(0), shape (n, d), n >= 1.
        k: From 1 to n.
        shifts: m, from 0.
        threads: Of the neighbour search.

    Raises:
        ConfigError: If `k` or `shifts` is out of range.
        SchemaError: See `sparsewatch.detectors.neighbours.search.NearestSearch.over`.
    """
    check_shift(k, shifts, len(reference))
    levels = [reference][:shifts]
    while len(levels) < shifts:
        levels.append(shift_members(levels[-1], k, threads))
    return ShiftReference.of_levels(levels, k)


def shift_members(members: Rows, k: int, threads: int = 1) -> Rows:
    """D^(i) of D^(i-1), shape (n, d): each member to the mean of itself and its k - 1 nearest others.

    Raises:
        ConfigError: If `k` is not from 1 to n.
    """
    check_shift(k, 1, len(members))
    if k == 1:
        return members
    own = np.arange(len(members))
    neighbours = NearestSearch.over(members, k - 1).k_nearest(members, k - 1, threads=threads, exclude=own)[1]
    return _means(members, members, neighbours)


def check_shift(k: int, shifts: int, n: int) -> None:
    """Refuse a neighbourhood or a number of shifts that `n` reference rows don't allow; raises ConfigError."""
    if not 1 <= k <= n:
        raise ConfigError(f"k: expected 1 to {n}, the rows of the reference, got {k}")
    check_range(CountOrNone, shifts, "shifts")


def shifts_of_many(
    members: Rows, others: Rows, most_shifts: Mapping[int, int], threads: int = 1
) -> Iterator[tuple[int, int, Rows, Rows]]:
    """Members and other rows after each number of shifts, for several k.

    The first shifts of all k share a neighbour search; each further shift costs, for each k, a search of members and
    others among the members.

    Args:
        members: D^(0), shape (n, d).
        others: Rows that are not members, shape (m, d).
        most_shifts: Number of shifts of each k; each k from 1 to n.
        threads: Of the neighbour search.

    Yields:
        k, number of shifts i from 1, D^(i), and the others' x^(i); by k ascending.
    """
    ks = sorted(most_shifts)
    check_shift(ks[-1], 0, len(members))
    nearest = _Neighbours.of(members, others, ks[-1], threads)
    for k in ks:
        moved = nearest.means(members, others, k)
        yield k, 1, *moved
        for i in range(2, most_shifts[k] + 1):
            moved = _Neighbours.of(*moved, k, threads).means(*moved, k)
            yield k, i, *moved


@dataclass(frozen=True, slots=True, eq=False)
class _Neighbours:
    """Nearest members of each member, without itself, and of each other row."""

    of_members: Indices
    of_others: Indices

    @classmethod
    def of(cls, members: Rows, others: Rows, k: int, threads: int) -> "_Neighbours":
        if k == 1:
            return cls(np.empty((len(members), 0), np.int64), np.empty((len(others), 0), np.int64))
        search = NearestSearch.over(members, k - 1)
        own = np.arange(len(members))
        return cls(
            search.k_nearest(members, k - 1, threads=threads, exclude=own)[1],
            search.k_nearest(others, k - 1, threads=threads)[1],
        )

    def means(self, members: Rows, others: Rows, k: int) -> tuple[Rows, Rows]:
        return (
            _means(members, members, self.of_members[:, : k - 1]),
            _means(others, members, self.of_others[:, : k - 1]),
        )


def _means(rows: Rows, members: Rows, neighbours: Indices) -> Rows:
    """Mean of each row, shape (m, d), and its neighbours, shape (m, k - 1); summed in order of distance."""
    m, others = neighbours.shape
    if others == 0:
        return rows
    starts = np.arange(0, m * others + 1, others)
    ones = np.ones(m * others, dtype=np.float32)
    sums = csr_array((ones, neighbours.ravel(), starts), shape=(m, len(members))) @ members
    means: Rows = (rows + sums) / np.float32(others + 1)
    return means
