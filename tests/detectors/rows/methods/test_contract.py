"""What every method of `rows.methods.registry` must do; see `rows.methods.scorer`."""

import functools
import json
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray

from sparsewatch.detectors.rows.methods.registry import DEFAULT, METHODS
from sparsewatch.detectors.rows.methods.scorer import RowScorer, scoring_threads
from tests.kit.row_methods import quick_fit

D = 4
#: Methods whose terms add up to the score, or to a function of it.
SUMS: dict[str, Any] = {
    "ensemble": lambda scores: scores,
    "apre": lambda scores: scores,
    "apre_mss": lambda scores: scores,
    "autoencoder": lambda scores: scores,
    "autoencoder_mss": lambda scores: scores,
    "ecod": lambda scores: scores,
    "copod": lambda scores: scores,
    "hbos": lambda scores: scores,
    "isolation_forest": lambda scores: 1 + np.log2(scores),
}
#: Methods that compare with a shifted row: a value far out is missed by all features of the network's output.
SPREADING = ("apre_mss", "autoencoder_mss")
#: Most bytes of state of three features, however many rows were fitted.
MOST_BYTES = 2_000_000

every_method = pytest.mark.parametrize("method", METHODS)


def rows(n: int, seed: int = 0, d: int = D) -> NDArray[np.float32]:
    """Rows as an encoder gives them: correlated, of two kinds, with a feature of few values."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) @ (np.eye(d) + 0.5 * np.tri(d))
    X[: n // 4] += 3
    X[:, -1] = np.round(X[:, -1])
    return rng.permutation(X).astype(np.float32)


@functools.cache
def fitted(method: str) -> RowScorer:
    return quick_fit(method)(rows(400), 3)


def state_bytes(scorer: RowScorer) -> bytes:
    tensors, meta = scorer.to_state()
    stored = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    return safetensors.numpy.save(stored) + json.dumps(meta, sort_keys=True, allow_nan=False).encode()


def read_back(method: str, scorer: RowScorer) -> RowScorer:
    tensors, meta = scorer.to_state()
    stored = safetensors.numpy.save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()})
    return METHODS[method].read(safetensors.numpy.load(stored), json.loads(json.dumps(meta)))


def assert_finite(scorer: RowScorer, X: NDArray[np.float32]) -> None:
    scores, terms = scorer.score(X), scorer.terms(X)
    assert scores.dtype == terms.dtype == np.float32
    assert scores.shape == (len(X),)
    assert terms.shape == X.shape
    assert np.isfinite(scores).all()
    assert np.isfinite(terms).all()


def test_the_list_names_the_default_and_says_of_each_what_it_is() -> None:
    assert DEFAULT in METHODS
    for name, method in METHODS.items():
        assert name.isidentifier()
        assert method.summary
        assert "\n" not in method.summary
        assert method.scaling in ("plain", "robust")


@every_method
def test_state_gives_back_the_same_scorer_to_the_bit(method: str) -> None:
    scorer = fitted(method)
    again = read_back(method, scorer)
    assert again.n_features == scorer.n_features == D
    X = rows(300, 1)
    np.testing.assert_array_equal(again.score(X), scorer.score(X))
    np.testing.assert_array_equal(again.terms(X), scorer.terms(X))
    assert state_bytes(again) == state_bytes(scorer)


@every_method
def test_a_state_that_lacks_a_tensor_is_refused(method: str) -> None:
    tensors, meta = fitted(method).to_state()
    for name in tensors:
        rest = {other: tensor for other, tensor in tensors.items() if other != name}
        with pytest.raises((KeyError, TypeError, ValueError, RuntimeError)):
            METHODS[method].read(rest, meta)


@every_method
def test_the_same_rows_and_seed_give_the_same_state_and_leave_the_rows_alone(method: str) -> None:
    X = rows(120)
    X.flags.writeable = False
    first, second = quick_fit(method)(X, 5), quick_fit(method)(X.copy(), 5)
    assert state_bytes(first) == state_bytes(second)


@every_method
def test_scoring_changes_neither_rows_nor_scorer(method: str) -> None:
    scorer = fitted(method)
    before, X = state_bytes(scorer), rows(50, 2)
    X.flags.writeable = False
    np.testing.assert_array_equal(scorer.score(X), scorer.score(X.copy(order="F")))
    np.testing.assert_array_equal(scorer.terms(X), scorer.terms(X.copy(order="F")))
    assert state_bytes(scorer) == before


@every_method
def test_a_score_does_not_depend_on_the_rows_around_it_or_on_threads(method: str) -> None:
    scorer, X = fitted(method), rows(6000, 4)
    order = np.random.default_rng(0).permutation(len(X))
    cuts = [0, 1, 8, 700, 5000]
    with scoring_threads(2):
        whole, terms = scorer.score(X), scorer.terms(X)
    parts = np.split(X[order], cuts)
    np.testing.assert_array_equal(np.concatenate([scorer.score(part) for part in parts]), whole[order])
    np.testing.assert_array_equal(np.concatenate([scorer.terms(part) for part in parts]), terms[order])


@every_method
def test_no_rows_have_no_scores(method: str) -> None:
    assert_finite(fitted(method), np.empty((0, D), dtype=np.float32))


@every_method
def test_rows_at_the_ends_of_the_encoding_have_finite_scores(method: str) -> None:
    corners = np.array(np.meshgrid(*[[-30, 0, 30]] * D)).reshape(D, -1).T
    assert_finite(fitted(method), np.ascontiguousarray(corners, dtype=np.float32))


@every_method
@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_rows_can_be_fitted(method: str, n: int) -> None:
    scorer = quick_fit(method)(rows(n), 0)
    assert_finite(scorer, np.concatenate([rows(n), rows(20, 1), np.full((1, D), 30, np.float32)]))
    assert state_bytes(read_back(method, scorer)) == state_bytes(scorer)


@every_method
def test_constant_features_can_be_fitted(method: str) -> None:
    X = rows(100)
    X[:, 1:] = 0
    scorer = quick_fit(method)(X, 0)
    changed = X.copy()
    changed[:, 2] = 30
    for given in (X, changed):
        assert_finite(scorer, given)


@every_method
def test_one_row_again_and_again_can_be_fitted_and_is_not_stranger_than_others(method: str) -> None:
    X = np.zeros((150, D), dtype=np.float32)
    scorer = quick_fit(method)(X, 0)
    others = np.concatenate([rows(50, 1), np.full((1, D), 30, np.float32)])
    assert_finite(scorer, np.concatenate([X, others]))
    assert scorer.score(X).max() <= scorer.score(others)[-1]


@every_method
def test_one_feature_is_enough(method: str) -> None:
    X = rows(100, d=1)
    scorer = quick_fit(method)(X, 0)
    assert_finite(scorer, X)
    assert_finite(scorer, np.array([[30], [-30]], dtype=np.float32))


@pytest.mark.parametrize("method", [name for name in METHODS if name in SUMS])
def test_terms_add_up_to_the_score_where_they_are_said_to(method: str) -> None:
    X = np.concatenate([rows(300, 1), rows(30, 2) * 10])
    scorer = fitted(method)
    expected = SUMS[method](scorer.score(X).astype(np.float64))
    np.testing.assert_allclose(scorer.terms(X).sum(axis=1), expected, rtol=2e-4, atol=2e-4)


@every_method
def test_rows_far_out_are_stranger_than_the_bulk(method: str) -> None:
    scorer = fitted(method)
    far = np.concatenate([np.full((1, D), 25, np.float32), np.full((1, D), -25, np.float32)])
    assert scorer.score(far).min() > np.quantile(scorer.score(rows(1000, 1)), 0.95)


@pytest.mark.parametrize("method", [name for name in METHODS if name not in SPREADING])
def test_terms_point_to_the_feature_that_is_far_out(method: str) -> None:
    scorer = fitted(method)
    terms = scorer.terms(25 * np.eye(D, dtype=np.float32))
    excess = terms - np.median(scorer.terms(rows(300, 1)), axis=0)
    np.testing.assert_array_equal(excess.argmax(axis=1), np.arange(D))


@every_method
def test_the_score_falls_most_without_the_feature_that_is_far_out(method: str) -> None:
    scorer, X = fitted(method), rows(40, 6)
    owners = np.arange(len(X)) % D
    X[np.arange(len(X)), owners] = 25
    without = np.stack([scorer.score(np.where(np.arange(D) == j, np.float32(0), X)) for j in range(D)], axis=1)
    assert np.mean(without.argmin(axis=1) == owners) > 0.8


@every_method
def test_state_does_not_grow_with_the_rows(method: str) -> None:
    assert len(state_bytes(quick_fit(method)(rows(60_000, d=3), 0))) < MOST_BYTES
