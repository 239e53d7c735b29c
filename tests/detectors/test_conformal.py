import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from sparsewatch.detectors.conformal import alarm_threshold, p_values
from sparsewatch.schemas.errors import ConfigError

SCORES = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=40)


@given(calibration=SCORES, scores=SCORES)
def test_a_p_value_counts_the_calibration_scores_as_high(calibration: list[float], scores: list[float]) -> None:
    ours = p_values(np.array(scores), np.sort(calibration))
    counted = [(1 + sum(c >= s for c in calibration)) / (1 + len(calibration)) for s in scores]
    np.testing.assert_allclose(ours, counted)


@given(calibration=SCORES, score=st.floats(-6, 6), rate=st.sampled_from([0.05, 0.1, 0.25, 0.5]))
def test_a_score_is_above_the_threshold_exactly_where_p_is_at_most_the_rate(
    calibration: list[float], score: float, rate: float
) -> None:
    ranked = np.sort(calibration)
    if len(calibration) < 1 / rate - 1:
        with pytest.raises(ConfigError, match="calibration scores"):
            alarm_threshold(ranked, rate)
        return
    above = score > alarm_threshold(ranked, rate)
    assert above == (p_values(np.array([score]), ranked)[0] <= rate + 1e-12)


def test_p_values_of_fresh_scores_are_uniform_and_alarms_keep_the_rate() -> None:
    rng = np.random.default_rng(0)
    calibration, fresh = np.sort(rng.standard_normal(20_000)), rng.standard_normal(5_000)
    assert kstest(p_values(fresh, calibration), "uniform").pvalue > 0.01
    for rate in (0.01, 0.05, 0.2):
        alarms = (fresh > alarm_threshold(calibration, rate)).mean()
        assert abs(alarms - rate) < 3 * np.sqrt(rate * (1 - rate) / 5_000)


def test_a_lower_rate_means_a_higher_threshold() -> None:
    calibration = np.sort(np.random.default_rng(0).standard_normal(500))
    thresholds = [alarm_threshold(calibration, rate) for rate in (0.01, 0.02, 0.05, 0.2)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert len(set(thresholds)) == 4


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, float("nan")])
def test_a_rate_outside_its_range_is_refused(rate: float) -> None:
    with pytest.raises(ConfigError, match="alarm rate: expected a number above 0 and below 1, got"):
        alarm_threshold(np.zeros(100), rate)


def test_too_few_calibration_scores_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"rate of 0\.01 needs 99 calibration scores, got 98"):
        alarm_threshold(np.arange(98.0), 0.01)
    assert alarm_threshold(np.arange(99.0), 0.01) == 98


def test_the_rates_that_few_calibration_scores_allow_are_named() -> None:
    with pytest.raises(ConfigError, match=r"60 allow rates from 0\.0164 up, more rows in training smaller ones"):
        alarm_threshold(np.arange(60.0), 0.01)
    assert alarm_threshold(np.arange(60.0), 0.0164) == 59
