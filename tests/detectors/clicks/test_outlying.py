import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.clicks.outlying import MOST_STRETCHES, OUTLYING_VOLUME_Z, PART, outlying, winsorised
from sparsewatch.detectors.clicks.tolerances import Statistic
from sparsewatch.detectors.clicks.volume import volume_tolerance

HOUR_US = 3_600_000_000


def found(values: np.ndarray, starts_us: list[int] | None = None) -> tuple[int, ...]:
    def tolerance(robust: Statistic, _: int) -> float:
        return volume_tolerance(robust, values.size, OUTLYING_VOLUME_Z)

    return outlying(values.tolist(), tolerance, starts_us=starts_us)


def volumes(windows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(1_000, windows).astype(float)


@given(st.data())
def test_values_that_no_check_would_tolerate_are_found_wherever_they_are(data: st.DataObject) -> None:
    windows = data.draw(st.integers(PART, 60))
    most = min(windows // PART, MOST_STRETCHES)
    places = data.draw(st.sets(st.integers(0, windows - 1), max_size=most))
    values = volumes(windows, seed=data.draw(st.integers(0, 100)))
    for place in places:
        values[place] = data.draw(st.sampled_from([0.0, 300.0, 5_000.0, 1e9]))
    assert found(values) == tuple(sorted(places))


def test_good_windows_are_kept() -> None:
    assert sum(len(found(volumes(windows, seed))) for windows in (10, 20, 50) for seed in range(300)) <= 1


@pytest.mark.parametrize("places", [(1, 7, 13), (3, 4, 5, 9, 15)], ids=["too many", "a fifth and more"])
def test_more_than_a_tenth_are_the_streams_own(places: tuple[int, ...]) -> None:
    values = volumes(20)
    values[list(places)] = 5
    assert found(values) == ()


def test_what_comes_a_third_time_is_the_streams_own() -> None:
    values = volumes(60)
    values[[5, 6, 30]] = 5
    assert found(values) == (5, 6, 30)
    values[45] = 5
    assert found(values) == ()


def test_what_comes_at_the_same_time_of_the_next_day_is_the_streams_own() -> None:
    values, hours = volumes(48), [hour * HOUR_US for hour in range(48)]
    values[[3, 28]] = 5
    assert found(values) == (3, 28)
    assert found(values, hours) == ()
    values[[28, 33]] = values[[33, 28]]
    assert found(values, hours) == (3, 33)


def test_of_few_windows_none_is_left_out() -> None:
    values = volumes(PART - 1)
    values[4] = 0
    assert found(values) == ()


@pytest.mark.parametrize("windows", [10, 20, 60, 500])
def test_the_robust_deviation_is_that_of_gaussian_values(windows: int) -> None:
    rng = np.random.default_rng(windows)
    found = [winsorised(rng.normal(3, 2, windows), windows // PART) for _ in range(2_000)]
    assert np.mean([robust.mean for robust in found]) == pytest.approx(3, abs=0.05)
    assert np.sqrt(np.mean([robust.sd**2 for robust in found])) == pytest.approx(2, rel=0.05)
