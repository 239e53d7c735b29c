import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.outrank.columns.pair_schedule import CombinationSchedule
from sparsewatch.schemas.errors import ConfigError


def named(n: int) -> list[str]:
    return [f"f{i}" for i in range(n)]


@settings(max_examples=60)
@given(st.integers(1, 12), st.integers(1, 4), st.integers(1, 100), st.integers(0, 12))
def test_after_each_round_every_combination_was_taken_equally_often_or_once_more(
    n: int, order: int, per_round: int, rounds: int
) -> None:
    order = min(order, n)
    schedule = CombinationSchedule(named(n), order, per_round)
    times = Counter(dict.fromkeys(combinations(range(n), order), 0))
    for done in range(1, rounds + 1):
        times.update(tuple(row) for row in schedule.round(done - 1).tolist())
        least = done * schedule.per_round // schedule.n_combinations
        assert len(times) == schedule.n_combinations
        assert set(times.values()) <= {least, least + 1}


def test_a_round_holds_no_combination_twice_and_all_where_there_is_room() -> None:
    schedule = CombinationSchedule(named(20), 2, 1000)
    for number in (0, 1, 10**12):
        assert sorted(map(tuple, schedule.round(number).tolist())) == list(combinations(range(20), 2))


@pytest.mark.parametrize("workers", [1, 2, 3, 7, 50])
def test_workers_share_a_round_without_gap_or_overlap(workers: int) -> None:
    schedule = CombinationSchedule(named(30), 3, 40)
    parts = [schedule.round(5, worker, workers) for worker in range(workers)]
    assert np.concatenate(parts).tolist() == schedule.round(5).tolist()
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_the_schedule_depends_on_the_names_and_not_on_their_order() -> None:
    names = named(15)
    one, other = CombinationSchedule(names, 2, 10), CombinationSchedule(names[::-1], 2, 10)
    for number in range(12):
        assert {frozenset(pair) for pair in one.names(number)} == {frozenset(pair) for pair in other.names(number)}
    assert one.names(0) != CombinationSchedule([*names[:-1], "other"], 2, 10).names(0)


def test_names_come_in_the_order_of_the_features() -> None:
    schedule = CombinationSchedule(["z", "a", "m"], 2, 3)
    assert sorted(schedule.names(0)) == [("a", "m"), ("z", "a"), ("z", "m")]


def test_a_round_is_spread_over_all_features() -> None:
    """Each of 100 features is expected in 20 of 1,000 pairs."""
    schedule = CombinationSchedule(named(100), 2, 1000)
    times = np.bincount(schedule.round(0).ravel(), minlength=100)
    assert times.min() > 5
    assert times.max() < 40


def test_neighbours_in_the_cycle_are_unrelated() -> None:
    pairs = CombinationSchedule(named(200), 2, 19_900).round(0).astype(float)
    for column in pairs.T:
        assert abs(np.corrcoef(column[:-1], column[1:])[0, 1]) < 0.04


def test_nothing_of_the_size_of_all_combinations_is_held() -> None:
    schedule = CombinationSchedule(named(20_000), 3, 1000)
    assert schedule.n_combinations == math.comb(20_000, 3)
    rows = schedule.round(10**15)
    assert rows.shape == (1000, 3)
    assert (np.diff(rows, axis=1) > 0).all()
    assert rows.min() >= 0
    assert rows.max() < 20_000


@pytest.mark.parametrize(
    ("features", "order", "per_round", "message"),
    [
        (["a", "a"], 1, 1, "expected distinct names"),
        (["a"], 2, 1, "expected 1 to 1, the number of features, got 2"),
        (["a"], 1, 0, "expected a whole number of at least 1, got 0"),
        (named(3000), 8, 1, r"expected at most 2\*\*62 combinations"),
    ],
)
def test_wrong_settings_are_refused(features: list[str], order: int, per_round: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CombinationSchedule(features, order, per_round)


@pytest.mark.parametrize(("number", "worker", "workers"), [(-1, 0, 1), (0, 1, 1), (0, -1, 1), (0, 0, 0)])
def test_a_round_or_worker_that_there_is_not_is_refused(number: int, worker: int, workers: int) -> None:
    with pytest.raises(ConfigError, match="expected a round >= 0 and a worker below"):
        CombinationSchedule(["a", "b"], 2, 1).round(number, worker, workers)
