import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from sparsewatch.detectors.rows.methods.ecod_copod import fit_copod, fit_ecod, read_tails, stored_ranks
from sparsewatch.detectors.rows.methods.scorer import Fit

NUMBERS = st.integers(-4, 4).map(float)


def tails(fitted: list[float], x: float) -> tuple[float, float, float]:
    """L, R and S of a number, by counting; the row that it belongs to counts as one of the fitted."""
    n = len(fitted) + 1
    left = -math.log((1 + sum(v <= x for v in fitted)) / n)
    right = -math.log((1 + sum(v >= x for v in fitted)) / n)
    mean = sum(fitted) / len(fitted)
    return left, right, left if sum((v - mean) ** 3 for v in fitted) < -1e-9 else right


def ecod(fitted: NDArray[np.float32], row: NDArray[np.float32]) -> tuple[float, list[float]]:
    """The largest of three sums, and its terms."""
    by_feature = [tails(column.tolist(), float(x)) for column, x in zip(fitted.T, row, strict=True)]
    candidates = [[tail[form] for tail in by_feature] for form in range(3)]
    largest = max(candidates, key=sum)
    return sum(largest), largest


def copod(fitted: NDArray[np.float32], row: NDArray[np.float32]) -> float:
    by_feature = [tails(column.tolist(), float(x)) for column, x in zip(fitted.T, row, strict=True)]
    return sum(max(skewed, (left + right) / 2) for left, right, skewed in by_feature)


def matrices(least: int) -> st.SearchStrategy[NDArray[np.float32]]:
    shapes = st.tuples(st.integers(least, 12), st.just(3))
    return shapes.flatmap(lambda shape: arrays(np.float32, shape, elements=NUMBERS))


def not_symmetric(X: NDArray[np.float32]) -> bool:
    """Whether no feature's third moment is 0, whose sign rounding decides."""
    numbers = X.astype(np.float64)
    return bool((np.abs(((numbers - numbers.mean(axis=0)) ** 3).mean(axis=0)) > 1e-6).all())


@settings(max_examples=60)
@given(fitted=matrices(2).filter(not_symmetric), rows=matrices(1))
def test_scores_are_the_papers_formula_value_by_value(fitted: NDArray[np.float32], rows: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(fit_ecod(fitted, 0).score(rows), [ecod(fitted, row)[0] for row in rows], rtol=1e-5)
    np.testing.assert_allclose(fit_copod(fitted, 0).score(rows), [copod(fitted, row) for row in rows], rtol=1e-5)


def test_ecods_terms_are_those_of_its_largest_sum() -> None:
    rng = np.random.default_rng(0)
    signs = np.array([1, -1, 1, 1], dtype=np.float32)
    fitted, rows = (rng.exponential(size=(n, 4)).astype(np.float32) * signs for n in (200, 50))
    expected = np.array([ecod(fitted, row)[1] for row in rows])
    np.testing.assert_allclose(fit_ecod(fitted, 0).terms(rows), expected, rtol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 511, 512, 513, 70_000])
@pytest.mark.parametrize("digits", [0, 5])
def test_many_rows_are_kept_as_few_values_whose_error_is_bounded(n: int, digits: int) -> None:
    rng = np.random.default_rng(n)
    X = np.round(rng.standard_t(2, size=(n, 1)).clip(-30, 30), digits).astype(np.float32)
    rows = np.concatenate([X[:300], rng.normal(scale=5, size=(300, 1)).astype(np.float32)])
    scorer, exact = fit_ecod(X, 0), farther_tail(X, rows)
    error = scorer.score(rows) - exact
    assert error.min() > -1e-5
    assert error.max() < (1 / 256 if n > 513 else 0) + 1e-5
    assert len(scorer.ranks) <= min(n, 2 + 512 * (1 + math.log(max(1, n / 512))))


def farther_tail(X: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """The larger of L and R of one feature, with all values stored."""
    ordered, n = np.sort(X[:, 0]), len(X) + 1
    at_or_below = ordered.searchsorted(rows[:, 0], "right")
    at_or_above = len(X) - ordered.searchsorted(rows[:, 0], "left")
    farther: NDArray[np.float64] = np.log(n / (np.minimum(at_or_below, at_or_above) + 1))
    return farther


@given(n=st.integers(1, 3000))
def test_stored_ranks_rise_mirror_each_other_and_hold_both_ends(n: int) -> None:
    ranks = stored_ranks(n)
    assert ranks[0] == 0
    assert ranks[-1] == n - 1
    assert (np.diff(ranks) > 0).all()
    np.testing.assert_array_equal(ranks, n - 1 - ranks[::-1])


def test_beyond_all_fitted_rows_each_feature_has_the_most_it_can() -> None:
    X = np.random.default_rng(0).exponential(size=(99, 3)).astype(np.float32)
    scorer = fit_ecod(X, 0)
    np.testing.assert_allclose(scorer.terms(np.full((1, 3), 30, np.float32)), np.log(100), rtol=1e-6)


def test_the_long_tail_of_a_skewed_feature_counts() -> None:
    x = np.random.default_rng(0).exponential(size=(500, 1)).astype(np.float32)
    for sign in (1, -1):
        scorer = fit_copod(sign * x, 0)
        ends = sign * np.array([[-1], [30]], dtype=np.float32)
        near, far = scorer.score(ends)
        assert far == pytest.approx(math.log(501), rel=1e-5)
        assert near == pytest.approx(math.log(501) / 2, rel=1e-5)


@pytest.mark.parametrize("fit", [fit_ecod, fit_copod])
def test_the_scale_of_a_feature_does_not_matter(fit: Fit) -> None:
    X = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    scaled = X * np.array([4, 0.5, 2], dtype=np.float32)
    np.testing.assert_array_equal(fit(scaled, 0).score(scaled), fit(X, 0).score(X))


def test_a_state_that_does_not_fit_together_is_refused() -> None:
    tensors, meta = fit_ecod(np.zeros((5, 2), np.float32), 0).to_state()
    with pytest.raises(ValueError, match="expected ecod or copod"):
        read_tails(tensors, meta | {"form": "hbos"})
    with pytest.raises(ValueError, match="a value for each rank"):
        read_tails(dict(tensors) | {"ranks": tensors["ranks"][1:]}, meta)
