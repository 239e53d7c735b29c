import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from detectors.sparse_net.data import Sites
from detectors.sparse_net.engine import ConvAlgo, get_indice_pairs, indice_subm_conv
from detectors.sparse_net.grid import Grid, coarsen, pool_max, pool_mean, rule_book, to_grid


def grid_of(cells: list[tuple[int, int, int]], shape: list[tuple[int, int]]) -> Grid:
    wafer, row, column = np.array(sorted(set(cells)), dtype=np.int64).reshape(-1, 3).T
    sides = np.array(shape, dtype=np.int64)
    return to_grid(Sites(wafer, row, column, np.ones_like(wafer), sides, np.ones(len(shape))))


def chance_grid(seed: int, n: int = 60, shape: tuple[tuple[int, int], ...] = ((9, 7), (5, 12))) -> Grid:
    rng = np.random.default_rng(seed)
    wafer = rng.integers(len(shape), size=n)
    cells = [(w, rng.integers(shape[w][0]), rng.integers(shape[w][1])) for w in wafer.tolist()]
    return grid_of([(int(w), int(r), int(c)) for w, r, c in cells], list(shape))


def convolve(grid: Grid, features: Tensor, weight: Tensor) -> Tensor:
    """`weight` of shape (out, 3, 3, in), as spconv keeps it."""
    pairs, numbers = rule_book(grid)
    out = indice_subm_conv(features, weight, pairs, numbers, grid.sites, ConvAlgo.Native)
    return torch.as_tensor(out)


def dense_convolve(grid: Grid, features: Tensor, weight: Tensor) -> Tensor:
    """Zero-padded convolution of the dense image, read at the active cells."""
    image = torch.zeros(grid.wafers, features.shape[1], grid.height, grid.width)
    image[grid.wafer, :, grid.row, grid.column] = features
    out = torch.nn.functional.conv2d(image, weight.permute(0, 3, 1, 2), padding=1)
    return out[grid.wafer, :, grid.row, grid.column]


@pytest.mark.parametrize("seed", range(5))
def test_convolution_equals_the_dense_one_at_active_cells(seed: int) -> None:
    grid = chance_grid(seed)
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(grid.sites, 3, generator=generator)
    weight = torch.randn(5, 3, 3, 3, generator=generator)
    dense = dense_convolve(grid, features, weight)
    torch.testing.assert_close(convolve(grid, features, weight), dense, atol=1e-5, rtol=1e-5)


def test_gradients_equal_those_of_the_dense_convolution() -> None:
    grid = chance_grid(3)
    features, weight = torch.randn(grid.sites, 2), torch.randn(4, 3, 3, 2)
    gradients = []
    for function in (convolve, dense_convolve):
        x, w = features.clone().requires_grad_(), weight.clone().requires_grad_()
        gradients.append(torch.autograd.grad((function(grid, x, w) ** 2).sum(), (x, w)))
    for ours, dense in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, dense, atol=1e-3, rtol=1e-4)


def test_an_all_ones_kernel_counts_active_neighbours_and_the_cell_itself() -> None:
    grid = grid_of([(0, 0, 0), (0, 0, 1), (0, 2, 2)], [(3, 3)])
    out = convolve(grid, torch.ones(3, 1), torch.ones(1, 3, 3, 1))
    assert out[:, 0].tolist() == [2, 2, 1]


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


def test_moving_all_cells_by_the_same_step_changes_nothing() -> None:
    cells = [(0, r, c) for r, c in ((0, 0), (0, 1), (1, 1), (4, 2))]
    moved = [(w, r + 900, c + 12_345) for w, r, c in cells]
    features, weight = torch.randn(4, 3), torch.randn(2, 3, 3, 3)
    here = convolve(grid_of(cells, [(5, 5)]), features, weight)
    there = convolve(grid_of(moved, [(16_384, 16_384)]), features, weight)
    assert torch.equal(here, there)


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
