"""Numbers beyond the training data: found if two lie far out, silent for what the training data's tail explains."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.rows.windows.tails import ColumnTails, beyond_tails, fit_tails


def tails_of(*columns: np.ndarray | None) -> ColumnTails:
    found = fit_tails(columns)
    assert found is not None
    return found


def normal(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(n)


def with_last(values: np.ndarray, *last: float) -> np.ndarray:
    return np.append(values, last)


def clusters(places: list[int]) -> float:
    """The number of exceedances times their extremal index, gap by gap."""
    gaps = [later - earlier for earlier, later in itertools.pairwise(places)]
    if len(gaps) < 2:
        return 1.0
    if max(gaps) <= 2:
        index = 2 * sum(gaps) ** 2 / (len(gaps) * sum(gap**2 for gap in gaps))
    else:
        index = 2 * sum(gap - 1 for gap in gaps) ** 2 / (len(gaps) * sum((gap - 1) * (gap - 2) for gap in gaps))
    return max(1.0, min(1.0, index) * len(places))


@settings(max_examples=50)
@given(st.integers(100, 400), st.integers(0, 10_000), st.sampled_from(["normal", "heavy", "bounded", "counts"]))
def test_the_figures_are_those_of_their_definition(n: int, seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    drawn = {
        "normal": rng.standard_normal(n),
        "heavy": rng.standard_t(2, n),
        "bounded": rng.random(n),
        "counts": rng.poisson(3, n).astype(np.float64),
    }
    values = drawn[kind].tolist()
    figures = tails_of(np.array(values))
    for side, sign in ((0, -1), (1, 1)):
        own = sorted(sign * value for value in values)
        number = max(5, math.floor(math.sqrt(n)))
        start, excess = own[-number - 1], [value - own[-number - 1] for value in own[-number:]]
        mean = sum(excess) / number
        variance = sum((x - mean) ** 2 for x in excess) / number
        shape = (1 - mean**2 / variance) / 2 if variance > 1e-12 else 0.0
        shape = min(max(shape, 1 / clusters([at for at, value in enumerate(values) if sign * value > start])), 0.9)
        parts = [values[n // 4 * k + min(k, n % 4) :][: n // 4 + (k < n % 4)] for k in range(4)]
        assert sum(map(len, parts)) == n
        tops = sorted(max(sign * value for value in part) for part in parts)
        nearest = own[-1] + 0.05 * (own[-1] - own[0]) + 0.5 * (tops[-1] - tops[-2])
        expected = [start, mean * (1 - shape), shape, number / n, own[-1], nearest]
        assert figures.figures[side, :, 0].tolist() == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_two_values_far_out_are_found_and_one_is_not() -> None:
    tails, window = tails_of(normal(5_000, 0)), normal(500, 1)
    assert beyond_tails(tails, [with_last(window, 40.0)], ["a"]) == []
    [found] = beyond_tails(tails, [with_last(window, 40.0, 39.0)], ["a"])
    assert (found.column, found.furthest, found.beyond) == ("a", 40.0, 2)
    assert found.known == normal(5_000, 0).max()
    assert found.chance < 1e-9


def test_values_far_below_are_found_on_their_side() -> None:
    [found] = beyond_tails(tails_of(normal(5_000, 0)), [with_last(normal(500, 1), -40.0, -39.0)], ["a"])
    assert (found.furthest, found.known) == (-40.0, normal(5_000, 0).min())


def test_of_a_heavy_tail_more_is_expected() -> None:
    heavy = np.random.default_rng(0).standard_t(2.5, 5_000)
    far = heavy.max() * 1.5
    chances = [
        beyond_tails(tails_of(values), [with_last(normal(500, 1), far, far)], ["a"])[0].chance
        for values in (heavy, normal(5_000, 0))
    ]
    assert chances[0] > 1e-3
    assert chances[1] < 1e-9


def test_values_that_wandered_before_may_wander_half_as_far_again() -> None:
    trend = np.concatenate([normal(1_000, seed) / 10 + level for seed, level in enumerate((0, 0, 0, 10))])
    window = normal(500, 9) / 10
    assert beyond_tails(tails_of(trend), [window + 14], ["a"]) == []
    assert beyond_tails(tails_of(trend), [window + 40], ["a"])


@pytest.mark.parametrize("memory", [0.0, 0.95])
def test_false_alarms_keep_to_the_level_also_of_values_that_remember(memory: float) -> None:
    alarms = 0
    for seed in range(60):
        noise = np.random.default_rng(seed).standard_normal(12_000)
        values = np.zeros(12_000)
        for at in range(1, 12_000):
            values[at] = memory * values[at - 1] + noise[at]
        tails = tails_of(values[:2_000])
        windows = values[2_000:].reshape(100, 100)
        alarms += sum(any(one.chance <= 0.01 for one in beyond_tails(tails, [window], ["a"])) for window in windows)
    assert alarms / 6_000 < 0.01


def test_infinite_values_count_in_a_window_and_not_in_the_training() -> None:
    tails = tails_of(np.append(normal(5_000, 0), [np.inf, np.nan]))
    assert tails.figures[1, 4, 0] == normal(5_000, 0).max()
    [found] = beyond_tails(tails, [with_last(normal(50, 1), np.inf, np.inf, np.nan)], ["a"])
    assert found.furthest == np.inf


def test_columns_without_numbers_of_few_and_of_equal_ones_tell_nothing() -> None:
    assert fit_tails([None, normal(99, 0)]) is None
    tails = tails_of(None, normal(99, 0), np.zeros(500), normal(500, 0))
    assert tails.columns.tolist() == [2, 3]
    window = [None, normal(50, 1), np.full(50, 9.0), normal(50, 2)]
    assert beyond_tails(tails, window, list("abcd")) == []


def test_tails_are_the_same_once_stored() -> None:
    tails = tails_of(normal(500, 0), None, normal(500, 1))
    again = ColumnTails.from_arrays(tails.to_arrays())
    assert again is not None
    np.testing.assert_array_equal(again.columns, tails.columns)
    np.testing.assert_array_equal(again.figures, tails.figures)
    assert ColumnTails.from_arrays({}) is None
