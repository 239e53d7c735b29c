"""The nearest rows of a reference, Euclidean and exact.

In many dimensions matrix products propose candidates (`products`), in few a k-d tree. The distances of candidates are
summed in float64 from the differences, so the result is that of comparing all distances in float64, whatever the
blocks. Where rows lie apart by little beside their distance from the mean, there are more candidates, and the search is
slow rather than wrong.

Products cost 2 m n d operations (`make bench-neighbours`).
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sparsewatch.detectors.neighbours.products import BLOCK, GATHERED, Indices, Matrix, Products
from sparsewatch.detectors.torch_threads import torch_threads
from sparsewatch.schemas.errors import ConfigError, SchemaError

Neighbours: TypeAlias = tuple[NDArray[np.float32], Indices]

#: Greatest number, either sign: squares fit a float32.
LARGEST = 1e15
#: A candidate takes some 50 bytes.
_PAIRS = 1 << 22
#: Columns up to which a tree is faster, on normal rows.
_TREE_COLUMNS = 6
#: Rounding of distances in float64 is far less.
_TREE_MARGIN = 1 + 1e-9


def k_nearest(
    queries: Matrix, reference: Matrix, k: int, *, threads: int = 1, exclude: Indices | None = None
) -> Neighbours:
    """The k nearest reference rows of each query; see `NearestSearch` for a reference that serves often.

    Raises:
        ConfigError: See `NearestSearch.k_nearest`.
        SchemaError: See `NearestSearch.over`.
    """
    return NearestSearch.over(reference, k).k_nearest(queries, k, threads=threads, exclude=exclude)


@dataclass(frozen=True, slots=True, eq=False)
class NearestSearch:
    """A reference made ready; about 8 bytes a float32 number."""

    #: Rows that are searched, shape (searched, d), and the place of each in the reference, ascending.
    rows: Matrix
    places: Indices
    #: Rows of the reference.
    n: int
    #: Largest k that may be asked for.
    most: int
    products: Products
    tree: Any
    #: Candidates of a block of queries; of more, it is halved.
    pairs: int

    @classmethod
    def over(cls, reference: Matrix, most: int, *, pairs: int = _PAIRS) -> "NearestSearch":
        """Make a reference ready.

        Args:
            reference: Rows of shape (n, d), within +-1e15, n and d from 1; not copied where it can be helped.
            most: Largest k that will be asked for, from 1.
            pairs: Candidates compared together, from 1; results do not depend on it.

        Raises:
            SchemaError: If the reference is no such matrix.
        """
        _check_matrix(reference, "reference")
        if not reference.size:
            raise SchemaError(f"reference: expected rows and columns, got shape {reference.shape}")
        # Equal rows come in the order of their places: of more than k + 1, the last are never neighbours.
        places = np.flatnonzero(_earlier_copies(reference) <= most)
        rows = reference if len(places) == len(reference) else reference[places]
        tree = cKDTree(rows) if rows.shape[1] <= _TREE_COLUMNS else None
        return cls(rows, places, len(reference), most, Products.over(rows, most + 1), tree, pairs)

    def k_nearest(self, queries: Matrix, k: int, *, threads: int = 1, exclude: Indices | None = None) -> Neighbours:
        """The k nearest reference rows of each query.

        Args:
            queries: Rows of shape (m, d), within +-1e15.
            k: Neighbours, from 1 to `most`, and no more than there are.
            threads: Blocks of queries worked on at once, from 1.
            exclude: For each query the place of a reference row that does not count (its own), int64 of shape (m,).

        Returns:
            Distances, float32 of shape (m, k), ascending, and places in the reference, int64 of shape (m, k). Ties,
            compared in float64, are in the order of their places. A query's result does not depend on the others.

        Raises:
            ConfigError: If k is out of range.
            SchemaError: If the queries are no such matrix.
        """
        _check_matrix(queries, "queries")
        if queries.shape[1] != self.rows.shape[1]:
            raise SchemaError(f"queries: expected {self.rows.shape[1]} columns, got {queries.shape[1]}")
        available = self.n - (exclude is not None)
        if not 1 <= k <= min(self.most, available):
            raise ConfigError(f"k: expected 1 to {min(self.most, available)} neighbours, got {k}")
        distances = np.empty((len(queries), k), dtype=np.float32)
        places = np.empty((len(queries), k), dtype=np.int64)

        def work(start: int) -> None:
            block = slice(start, start + BLOCK)
            excluded = None if exclude is None else exclude[block]
            distances[block], places[block] = self._of_block(queries[block], k, excluded)

        _for_each(work, range(0, len(queries), BLOCK), threads)
        return distances, places

    def _of_block(self, queries: Matrix, k: int, exclude: Indices | None) -> Neighbours:
        wanted = k + (exclude is not None)
        if self.tree is None or wanted >= len(self.rows):
            return self._by_products(queries, k, exclude)
        distances, proposed = self.tree.query(queries, k=wanted + 1)
        query = np.repeat(np.arange(len(queries)), wanted + 1)
        found = self._closest(queries, query, proposed.reshape(-1), k, exclude)
        # Where the next neighbour is as near, the tree does not tell which has the lower place.
        tied = np.flatnonzero(distances[:, -1] <= distances[:, -2] * _TREE_MARGIN)
        if len(tied):
            again = self._by_products(queries[tied], k, None if exclude is None else exclude[tied])
            found[0][tied], found[1][tied] = again
        return found

    def _by_products(self, queries: Matrix, k: int, exclude: Indices | None) -> Neighbours:
        near = self.products.near_groups(queries, k + (exclude is not None))
        if len(queries) > 1 and len(near.query) * self.products.group > self.pairs:
            middle = len(queries) // 2
            halves = [
                self._by_products(queries[half], k, None if exclude is None else exclude[half])
                for half in (slice(middle), slice(middle, None))
            ]
            distances, places = zip(*halves, strict=True)
            return np.concatenate(distances), np.concatenate(places)
        return self._closest(queries, *self.products.members(near), k, exclude)

    def _closest(self, queries: Matrix, query: Indices, row: Indices, k: int, exclude: Indices | None) -> Neighbours:
        """The k closest of candidate pairs, at least k a query, all of a query's neighbours among them."""
        if exclude is not None:
            others = self.places[row] != exclude[query]
            query, row = query[others], row[others]
        squares = _squares(queries, self.rows, query, row)
        order = np.lexsort((row, squares, query))
        first = np.searchsorted(query[order], np.arange(len(queries)))
        chosen = order[first[:, None] + np.arange(k)]
        return np.sqrt(squares[chosen]).astype(np.float32), self.places[row[chosen]]


def _squares(queries: Matrix, rows: Matrix, query: Indices, row: Indices) -> NDArray[np.float64]:
    """Squared distance of each pair, by differences."""
    squares = np.empty(len(query))
    step = max(1, GATHERED // rows.shape[1])
    for start in range(0, len(query), step):
        part = slice(start, start + step)
        squares[part] = np.square(np.subtract(queries[query[part]], rows[row[part]], dtype=np.float64)).sum(axis=1)
    return squares


def _earlier_copies(rows: Matrix) -> Indices:
    """How many equal rows come before each, shape (n,)."""
    # Adding 0 makes -0 a 0: equal numbers have equal bytes.
    packed = np.ascontiguousarray(rows + rows.dtype.type(0)).view(np.dtype((np.void, rows.itemsize * rows.shape[1])))
    _, inverse, counts = np.unique(packed[:, 0], return_inverse=True, return_counts=True)
    order = np.argsort(inverse, kind="stable")
    copies = np.empty(len(rows), dtype=np.int64)
    copies[order] = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return copies


def _check_matrix(X: Matrix, name: str) -> None:
    if X.ndim != 2 or X.dtype not in (np.float32, np.float64):
        raise SchemaError(f"{name}: expected a matrix of float32 or float64, got shape {X.shape} of {X.dtype}")
    if wrong := X.size - np.count_nonzero(np.abs(X) <= LARGEST):
        raise SchemaError(f"{name}: expected numbers within +-{LARGEST:g}, got {wrong} that are not")


def _for_each(work: Callable[[int], None], starts: range, threads: int) -> None:
    with torch_threads(1):
        if threads == 1 or len(starts) < 2:
            for start in starts:
                work(start)
            return
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, starts))
