import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.rows.methods.histogram import fit_histogram
from sparsewatch.schemas.errors import ConfigError


def slow(X: np.ndarray, row: np.ndarray, bins: int) -> float:
    """Ln 1 / smoothed share, value by value."""
    total = 0.0
    for column, value in zip(X.T.astype(np.float64), row.astype(np.float64), strict=True):
        edges = np.linspace(column.min(), column.max(), bins + 1)
        if column.min() == column.max():
            rows = len(X) if value == column[0] else 0
        elif not column.min() <= value <= column.max():
            rows = 0
        else:
            rows = np.histogram(column, edges)[0][min(np.searchsorted(edges, value, side="right") - 1, bins - 1)]
        total += np.log((len(X) + bins / 2) / (rows + 0.5))
    return total


@settings(max_examples=40)
@given(n=st.integers(1, 60), d=st.integers(1, 4), bins=st.sampled_from([1, 3, 10]), seed=st.integers(0, 1000))
def test_a_score_adds_up_how_rare_each_value_is(n: int, d: int, bins: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.uniform(0, 7, (n, d)).astype(np.float32)
    X[:, 0] = rng.choice([X[0, 0], np.float32(3)])
    queries = np.concatenate([rng.uniform(-2, 9, (20, d)).astype(np.float32), X[:5]])
    scorer = fit_histogram(X, bins=bins)
    np.testing.assert_allclose(scorer.score(queries), [slow(X, row, bins) for row in queries], rtol=1e-4)
    np.testing.assert_allclose(scorer.terms(queries).sum(axis=1), scorer.score(queries), rtol=1e-5)


def test_the_greatest_value_is_in_the_last_bin_and_greater_ones_are_beside() -> None:
    X = np.linspace(0, 1, 101, dtype=np.float32)[:, None]
    scores = fit_histogram(X).score(np.array([[0], [1], [1.01], [-0.01]], dtype=np.float32))
    assert scores[0] == pytest.approx(np.log(106 / 10.5), abs=0.2)
    assert scores[1] < scores[2] == scores[3] == pytest.approx(np.log(106 / 0.5), rel=1e-5)


def test_numbers_too_small_to_tell_apart_count_as_one_value() -> None:
    X = np.linspace(0, 1e-44, 50, dtype=np.float32)[:, None]
    scores = fit_histogram(X).score(np.array([[0.0], [1.0]], dtype=np.float32))
    assert np.isfinite(scores).all()
    assert scores[0] < scores[1]


def test_no_bins_are_refused() -> None:
    with pytest.raises(ConfigError, match="bins: expected a whole number of at least 1, got 0"):
        fit_histogram(np.zeros((3, 1), dtype=np.float32), bins=0)
