import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from sparsewatch.detectors.rows.methods.isolation_forest import fit_isolation_forest, mean_depth, read_isolation_forest


def rows(n: int, d: int, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) ** 3
    X[:, 0] = np.round(X[:, 0])
    return X.astype(np.float32)


def grown(X: NDArray[np.float32], seed: int, n_trees: int = 100, tree_rows: int = 256) -> IsolationForest:
    """scikit-learn's forest of the same settings."""
    forest = IsolationForest(n_estimators=n_trees, max_samples=min(tree_rows, len(X)), random_state=seed)
    return forest.fit(X)


@pytest.mark.parametrize(
    ("n", "d", "seed", "n_trees", "tree_rows"),
    [(1000, 5, 0, 100, 256), (300, 1, 1, 20, 256), (2, 3, 2, 10, 256), (1, 2, 3, 5, 256), (600, 40, 4, 7, 600)],
)
def test_scores_are_scikit_learns(n: int, d: int, seed: int, n_trees: int, tree_rows: int) -> None:
    X, later = rows(n, d), np.concatenate([rows(700, d, 9), np.full((1, d), -30, np.float32)])
    scorer = fit_isolation_forest(X, seed, n_trees=n_trees, tree_rows=tree_rows)
    expected = -grown(X, seed, n_trees, tree_rows).score_samples(later)
    np.testing.assert_allclose(scorer.score(later), expected, rtol=0, atol=1e-5)


def test_a_number_just_at_a_cut_goes_where_scikit_learn_sends_it() -> None:
    X = rows(500, 1)
    forest = grown(X, 0, 30)
    cuts = np.concatenate([tree.tree_.threshold[tree.tree_.feature >= 0] for tree in forest.estimators_])
    near = cuts.astype(np.float32)
    at_cuts = np.concatenate([near, np.nextafter(near, np.float32(-99)), np.nextafter(near, np.float32(99))])[:, None]
    scorer = fit_isolation_forest(X, 0, n_trees=30)
    np.testing.assert_allclose(scorer.score(at_cuts), -forest.score_samples(at_cuts), rtol=0, atol=1e-6)


def depth(m: int) -> float:
    """Eq. 1 of the paper."""
    if m <= 2:
        return float(m == 2)
    return 2 * (math.log(m - 1) + np.euler_gamma) - 2 * (m - 1) / m


def slow_terms(forest: IsolationForest, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Shortening by each feature's cuts, node by node."""
    terms = np.zeros(len(x))
    for tree in (estimator.tree_ for estimator in forest.estimators_):
        node = 0
        while tree.children_left[node] >= 0:
            goes_left = x[tree.feature[node]] <= tree.threshold[node]
            child = tree.children_left[node] if goes_left else tree.children_right[node]
            shorter = depth(tree.n_node_samples[node]) - 1 - depth(tree.n_node_samples[child])
            terms[tree.feature[node]] += shorter / depth(tree.n_node_samples[0])
            node = child
    return terms / len(forest.estimators_)


def test_terms_are_the_shortening_by_each_features_cuts() -> None:
    X, later = rows(400, 4), rows(12, 4, 9)
    expected = [slow_terms(grown(X, 7, 10), x) for x in later]
    np.testing.assert_allclose(fit_isolation_forest(X, 7, n_trees=10).terms(later), expected, atol=1e-6)


def test_a_feature_without_cuts_has_no_term() -> None:
    X = rows(300, 3)
    X[:, 1] = 0
    assert (fit_isolation_forest(X, 0).terms(rows(50, 3, 1))[:, 1] == 0).all()


def test_mean_depth_is_the_papers() -> None:
    np.testing.assert_allclose(mean_depth(np.arange(1, 600)), [depth(m) for m in range(1, 600)], rtol=1e-12)


def test_scaling_a_feature_does_not_change_the_scores() -> None:
    X = rows(400, 3)
    # Powers of two, so that no cut is rounded otherwise.
    scale = np.array([4, 0.5, 1], dtype=np.float32)
    plain, scaled = fit_isolation_forest(X, 0), fit_isolation_forest(X * scale, 0)
    np.testing.assert_allclose(scaled.score(X * scale), plain.score(X), atol=1e-6)


def test_trees_of_other_shapes_are_refused() -> None:
    tensors, meta = fit_isolation_forest(rows(100, 2), 0).to_state()
    cut: dict[str, Any] = dict(tensors) | {"threshold": tensors["threshold"][:, 1:]}
    with pytest.raises(ValueError, match="cuts in each of 100 trees"):
        read_isolation_forest(cut, meta)
