import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.conformal import p_values
from sparsewatch.detectors.rows.methods.ensemble import KNOTS, fit_evidence

SCORES = st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=60)


@given(reference=SCORES)
def test_at_the_references_scores_it_is_minus_ln_of_the_p_value(reference: list[float]) -> None:
    scores = np.array(reference)
    expected = -np.log(p_values(scores, np.sort(scores)))
    np.testing.assert_allclose(fit_evidence(scores)(scores), expected, atol=1e-5)


@given(reference=SCORES, scores=SCORES)
def test_it_never_falls_and_never_ties_beyond_the_highest(reference: list[float], scores: list[float]) -> None:
    rising = np.unique(np.array([*scores, max(reference) + 1, max(reference) + 1e6]))
    nats = fit_evidence(np.array(reference))(rising)
    assert np.isfinite(nats).all()
    assert (nats >= 0).all()
    assert (np.diff(nats) >= -1e-9).all()
    assert (np.diff(nats)[rising[:-1] >= max(reference)] > 0).all()


def test_many_scores_keep_few_knots_and_right_tails() -> None:
    scores = np.random.default_rng(0).standard_normal(100_000)
    evidence = fit_evidence(scores)
    assert len(evidence.scores) <= KNOTS
    fresh = np.linspace(-3, np.quantile(scores, 0.999), 1000)
    np.testing.assert_allclose(evidence(fresh), -np.log(p_values(fresh, np.sort(scores))), atol=0.03)


@pytest.mark.parametrize("value", [0.0, 3.5, -1e9])
def test_equal_scores_alone_still_tell_greater_ones_apart(value: float) -> None:
    evidence = fit_evidence(np.full(50, value))
    assert evidence(np.array([value]))[0] == pytest.approx(0)
    assert 0 < evidence(np.array([value + 1e3]))[0] < evidence(np.array([value + 1e6]))[0]
