from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.neighbors import LocalOutlierFactor

from sparsewatch.detectors.rows.methods.lof import LofScorer, fit_lof, read_lof
from sparsewatch.detectors.rows.methods.scorer import Rows
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.training import train_row_model
from sparsewatch.schemas.errors import ConfigError


def clusters(n: int, d: int, seed: int = 0) -> Rows:
    """Two clusters, one ten times as dense, and something between them."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * rng.choice([0.1, 1], (n, 1))
    rows: Rows = (X + 3 * (X[:, :1] > 0)).astype(np.float32)
    return rows


@pytest.mark.parametrize(("n", "d", "k"), [(300, 2, 20), (500, 15, 20), (500, 15, 5), (60, 8, 1), (12, 3, 20)])
def test_scores_are_those_of_scikit_learn(n: int, d: int, k: int) -> None:
    X = clusters(n, d)
    rows = np.concatenate([clusters(200, d, 1), X[:20], 10 * clusters(50, d, 2)])
    peer = LocalOutlierFactor(n_neighbors=min(k, n - 1), novelty=True).fit(X)
    np.testing.assert_allclose(fit_lof(X, 0, k=k).score(rows), -peer.score_samples(rows), rtol=1e-4)


def test_a_row_apart_from_a_dense_cluster_is_odder_than_one_as_far_from_a_sparse_one() -> None:
    rng = np.random.default_rng(0)
    dense, sparse = 0.1 * rng.standard_normal((300, 2)), 20 + 3 * rng.standard_normal((300, 2))
    scorer = fit_lof(np.concatenate([dense, sparse]).astype(np.float32), 0)
    beside_dense, beside_sparse, inside = scorer.score(np.array([[1, 1], [21, 21], [0, 0]], dtype=np.float32))
    assert beside_dense > 5
    assert beside_sparse < 1.5
    assert inside < 1.5


def test_copies_of_rows_change_nothing() -> None:
    X, rows = clusters(100, 4), clusters(50, 4, 1)
    copied = np.concatenate([X, np.repeat(X[:3], 40, axis=0)])
    np.testing.assert_array_equal(fit_lof(copied, 0).score(rows), fit_lof(X, 0).score(rows))


@pytest.mark.parametrize("n", [1, 2, 50])
def test_scores_of_equal_rows_are_finite_and_grow_with_the_distance(n: int) -> None:
    scorer = fit_lof(np.ones((n, 3), dtype=np.float32), 0)
    scores = scorer.score(np.array([[1, 1, 1], [1, 1, 5], [30, 30, 30]], dtype=np.float32))
    assert scores[0] == 1
    np.testing.assert_allclose(scores, [1, 4, 29 * np.sqrt(3)], rtol=1e-6)


def test_rows_that_nearly_agree_have_finite_scores() -> None:
    X = np.ones((40, 2), dtype=np.float32)
    X[:, 0] += np.arange(40, dtype=np.float32) * np.finfo(np.float32).eps
    scorer = fit_lof(X, 0)
    assert np.isfinite(scorer.score(np.array([[1, 1], [-30, 30]], dtype=np.float32))).all()


def test_terms_are_squared_differences_from_the_mean_of_the_neighbours() -> None:
    X, rows = clusters(200, 6), clusters(100, 6, 1)
    _, nearest = LocalOutlierFactor(n_neighbors=9, novelty=True).fit(X).kneighbors(rows)
    expected = np.square(rows - X[nearest].mean(axis=1))
    np.testing.assert_allclose(fit_lof(X, 0, k=9).terms(rows), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("d", [3, 25])
def test_a_score_does_not_depend_on_the_rows_around_it(d: int) -> None:
    scorer, rows = fit_lof(clusters(700, d), 0), clusters(1_000, d, 1)
    for of in (scorer.score, scorer.terms):
        apart = np.concatenate([of(part) for part in np.split(rows, [1, 400, 400])])
        np.testing.assert_array_equal(apart, of(rows))


def test_the_reference_is_a_sample_by_the_seed() -> None:
    X, rows = clusters(300, 4), clusters(20, 4, 1)
    a, again, other = (fit_lof(X, seed, max_reference=60) for seed in (1, 1, 2))
    assert a.reference.shape == (60, 4)
    np.testing.assert_array_equal(a.score(rows), again.score(rows))
    assert (a.score(rows) != other.score(rows)).any()


def test_no_rows_have_no_scores() -> None:
    scorer = fit_lof(clusters(30, 4), 0)
    assert scorer.score(clusters(0, 4)).shape == (0,)
    assert scorer.terms(clusters(0, 4)).shape == (0, 4)


def test_a_stored_model_scores_to_the_bit(tmp_path: Path) -> None:
    table = pa.table({f"x{j}": column for j, column in enumerate(clusters(200, 5).T)})
    model = train_row_model(table, method="lof")
    model.save(tmp_path / "rows")
    again, rows = RowModel.load(tmp_path / "rows"), clusters(50, 5, 2)
    assert isinstance(again.scorer, LofScorer)
    np.testing.assert_array_equal(again.score_matrix(rows), model.score_matrix(rows))
    np.testing.assert_array_equal(again.attribute_matrix(rows), model.attribute_matrix(rows))


def test_odd_settings_and_states_are_refused() -> None:
    X = clusters(30, 2)
    with pytest.raises(ConfigError, match="k: expected a whole number of at least 1, got 0"):
        fit_lof(X, 0, k=0)
    with pytest.raises(ConfigError, match="max_reference: expected a number of at least 2, got 1"):
        fit_lof(X, 0, max_reference=1)
    tensors, meta = fit_lof(X, 0).to_state()
    with pytest.raises(ValueError, match="k = 31"):
        read_lof(tensors, meta | {"k": 31})
    with pytest.raises(ValueError, match="3, 30 figures of 30 rows"):
        read_lof({**tensors, "k_distances": X[:3, 0]}, meta)
