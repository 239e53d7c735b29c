from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.rows.methods.apre.mean_shift import Rows, shift_members, shift_reference, shifts_of_many
from sparsewatch.schemas.errors import ConfigError


def draws(seed: int, n: int, d: int = 3) -> Rows:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def slow_members(D: np.ndarray, k: int) -> np.ndarray:
    """Each member to the mean of itself and its k - 1 nearest others, one by one."""
    moved = []
    for i, row in enumerate(D):
        others = sorted((float(np.sum((row - D[j]) ** 2)), j) for j in range(len(D)) if j != i)[: k - 1]
        moved.append(np.mean([row, *(D[j] for _, j in others)], axis=0))
    return np.array(moved)


def slow_shift(rows: np.ndarray, D: np.ndarray, k: int, shifts: int) -> np.ndarray:
    """x^(m), one row by one."""
    for _ in range(shifts):
        moved = []
        for row in rows:
            near = sorted((float(np.sum((row - other) ** 2)), j) for j, other in enumerate(D))[: k - 1]
            moved.append((row + sum(D[j] for _, j in near)) / k)
        rows, D = np.array(moved), slow_members(D, k)
    return rows


@given(seed=st.integers(0, 99), n=st.integers(2, 25), k=st.integers(1, 25), shifts=st.integers(0, 3))
@settings(max_examples=30)
def test_rows_move_as_the_formula_says(seed: int, n: int, k: int, shifts: int) -> None:
    reference, rows, k = draws(seed, n), draws(seed + 1000, 4), min(k, n)
    expected = slow_shift(rows.astype(np.float64), reference.astype(np.float64), k, shifts)
    assert shift_reference(reference, k, shifts).shift(rows) == pytest.approx(expected, abs=1e-5)


@given(seed=st.integers(0, 99), n=st.integers(2, 25), k=st.integers(1, 25))
@settings(max_examples=30)
def test_members_move_as_the_formula_says(seed: int, n: int, k: int) -> None:
    reference = draws(seed, n)
    assert shift_members(reference, min(k, n)) == pytest.approx(slow_members(reference, min(k, n)), abs=1e-5)


def test_many_at_once_are_each_alone() -> None:
    reference, rows = draws(0, 40), draws(1, 7)
    most = {2: 3, 5: 1, 9: 2, 1: 2, 40: 2}
    found = list(shifts_of_many(reference, rows, most))
    assert [(k, m) for k, m, *_ in found] == [(k, m) for k in sorted(most) for m in range(1, most[k] + 1)]
    for k, m, members, others in found:
        alone = reference
        for _ in range(m):
            alone = shift_members(alone, k)
        np.testing.assert_allclose(members, alone, atol=1e-6)
        np.testing.assert_allclose(others, shift_reference(reference, k, m).shift(rows), atol=1e-6)


@pytest.mark.parametrize(("k", "shifts"), [(1, 3), (5, 0)])
def test_nothing_moves_without_shift_or_neighbours_to_the_bit(k: int, shifts: int) -> None:
    rows = draws(1, 9)
    assert np.array_equal(shift_reference(draws(0, 20), k, shifts).shift(rows), rows)
    assert np.array_equal(shift_members(rows, 1), rows)


def test_of_equal_rows_each_counts_once() -> None:
    reference = np.array([[0.0], [0.0], [0.0], [0.0], [3.0]], dtype=np.float32)
    assert shift_members(reference, 3).ravel().tolist() == [0, 0, 0, 0, 1]
    # A stranger that equals a member counts beside it.
    assert shift_reference(reference, 3, 1).shift(reference[4:]).ravel().tolist() == [2.0]


def test_a_lone_point_goes_half_way() -> None:
    line = np.array([[0.0], [1.0], [10.0]], dtype=np.float32)
    assert shift_members(line, 2).ravel().tolist() == [0.5, 0.5, 5.5]


@given(seed=st.integers(0, 99), k=st.integers(2, 12), shifts=st.integers(1, 3))
@settings(max_examples=20)
def test_moving_turning_and_scaling_the_space_moves_the_result_along(seed: int, k: int, shifts: int) -> None:
    reference, rows = draws(seed, 30), draws(seed + 1000, 5)
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))[0].astype(np.float32)
    plain = shift_reference(reference, k, shifts).shift(rows)
    movements: list[Callable[[Rows], Rows]] = [
        lambda X: X + np.float32(4),
        lambda X: X @ turn,
        lambda X: X * np.float32(8),
    ]
    for moved in movements:
        found = shift_reference(moved(reference), k, shifts).shift(moved(rows))
        np.testing.assert_allclose(found, moved(plain), atol=1e-4)


def test_the_order_of_the_reference_is_irrelevant() -> None:
    reference, rows = draws(0, 50), draws(1, 5)
    plain = shift_reference(reference, 7, 3).shift(rows)
    np.testing.assert_allclose(shift_reference(reference[::-1].copy(), 7, 3).shift(rows), plain, atol=1e-6)


def test_equal_rows_stay_where_they_are() -> None:
    reference = np.full((12, 2), 0.5, dtype=np.float32)
    assert np.array_equal(shift_reference(reference, 8, 3).shift(reference[:2]), reference[:2])


def test_with_all_as_neighbours_every_member_goes_to_the_mean() -> None:
    reference, rows = draws(0, 20), draws(1, 5)
    np.testing.assert_allclose(shift_members(reference, 20), np.tile(reference.mean(axis=0), (20, 1)), atol=1e-6)
    near = shift_reference(reference, 20, 1).shift(rows)
    dropped = [np.argmax(((row - reference) ** 2).sum(axis=1)) for row in rows]
    expected = (rows + reference.sum(axis=0) - reference[dropped]) / 20
    np.testing.assert_allclose(near, expected, atol=1e-6)


@given(seed=st.integers(0, 99), k=st.integers(2, 30), shifts=st.integers(1, 3))
@settings(max_examples=20)
def test_coordinates_stay_in_their_range(seed: int, k: int, shifts: int) -> None:
    reference, rows = draws(seed, 30), draws(seed + 1000, 5)
    moved = shift_reference(reference, k, shifts).shift(rows)
    everything = np.concatenate([reference, rows])
    assert (moved >= everything.min(axis=0) - 1e-5).all()
    assert (moved <= everything.max(axis=0) + 1e-5).all()


def test_members_stay_in_their_cluster() -> None:
    cluster = draws(0, 10)
    reference = np.concatenate([cluster, cluster + 100])
    moved = reference
    for _ in range(3):
        moved = shift_members(moved, 10)
    np.testing.assert_allclose(moved[:10], np.tile(cluster.mean(axis=0), (10, 1)), atol=1e-4)
    np.testing.assert_allclose(moved[10:], moved[:10] + 100, atol=1e-4)


def test_a_row_moves_alike_whatever_comes_with_it() -> None:
    reference, rows = draws(0, 300), draws(1, 40)
    shift = shift_reference(reference, 6, 2).shift
    assert np.array_equal(shift(rows), np.concatenate([shift(rows[:7]), shift(rows[7:])]))


@pytest.mark.parametrize(("k", "shifts", "words"), [(0, 1, "k: expected"), (21, 1, "got 21"), (2, -1, "shifts")])
def test_wrong_settings_are_refused(k: int, shifts: int, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        shift_reference(draws(0, 20), k, shifts)
