"""Columns that go together, and windows in which one no longer does."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.rows.windows.links import (
    ColumnLinks,
    fit_links,
    groups_of,
    link_worth,
    lost_links,
    spread_of_links,
)

GROUPS = 10
NAMES = ("a", "b", "c", "d")


def grouped(n: int, seed: int) -> np.ndarray:
    """Groups of four columns of which the first three go together, shape (n, 4)."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((n, 4))
    values[:, :3] += rng.standard_normal((n, 1))
    cuts = np.quantile(values, np.arange(1, GROUPS) / GROUPS, axis=0).T.astype(np.float32)
    return groups_of(values.astype(np.float32), cuts)


def links() -> ColumnLinks:
    whole = grouped(20_000, 0)
    found = fit_links(whole[:16_000], whole[16_000:], GROUPS)
    assert found is not None
    return found


def lost(groups: np.ndarray, apart_from: tuple[str, ...] = ()) -> list[tuple[str, float, float]]:
    found = lost_links(links(), groups, len(groups), NAMES, apart_from)
    return [(one.column, one.lost, one.chance) for one in found if one.chance <= 1e-6]


def test_columns_that_go_together_are_partners_and_one_that_goes_by_itself_has_none() -> None:
    found = links()
    assert found.columns.tolist() == [0, 1, 2]
    assert [sorted(p for p in own if p >= 0) for own in found.partners.tolist()] == [[1, 2], [0, 2], [0, 1]]


def test_columns_that_have_nothing_to_do_with_each_other_have_no_links() -> None:
    groups = np.random.default_rng(0).integers(0, GROUPS, (20_000, 6)).astype(np.uint8)
    assert fit_links(groups[:16_000], groups[16_000:], GROUPS) is None


@settings(max_examples=10)
@given(st.integers(2, 5), st.integers(0, 99))
def test_weights_are_the_shrunken_logarithms_of_how_much_more_often_groups_come_together(
    groups: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    one = rng.integers(0, groups, 5_000)
    other = np.where(rng.random(5_000) < 0.7, one, rng.integers(0, groups, 5_000))
    rows = np.stack([one, other], axis=1).astype(np.uint8)
    found = fit_links(rows[:4_000], rows[4_000:], groups)
    assert found is not None
    for a in range(groups):
        for b in range(groups):
            seen = sum(x == a and y == b for x, y in rows[:4_000].tolist())
            by_chance = sum(x == a for x in rows[:4_000, 0]) * sum(y == b for y in rows[:4_000, 1]) / 4_000
            assert found.weights[0, 0, a, b] == pytest.approx(math.log((seen + 5) / (by_chance + 5)), rel=1e-5)
    worth = [found.weights[0, 0, a, b] for a, b in rows[4_000:].tolist()]
    assert found.figures[0, 0] == pytest.approx(np.mean(worth), rel=1e-5)
    anew = [found.weights[0, 0, a, b] for a in rows[4_000:, 0] for b in rows[4_000:, 1]]
    assert found.figures[1, 0] == pytest.approx(np.mean(anew), rel=1e-4, abs=1e-6)


def test_windows_like_the_training_data_lose_nothing() -> None:
    assert [lost(grouped(1_000, seed)) for seed in range(1, 20)] == [[]] * 19


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_column_that_is_dealt_out_anew_lost_as_much_of_its_link_as_rows_are_concerned(share: float) -> None:
    window = grouped(4_000, 1)
    rows = np.flatnonzero(np.random.default_rng(2).random(4_000) < share)
    window[rows, 1] = np.random.default_rng(3).permutation(window[rows, 1])
    [(column, part, _)] = lost(window)
    assert column == "b"
    assert part == pytest.approx(share, abs=0.1)


def test_a_column_swapped_with_one_that_goes_by_itself_is_found() -> None:
    window = grouped(4_000, 1)[:, [0, 3, 2, 1]]
    assert [column for column, _, _ in lost(window)] == ["b"]


def test_columns_that_moved_say_nothing_of_their_links() -> None:
    window = grouped(4_000, 1)
    window[:, 1] = 9
    assert lost(window, ("b",)) == []


def test_too_few_rows_say_nothing() -> None:
    assert lost_links(links(), np.zeros((99, 4), dtype=np.uint8), 99, NAMES, ()) == []


def test_a_link_that_comes_and_goes_between_stretches_is_not_lost() -> None:
    stretches = [grouped(500, seed) for seed in range(40)]
    for one in stretches[::2]:
        one[:, 0] = np.random.default_rng(0).permutation(one[:, 0])
    whole = np.concatenate(stretches)
    held_out = np.arange(len(whole)) % 5 == 0
    bare = fit_links(whole[~held_out], whole[held_out], GROUPS)
    assert bare is not None
    blocks = spread_of_links(bare, whole, 1.0)
    known = ColumnLinks(bare.columns, bare.partners, bare.weights, bare.figures, bare.rows, blocks)
    without = ColumnLinks(bare.columns, bare.partners, bare.weights, bare.figures, bare.rows)
    assert min(found.p_value for found in lost_links(without, stretches[0], 500, NAMES, ())) < 1e-5
    assert min(found.p_value for found in lost_links(known, stretches[0], 500, NAMES, ())) > 1e-3


def test_links_are_the_same_once_stored() -> None:
    whole = grouped(2_000, 0)
    bare = fit_links(whole[:1_600], whole[1_600:], GROUPS)
    assert bare is not None
    known = ColumnLinks(
        bare.columns, bare.partners, bare.weights, bare.figures, bare.rows, spread_of_links(bare, whole, 1.0)
    )
    for one in (bare, known):
        again = ColumnLinks.from_arrays(one.to_arrays())
        assert again is not None
        np.testing.assert_array_equal(link_worth(again, whole), link_worth(one, whole))
        assert {name: values.tolist() for name, values in again.to_arrays().items()} == {
            name: values.tolist() for name, values in one.to_arrays().items()
        }
    assert ColumnLinks.from_arrays({}) is None
