import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from sparsewatch.detectors.rows.windows.column_drift import CUTS, drift_of_features, moved_columns, spread_of


def rows(n: int, d: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def slow(baseline: np.ndarray, window: np.ndarray) -> tuple[float, float]:
    """Distance and Bonferroni's chance of one feature, cut by cut."""
    cuts = np.sort(baseline)[np.ceil(np.arange(1, CUTS + 1) / (CUTS + 1) * (len(baseline) - 1)).astype(int)]
    distance, chances = 0.0, []
    for cut in cuts:
        for side in (np.less, np.less_equal):
            a, b = int(side(window, cut).sum()), int(side(baseline, cut).sum())
            distance = max(distance, abs(a / len(window) - b / len(baseline)))
            table = [[a, len(window) - a], [b, len(baseline) - b]]
            chances += [fisher_exact(table, alternative=way).pvalue for way in ("less", "greater")]
    return distance, min(1.0, len(chances) * min(chances))


@settings(max_examples=25)
@given(n=st.integers(1, 40), m=st.integers(1, 40), values=st.integers(1, 9), seed=st.integers(0, 999))
def test_distance_and_chance_are_those_of_fishers_test_at_each_cut(n: int, m: int, values: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    baseline, window = (rng.integers(0, values, (size, 1)).astype(np.float32) for size in (m, n))
    distance, chance = drift_of_features(spread_of(baseline), window, least=0.0)
    expected = slow(baseline[:, 0], window[:, 0])
    np.testing.assert_allclose((distance[0], chance[0]), expected, rtol=1e-9)


def test_one_of_many_columns_is_found_by_its_name() -> None:
    baseline, window = rows(200, 400, 0), rows(100, 400, 1)
    window[:, 123] += 2
    names = [f"s{j}" for j in range(400)]
    moved = moved_columns(spread_of(baseline), window, names, np.arange(400), least=0.3, level=1e-6)
    assert [(drift.column, drift.what) for drift in moved] == [("s123", "values")]


@pytest.mark.parametrize("value", [-3.0, 3.0])
def test_a_column_that_was_constant_is_found_on_either_side(value: float) -> None:
    baseline = np.zeros((100, 2), dtype=np.float32)
    window = baseline.copy()
    window[:, 1] = value
    (moved,) = moved_columns(spread_of(baseline), window, ["a", "b"], np.arange(2), least=0.3, level=1e-6)
    assert (moved.column, moved.distance) == ("b", 1.0)


def test_a_second_feature_indicates_missing_values() -> None:
    baseline, window = rows(300, 3, 0), rows(100, 3, 1)
    baseline[:, 1] = baseline[:, 1] > 2
    window[:, 1] = 1
    (moved,) = moved_columns(spread_of(baseline), window, ["a", "b"], np.array([0, 2]), least=0.3, level=1e-6)
    assert (moved.column, moved.what) == ("a", "missing values")


def test_false_alarms_keep_to_the_level() -> None:
    alarms = 0
    for seed in range(200):
        both = rows(150, 20, seed)
        alarms += bool(moved_columns(spread_of(both[:80]), both[80:], ["x"] * 20, np.arange(20), least=0.01, level=0.2))
    assert alarms / 200 < 0.2 + 3 * np.sqrt(0.2 * 0.8 / 200)
