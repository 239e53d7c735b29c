import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.sparse_net.grid import coarsen, pool_max, pool_mean, rule_book
from tests.kit.cells import chance_grid, grid_of

try:
    from sparsewatch.detectors.sparse_net.spconv_layer import ConvAlgo, get_indice_pairs
except ImportError:
    get_indice_pairs = None


@pytest.mark.skipif(get_indice_pairs is None, reason="spconv is not installed here")
@settings(max_examples=50)
@given(seed=st.integers(0, 1_000), n=st.integers(1, 60))
def test_the_rule_book_holds_the_pairs_of_spconv(seed: int, n: int) -> None:
    grid = chance_grid(seed, n)
    indices = torch.stack([grid.wafer, grid.row, grid.column], dim=1).int()
    _, theirs, numbers = get_indice_pairs(
        indices, grid.wafers, [grid.height, grid.width], ConvAlgo.Native,
        [3, 3], [1, 1], [1, 1], [1, 1], [0, 0], True,
    )  # fmt: skip
    ours, counts = rule_book(grid)
    for cell in (0, 1, 2, 3, 5, 6, 7, 8):
        n_pairs = int(numbers[min(cell, 8 - cell)])
        assert int(counts[cell]) == n_pairs
        expected = {tuple(pair) for pair in theirs[:, cell, :n_pairs].T.tolist()}
        assert {tuple(pair) for pair in ours[:, cell, :n_pairs].T.tolist()} == expected


def test_neighbours_never_cross_a_border_or_a_wafer() -> None:
    rim = [(w, r, c) for w in (0, 1) for r, c in ((0, 0), (0, 3), (1, 0), (3, 3))]
    _, numbers = rule_book(grid_of(rim, [(4, 4), (4, 4)]))
    # Only (0, 0) and (1, 0) touch, once on each wafer, seen from both sides.
    assert numbers.tolist() == [0, 2, 0, 0, 0, 0, 0, 2, 0]


def test_a_grid_without_sites_has_no_pairs() -> None:
    _, numbers = rule_book(grid_of([], [(4, 4)]))
    assert numbers.tolist() == [0] * 9


def test_coarser_cells_are_the_quotients_where_the_side_divides() -> None:
    grid = chance_grid(1, shape=((12, 12), (12, 12)))
    coarse, parent = coarsen(grid, 4)
    assert torch.equal(coarse.row[parent], grid.row // 3)
    assert torch.equal(coarse.column[parent], grid.column // 3)
    assert torch.equal(coarse.wafer[parent], grid.wafer)
    assert len(set(coarse.key.tolist())) == coarse.sites
    assert bool((coarse.key[1:] > coarse.key[:-1]).all())


def test_coarsening_keeps_the_points_of_each_wafer() -> None:
    grid = chance_grid(2)
    coarse, _ = coarsen(grid, 3)
    before = torch.zeros(2).index_add(0, grid.wafer, grid.count)
    assert torch.equal(torch.zeros(2).index_add(0, coarse.wafer, coarse.count), before)
    assert coarse.shape.tolist() == [[3, 3], [3, 3]]


@pytest.mark.parametrize("side", [1, 3, 8])
def test_a_cell_falls_where_its_centre_lies_for_any_sides(side: int) -> None:
    grid = chance_grid(5)
    coarse, parent = coarsen(grid, side)
    for i in range(grid.sites):
        rows, columns = grid.shape[grid.wafer[i]].tolist()
        assert int(coarse.row[parent[i]]) == int((int(grid.row[i]) + 0.5) / rows * side)
        assert int(coarse.column[parent[i]]) == int((int(grid.column[i]) + 0.5) / columns * side)


def test_pooling_takes_the_largest_and_the_mean_by_cell() -> None:
    features = torch.tensor([[1.0, 4.0], [3.0, 0.0], [5.0, 6.0]])
    parent = torch.tensor([0, 0, 2])
    assert pool_max(features, parent, 3).tolist() == [[3, 4], [0, 0], [5, 6]]
    assert pool_mean(features, parent, 3).tolist() == [[2, 2], [0, 0], [5, 6]]
