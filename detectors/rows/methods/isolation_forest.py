"""Isolation forest: rows that few random cuts isolate are anomalous (Liu, Ting and Zhou, ICDM 2008).

scikit-learn grows the trees; they are stored as arrays and walked here. A tree is laid out as a heap: the children of
node i are 2 i + 1 and 2 i + 2, and a leaf above the last level hands its rows down to the left.

With c(m) the mean depth at which a random tree of m rows isolates a row (eq. 1), a cut that leads from a
node of m rows to one of k shortens the path of a row by c(m) - 1 - c(k), which is negative where the row stays among
many. These add up to c(m_root) - h(x), with h the path length of the paper. Hence its score (eq. 2) is

    s(x) = 2 ^ (shortening(x) / c(m_root) - 1)        shortening: mean over the trees
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.rows.methods.scorer import Report, Rows, State, Tensors, in_chunks

#: Rows walked at once: their nodes in all trees stay in a core's cache.
_STEP = 512

Nodes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class IsolationForestScorer:
    """t trees of D levels of cuts; 100 trees of 256 rows take 0.4 MB.

    Nearly as fast as scikit-learn's own; `make bench-row_speed` prints its speed.
    """

    n_features: int
    #: Feature that a node cuts, int32 of shape (t, 2^D - 1).
    feature: NDArray[np.int32]
    #: Rows up to it go left, float32 of shape (t, 2^D - 1); infinity below a leaf.
    threshold: NDArray[np.float32]
    #: By how much the cut above a node shortens the path, over c(m_root), float32 of shape (t, 2^(D+1) - 1).
    shortening: NDArray[np.float32]

    def score(self, X: Rows) -> NDArray[np.float32]:
        """The paper's score, in (0, 1); 0.5 if no row can be isolated."""
        summed = _summed_down(self.shortening)

        def scored(chunk: Rows) -> NDArray[Any]:
            for nodes in self._walk(chunk):
                leaves = nodes
            shortened: NDArray[np.float32] = _of_nodes(summed, leaves).mean(axis=0)
            return np.exp2(shortened - 1)

        return in_chunks(X, (), scored, step=_STEP)

    def terms(self, X: Rows) -> NDArray[np.float32]:
        """Shortening by the cuts of each feature, over c(m_root): these add up to 1 + log2 of the score."""
        return in_chunks(X, (self.n_features,), self._terms, step=_STEP)

    def to_state(self) -> State:
        """See `RowScorer`."""
        tensors = {"feature": self.feature, "threshold": self.threshold, "shortening": self.shortening}
        return tensors, {"n_features": self.n_features}

    def _walk(self, chunk: Rows) -> Iterator[Nodes]:
        """Node of each row in each tree, shape (t, n), level by level from the root."""
        columns, rows = np.ascontiguousarray(chunk.T).ravel(), np.arange(len(chunk))
        first_rows = self.feature.astype(np.int64) * len(chunk)
        nodes = np.zeros((len(self.feature), len(chunk)), dtype=np.int64)
        yield nodes
        for _ in range(_levels(self.shortening)):
            numbers = columns.take(_of_nodes(first_rows, nodes) + rows)
            nodes = 2 * nodes + 1 + (numbers > _of_nodes(self.threshold, nodes))
            yield nodes

    def _terms(self, chunk: Rows) -> NDArray[np.float64]:
        first_terms = np.arange(len(chunk)) * self.n_features
        total = np.zeros(len(chunk) * self.n_features)
        walk = self._walk(chunk)
        above = next(walk)
        for nodes in walk:
            places = _of_nodes(self.feature, above) + first_terms
            shortened = _of_nodes(self.shortening, nodes).ravel()
            total += np.bincount(places.ravel(), shortened, minlength=len(total))
            above = nodes
        return total.reshape(len(chunk), self.n_features) / len(self.feature)


def fit_isolation_forest(
    X: Rows, seed: int, report: Report | None = None, *, n_trees: int = 100, tree_rows: int = 256
) -> IsolationForestScorer:
    """Grow a forest; see `sparsewatch.detectors.rows.methods.scorer.Fit`.

    Args:
        X: Encoded rows.
        seed: Of the drawn rows and the cuts.
        report: Not called: the fit takes a second.
        n_trees: Trees, from 1; the paper's number.
        tree_rows: Rows drawn for a tree, at most all; the paper's number.
    """
    from sklearn.ensemble import IsolationForest

    del report
    forest = IsolationForest(n_estimators=n_trees, max_samples=min(tree_rows, len(X)), random_state=seed % 2**32)
    trees = [tree.tree_ for tree in forest.fit(X).estimators_]
    levels = max(tree.max_depth for tree in trees)
    laid_out = [_heap(tree, levels) for tree in trees]
    feature, threshold, shortening = (np.stack(arrays) for arrays in zip(*laid_out, strict=True))
    return IsolationForestScorer(n_features=X.shape[1], feature=feature, threshold=threshold, shortening=shortening)


def read_isolation_forest(tensors: Tensors, meta: dict[str, Any]) -> IsolationForestScorer:
    """The scorer of `to_state`; raises KeyError or ValueError where something is missing or odd."""
    arrays = {name: np.asarray(tensors[name]) for name in ("feature", "threshold", "shortening")}
    trees, nodes = arrays["shortening"].shape
    if any(arrays[name].shape != (trees, nodes // 2) for name in ("feature", "threshold")):
        raise ValueError(f"expected {nodes // 2} cuts in each of {trees} trees, got {arrays['feature'].shape}")
    return IsolationForestScorer(n_features=int(meta["n_features"]), **arrays)


def mean_depth(rows: NDArray[Any]) -> NDArray[np.float64]:
    """c(m) of numbers of rows m, eq. 1 with H(i) = ln i + Euler's constant; 1 of two rows and 0 of one."""
    m = np.maximum(rows, 3).astype(np.float64)
    many = 2 * (np.log(m - 1) + np.euler_gamma) - 2 * (m - 1) / m
    return np.where(rows > 2, many, np.where(rows == 2, 1.0, 0.0))


def _heap(tree: Any, levels: int) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """Feature, threshold and shortening of scikit-learn's tree, in the layout above."""
    nodes, shortening = np.zeros(1, dtype=np.int64), [np.zeros(1)]
    features, thresholds = [np.empty(0)], [np.empty(0)]
    depth = mean_depth(tree.n_node_samples)
    for _ in range(levels):
        leaf = tree.children_left[nodes] < 0
        features.append(np.where(leaf, 0, tree.feature[nodes]))
        thresholds.append(np.where(leaf, np.inf, tree.threshold[nodes]))
        children = np.stack([tree.children_left[nodes], tree.children_right[nodes]])
        children = np.where(leaf, nodes, children).T
        shortening.append(np.where(leaf, 0, depth[nodes] - 1 - depth[children.T]).T.ravel())
        nodes = children.ravel()
    root = depth[0] or 1.0
    return (
        np.concatenate(features).astype(np.int32),
        _not_above(np.concatenate(thresholds)),
        (np.concatenate(shortening) / root).astype(np.float32),
    )


def _not_above(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 that is not above: a float32 is above it if it is above the float64."""
    nearest = thresholds.astype(np.float32)
    lower = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest > thresholds, lower, nearest)


def _levels(shortening: NDArray[np.float32]) -> int:
    return int(shortening.shape[1] + 1).bit_length() - 2


def _summed_down(shortening: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum from the root down to each node, same shape."""
    summed = shortening.copy()
    for level in range(1, _levels(shortening) + 1):
        above, here = slice(2 ** (level - 1) - 1, 2**level - 1), slice(2**level - 1, 2 ** (level + 1) - 1)
        summed[:, here] += np.repeat(summed[:, above], 2, axis=1)
    return summed


def _of_nodes(values: NDArray[Any], nodes: Nodes) -> NDArray[Any]:
    """`values` of shape (t, any) at nodes of shape (t, n)."""
    first = np.arange(len(values))[:, None] * values.shape[1]
    taken: NDArray[Any] = values.ravel().take(first + nodes)
    return taken
