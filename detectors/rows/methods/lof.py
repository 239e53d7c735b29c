"""Local outlier factor: how much sparser a row's surroundings are than those of the rows around it.

Breunig, Kriegel, Ng and Sander, "LOF: Identifying Density-Based Local Outliers", SIGMOD 2000. With N(p) the k nearest
rows of the training data,

    reach(p, o) = max(k-distance(o), |p - o|)                       definition 5
    density(p)  = 1 / mean over o in N(p) of reach(p, o)            definition 6
    LOF(p)      = mean over o in N(p) of density(o) / density(p)    definition 7

The rows of the training data have their k-distances and densities from each other, a scored row has its density from
them. LOF is about 1 inside a cluster, whatever its density.

More than k duplicate rows would have an infinite density. The paper proposes k distinct neighbours then (below
definition 6); we store only distinct rows, so duplicates do not count.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.neighbours.products import BLOCK
from sparsewatch.detectors.neighbours.search import NearestSearch
from sparsewatch.detectors.rows.methods.knn import MAX_REFERENCE, check_neighbours, draw_reference
from sparsewatch.detectors.rows.methods.scorer import Report, Rows, State, Tensors, in_chunks

#: Neighbours compared.
NEIGHBOURS = 20
#: Added to a mean distance: a density is at most 1e10, as in scikit-learn.
_EPSILON = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class LofScorer:
    """Distinct rows of the training data with their densities, 12 bytes a number; scored as fast as `knn`."""

    #: float32 of shape (m, d).
    reference: Rows
    #: Distance of each to its k-th nearest other, float32 of shape (m,).
    k_distances: NDArray[np.float32]
    #: Local reachability density of each, float32 of shape (m,).
    densities: NDArray[np.float32]
    search: NearestSearch
    k: int

    @property
    def n_features(self) -> int:
        """Width of the rows."""
        return int(self.reference.shape[1])

    def score(self, X: Rows) -> NDArray[np.float32]:
        """The local outlier factor, shape (n,), positive."""

        def scored(rows: Rows) -> NDArray[np.float64]:
            distances, places = self.search.k_nearest(rows, self.k)
            around = self.densities[places].mean(axis=1, dtype=np.float64)
            factors: NDArray[np.float64] = around / _densities(distances, self.k_distances[places])
            return factors

        return in_chunks(X, (), scored, step=BLOCK)

    def terms(self, X: Rows) -> NDArray[np.float32]:
        """Squared difference of each feature from the mean of the k nearest rows: a stand-in, the score is no sum."""

        def scored(rows: Rows) -> NDArray[np.float32]:
            _, places = self.search.k_nearest(rows, self.k)
            terms: NDArray[np.float32] = np.square(rows - self.reference[places].mean(axis=1))
            return terms

        return in_chunks(X, (self.n_features,), scored, step=BLOCK)

    def to_state(self) -> State:
        """See `RowScorer`."""
        tensors = {"reference": self.reference, "k_distances": self.k_distances, "densities": self.densities}
        return tensors, {"k": self.k}


def fit_lof(
    X: Rows,
    seed: int,
    report: Report | None = None,
    *,
    k: int = NEIGHBOURS,
    max_reference: int = MAX_REFERENCE,
) -> LofScorer:
    """Densities of the rows, or of a sample of them; see `scorer.Fit`.

    Args:
        X: Encoded rows.
        seed: Draws the sample.
        report: Not called: a search among 20,000 rows takes a second or two.
        k: Neighbours, from 1; at most the number of distinct rows less 1.
        max_reference: Most rows used, from 2.

    Raises:
        ConfigError: If a setting is out of range.
    """
    del report
    check_neighbours(k, max_reference)
    reference = np.unique(draw_reference(X, max_reference, seed), axis=0)
    if len(reference) == 1:
        return _alone(reference)
    k = min(k, len(reference) - 1)
    search = NearestSearch.over(reference, k)
    distances, places = search.k_nearest(reference, k, exclude=np.arange(len(reference)))
    k_distances = distances[:, -1]
    densities = _densities(distances, k_distances[places]).astype(np.float32)
    return LofScorer(reference, np.ascontiguousarray(k_distances), densities, search, k)


def read_lof(tensors: Tensors, meta: dict[str, Any]) -> LofScorer:
    """The scorer of `to_state`; raises KeyError or ValueError where something is missing or odd."""
    reference, k_distances, densities = (tensors[name] for name in ("reference", "k_distances", "densities"))
    k = int(meta["k"])
    if not 1 <= k <= len(reference) or not len(k_distances) == len(densities) == len(reference):
        raise ValueError(f"k = {k} and {len(k_distances)}, {len(densities)} figures of {len(reference)} rows")
    return LofScorer(reference, k_distances, densities, NearestSearch.over(reference, k), k)


def _densities(distances: NDArray[np.float32], k_distances: NDArray[np.float32]) -> NDArray[np.float64]:
    """Definition 6 from the distances of k neighbours and their k-distances, both of shape (n, k)."""
    reach = np.maximum(distances, k_distances)
    densities: NDArray[np.float64] = 1 / (reach.mean(axis=1, dtype=np.float64) + _EPSILON)
    return densities


def _alone(reference: Rows) -> LofScorer:
    """Scorer of a single distinct row, which has no neighbour: the factor grows with the distance from it."""
    unit = np.ones(1, dtype=np.float32)
    return LofScorer(reference, unit, unit, NearestSearch.over(reference, 1), 1)
