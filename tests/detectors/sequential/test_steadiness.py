import numpy as np
import pytest
from scipy.signal import lfilter

from sparsewatch.detectors.sequential.steadiness import LEAST_WINDOWS, steadiness


def test_few_windows_tell_nothing_of_the_long_run() -> None:
    few = np.zeros(LEAST_WINDOWS - 1)
    assert steadiness(few, few + 1.0) is None
    assert steadiness(np.zeros(LEAST_WINDOWS), np.ones(LEAST_WINDOWS)) is not None


def test_windows_that_vary_by_chance_alone_have_hardly_a_spread_and_the_error_of_their_mean() -> None:
    rng, count = np.random.default_rng(0), 300
    found = [steadiness(rng.normal(0, 0.1, count), np.full(count, 0.01)) for _ in range(200)]
    spreads = [one.spread**2 for one in found if one is not None]
    levels = [one.level**2 for one in found if one is not None]
    assert np.mean(spreads) < 0.15 * 0.01
    # What quarters differ by, by chance, is not told apart from wandering.
    assert 1 < np.mean(levels) / (0.01 / count) < 4


@pytest.mark.parametrize("alike", [0.0, 0.5, 0.8])
def test_the_spread_is_that_of_sums_over_many_windows(alike: float) -> None:
    rng = np.random.default_rng(1)
    count = 50_000
    wander = lfilter([np.sqrt(1 - alike**2)], [1, -alike], rng.normal(0, 0.2, count))
    # Chance alone would hide how alike neighbours are; here it is small.
    found = steadiness(wander + rng.normal(0, 0.01, count), np.full(count, 0.01**2))
    assert found is not None
    sums = wander[: count // 500 * 500].reshape(-1, 500).sum(axis=1)
    assert found.spread == pytest.approx(sums.std() / np.sqrt(500), rel=0.25)


def test_a_level_that_wanders_slowly_is_an_error_of_the_level() -> None:
    rng = np.random.default_rng(2)
    steady = rng.normal(0, 0.1, 200)
    wandering = steady + np.repeat([0.2, -0.2, 0.1, -0.1], 50)
    before, after = steadiness(steady, np.full(200, 0.01)), steadiness(wandering, np.full(200, 0.01))
    assert before is not None
    assert after is not None
    assert after.level > 0.08 > 5 * before.level


def test_a_few_windows_that_agree_by_luck_count_as_varying_by_chance() -> None:
    found = steadiness(np.zeros(10), np.full(10, 0.04))
    assert found is not None
    assert found.spread == 0
    assert found.level == pytest.approx(0.2 / np.sqrt(10))


def test_means_that_were_fitted_to_the_windows_cost_degrees_of_freedom() -> None:
    deviations = np.random.default_rng(3).normal(0, 0.3, 60)
    one, many = steadiness(deviations, np.full(60, 0.01)), steadiness(deviations, np.full(60, 0.01), fitted=24)
    assert one is not None
    assert many is not None
    assert many.spread > one.spread
