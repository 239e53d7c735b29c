import functools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.spatial.distance import cdist

from sparsewatch.detectors.rows.methods.knn import Aggregate, fit_knn, read_knn
from sparsewatch.detectors.rows.methods.scorer import Rows
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.training import train_row_model
from sparsewatch.schemas.errors import ConfigError


def normal_rows(n: int, d: int, seed: int = 0) -> Rows:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


@pytest.mark.parametrize("d", [1, 4, 30])
def test_scores_are_the_kth_distance_or_the_mean_of_k(d: int) -> None:
    X, rows = normal_rows(400, d), normal_rows(300, d, 1)
    slow = np.sort(cdist(rows.astype(np.float64), X.astype(np.float64)), axis=1)[:, :7]
    np.testing.assert_allclose(fit_knn(X, 0, k=7).score(rows), slow[:, -1], rtol=1e-6)
    np.testing.assert_allclose(fit_knn(X, 0, k=7, aggregate="mean").score(rows), slow.mean(axis=1), rtol=1e-6)


def test_terms_are_squared_differences_from_the_k_nearest() -> None:
    X, rows = normal_rows(400, 12), normal_rows(300, 12, 1)
    nearest = np.argsort(cdist(rows, X), axis=1)[:, :10]
    terms = fit_knn(X, 0).terms(rows)
    np.testing.assert_allclose(terms, np.square(rows[:, None] - X[nearest]).mean(axis=1), rtol=1e-5)
    mean_squares = np.square(np.sort(cdist(rows, X), axis=1)[:, :10]).mean(axis=1)
    np.testing.assert_allclose(terms.sum(axis=1), mean_squares, rtol=1e-5)


@pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 1), (5, 4), (11, 10), (12, 10)])
def test_few_rows_have_fewer_neighbours(n: int, k: int) -> None:
    scorer = fit_knn(normal_rows(n, 3), 0)
    assert scorer.k == k
    assert np.isfinite(scorer.score(normal_rows(20, 3, 1))).all()


def test_equal_rows_and_constant_features_are_borne() -> None:
    X = np.zeros((50, 4), dtype=np.float32)
    scorer = fit_knn(X, 0)
    assert scorer.score(X).tolist() == [0] * 50
    np.testing.assert_allclose(scorer.score(X[:1] + 30), 60)
    assert scorer.terms(X[:1] + 30).tolist() == [[900] * 4]


def test_the_reference_is_a_sample_by_the_seed() -> None:
    X = normal_rows(300, 5)
    a, again, other = (fit_knn(X, seed, max_reference=40) for seed in (1, 1, 2))
    assert a.reference.shape == (40, 5)
    assert {tuple(row) for row in a.reference} <= {tuple(row) for row in X}
    assert len(np.unique(a.reference, axis=0)) == 40
    np.testing.assert_array_equal(a.reference, again.reference)
    assert not np.array_equal(a.reference, other.reference)


@pytest.mark.parametrize("d", [3, 25])
def test_a_score_does_not_depend_on_the_rows_around_it(d: int) -> None:
    X, rows = normal_rows(700, d), normal_rows(1_000, d, 1)
    scorer = fit_knn(X, 0)
    for of in (scorer.score, scorer.terms):
        apart = np.concatenate([of(part) for part in np.split(rows, [1, 400, 400])])
        np.testing.assert_array_equal(apart, of(rows))


def test_no_rows_have_no_scores() -> None:
    scorer = fit_knn(normal_rows(30, 4), 0)
    assert scorer.score(normal_rows(0, 4)).shape == (0,)
    assert scorer.terms(normal_rows(0, 4)).shape == (0, 4)


@pytest.mark.parametrize("aggregate", ["largest", "mean"])
def test_a_stored_model_scores_to_the_bit(aggregate: Aggregate, tmp_path: Path) -> None:
    table = pa.table({f"x{j}": column for j, column in enumerate(normal_rows(200, 5).T)})
    fit = functools.partial(fit_knn, k=4, aggregate=aggregate, max_reference=100)
    model = train_row_model(table, method="knn", fit=fit)
    model.save(tmp_path / "rows")
    again, rows = RowModel.load(tmp_path / "rows"), normal_rows(50, 5, 2)
    np.testing.assert_array_equal(again.score_matrix(rows), model.score_matrix(rows))
    np.testing.assert_array_equal(again.attribute_matrix(rows), model.attribute_matrix(rows))


def test_odd_settings_and_states_are_refused() -> None:
    X = normal_rows(30, 2)
    with pytest.raises(ConfigError, match="k: expected a whole number of at least 1, got 0"):
        fit_knn(X, 0, k=0)
    with pytest.raises(ConfigError, match="max_reference: expected a number of at least 2, got 1"):
        fit_knn(X, 0, max_reference=1)
    with pytest.raises(ConfigError, match="aggregate: expected 'largest' or 'mean', got 'median'"):
        fit_knn(X, 0, aggregate="median")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="k = 31 of 30 rows"):
        read_knn({"reference": X}, {"k": 31, "aggregate": "mean"})
    with pytest.raises(ValueError, match="aggregate 'median'"):
        read_knn({"reference": X}, {"k": 3, "aggregate": "median"})
