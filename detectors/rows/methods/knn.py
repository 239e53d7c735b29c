"""Distance to the k-th nearest row of the training data, or the mean distance to the k nearest.

Ramaswamy, Rastogi and Shim, "Efficient Algorithms for Mining Outliers from Large Data Sets", SIGMOD 2000, rank rows by
the distance to the k-th neighbour; Angiulli and Pizzuti, "Fast Outlier Detection in High Dimensional Spaces", PKDD
2002, by the sum of the distances to all k, of which we take the mean.

A row of the training data that is scored again is compared with itself, too.
"""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.neighbours.products import BLOCK
from sparsewatch.detectors.neighbours.search import NearestSearch
from sparsewatch.detectors.rows.methods.scorer import Report, Rows, State, Tensors, in_chunks
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import Count, Range, check_range

Aggregate: TypeAlias = Literal["largest", "mean"]

#: Neighbours compared.
NEIGHBOURS = 10
#: Most rows stored to compare with.
MAX_REFERENCE = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class KnnScorer:
    """The rows to compare with, 12 bytes a number; `make bench-row_speed` prints its speed."""

    #: float32 of shape (m, d).
    reference: Rows
    search: NearestSearch
    k: int
    aggregate: Aggregate

    @property
    def n_features(self) -> int:
        """Width of the rows."""
        return int(self.reference.shape[1])

    def score(self, X: Rows) -> NDArray[np.float32]:
        """Distance to the k-th nearest row, or mean over the k nearest, at least 0, shape (n,)."""

        def scored(rows: Rows) -> NDArray[np.float32]:
            distances, _ = self.search.k_nearest(rows, self.k)
            return distances[:, -1] if self.aggregate == "largest" else distances.mean(axis=1)

        return in_chunks(X, (), scored, step=BLOCK)

    def terms(self, X: Rows) -> NDArray[np.float32]:
        """Squared difference of each feature from the k nearest rows, mean over these."""

        def scored(rows: Rows) -> NDArray[np.float32]:
            _, places = self.search.k_nearest(rows, self.k)
            terms: NDArray[np.float32] = np.square(rows[:, None] - self.reference[places]).mean(axis=1)
            return terms

        return in_chunks(X, (self.n_features,), scored, step=BLOCK)

    def to_state(self) -> State:
        """See `RowScorer`."""
        return {"reference": self.reference}, {"k": self.k, "aggregate": self.aggregate}


def fit_knn(
    X: Rows,
    seed: int,
    report: Report | None = None,
    *,
    k: int = NEIGHBOURS,
    aggregate: Aggregate = "largest",
    max_reference: int = MAX_REFERENCE,
) -> KnnScorer:
    """Store the rows, or a sample of them; see `scorer.Fit`.

    Args:
        X: Encoded rows.
        seed: Draws the sample.
        report: Not called: it is done at once.
        k: Neighbours, from 1; at most the number of rows less 1.
        aggregate: `largest` for the distance to the k-th nearest, `mean` for the mean over the k nearest.
        max_reference: Most rows stored, from 2.

    Raises:
        ConfigError: If a setting is out of range.
    """
    del report
    check_neighbours(k, max_reference)
    if aggregate not in ("largest", "mean"):
        raise ConfigError(f"aggregate: expected 'largest' or 'mean', got {aggregate!r}")
    reference = draw_reference(X, max_reference, seed)
    return _scorer(reference, max(1, min(k, len(reference) - 1)), aggregate)


def read_knn(tensors: Tensors, meta: dict[str, Any]) -> KnnScorer:
    """The scorer of `to_state`; raises KeyError or ValueError where something is missing or odd."""
    reference, k, aggregate = tensors["reference"], int(meta["k"]), meta["aggregate"]
    if not 1 <= k <= len(reference) or aggregate not in ("largest", "mean"):
        raise ValueError(f"k = {k} of {len(reference)} rows, aggregate {aggregate!r}")
    return _scorer(reference, k, aggregate)


def draw_reference(X: Rows, most: int, seed: int) -> Rows:
    """All rows, or a sample without replacement in their order, shape (min(n, most), d)."""
    if len(X) <= most:
        return np.ascontiguousarray(X)
    return X[np.sort(np.random.default_rng(seed).choice(len(X), most, replace=False))]


def check_neighbours(k: int, max_reference: int) -> None:
    """Refuse settings out of range.

    Raises:
        ConfigError: If k is below 1 or `max_reference` below 2.
    """
    check_range(Count, k, "k")
    check_range(Range(at_least=2), max_reference, "max_reference")


def _scorer(reference: Rows, k: int, aggregate: Aggregate) -> KnnScorer:
    return KnnScorer(reference, NearestSearch.over(reference, k), k, aggregate)
