"""Boards hold only what can be compared; ranks, wins and corrected p-values are those one works out by hand."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.harness import this_machine
from benchmarks.rows_figures import Board, board, compare, holm
from benchmarks.rows_protocol import Measurement


def measurement(of: str, method: str, auc: float, seed: int = 0) -> Measurement:
    return Measurement(
        protocol="label-free",
        set=of,
        seed=seed,
        method=method,
        rows={method: {"auc": auc}},
        seconds=1.0,
        machine=this_machine(),
        date=datetime(2026, 1, 1, tzinfo=UTC),
        command="here",
    )


def test_a_board_is_the_mean_over_the_seeds_in_the_order_of_the_files() -> None:
    entries = [measurement("2_b", "m", 0.5), measurement("2_b", "m", 0.7, seed=1), measurement("18_a", "m", 0.9)]
    found = board(entries, "auc")
    assert found.sets == ["18_a", "2_b"]
    assert found.of("m").tolist() == pytest.approx([0.9, 0.6])


def test_a_set_that_lacks_a_method_is_left_out() -> None:
    found = board([measurement("a", "m", 0.5), measurement("a", "o", 0.6), measurement("b", "m", 1.0)], "auc")
    assert (found.sets, found.methods) == (["a"], ["m", "o"])


def test_methods_are_compared_over_the_seeds_that_all_have() -> None:
    found = board([measurement("a", "m", 0.5), measurement("a", "m", 0.9, seed=1), measurement("a", "o", 0.6)], "auc")
    assert found.values.tolist() == [[0.5, 0.6]]
    assert not board([measurement("a", "m", 0.9, seed=1), measurement("a", "o", 0.6)], "auc").sets


def test_ties_share_their_rank() -> None:
    found = Board(["a", "b"], ["m", "n", "o"], np.array([[0.9, 0.9, 0.1], [0.2, 0.3, 0.4]]))
    assert found.mean_ranks == {"m": 2.25, "n": 1.75, "o": 2.0}
    assert list(found.means) == ["n", "m", "o"]


def test_wins_losses_and_ties_are_counted_by_set() -> None:
    found = Board(["a", "b", "c"], ["m", "o"], np.array([[0.9, 0.1], [0.2, 0.3], [0.5, 0.5001]]))
    compared = compare(found, "m")["o"]
    assert (compared.wins, compared.losses, compared.ties) == (1, 1, 1)
    assert compared.mean_difference == pytest.approx((0.8 - 0.1 - 0.0001) / 3)


def test_a_method_equal_on_all_sets_differs_by_chance() -> None:
    found = Board(["a", "b"], ["m", "o"], np.full((2, 2), 0.5))
    assert compare(found, "m")["o"].p_corrected == 1.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_what_stepping_down_rejects(p_values: list[float]) -> None:
    level, rejected = 0.05, set()
    for step, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[place] * (len(p_values) - step) > level:
            break
        rejected.add(place)
    assert {i for i, p in enumerate(holm(p_values)) if p <= level} == rejected
