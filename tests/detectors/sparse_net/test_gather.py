from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sparsewatch.detectors.sparse_net import gather
from sparsewatch.detectors.sparse_net.engine import Layer
from sparsewatch.detectors.sparse_net.gather import GatherConv2d, neighbours, submanifold_conv
from sparsewatch.detectors.sparse_net.grid import Grid, rule_book
from tests.kit.cells import chance_grid, grid_of

try:
    from sparsewatch.detectors.sparse_net.spconv_layer import SpconvConv2d
except ImportError:
    SpconvConv2d = None  # type: ignore[assignment, misc]

WITHOUT_SPCONV = pytest.mark.skipif(SpconvConv2d is None, reason="spconv is not installed here")


@pytest.fixture(params=[GatherConv2d, pytest.param(SpconvConv2d, marks=WITHOUT_SPCONV)], ids=["gather", "spconv"])
def layer(request: pytest.FixtureRequest) -> Layer:
    """Either kind of convolution."""
    kind: Layer = request.param
    return kind


def convolve(layer: Layer, grid: Grid, features: Tensor, weight: Tensor) -> Tensor:
    """With the weights given, of shape (out, 3, 3, in)."""
    convolution = layer(weight.shape[3], weight.shape[0])
    return torch.as_tensor(torch.func.functional_call(convolution, {"weight": weight}, (features, layer.book(grid))))


def dense_convolve(grid: Grid, features: Tensor, weight: Tensor) -> Tensor:
    """Zero-padded convolution of the dense image, read at the active cells."""
    image = torch.zeros(grid.wafers, features.shape[1], grid.height, grid.width, dtype=features.dtype)
    image[grid.wafer, :, grid.row, grid.column] = features
    out = torch.nn.functional.conv2d(image, weight.permute(0, 3, 1, 2), padding=1)
    return out[grid.wafer, :, grid.row, grid.column]


def drawn(grid: Grid, channels_in: int, channels_out: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(grid.sites, channels_in, generator=generator)
    return features, torch.randn(channels_out, 3, 3, channels_in, generator=generator)


@pytest.mark.parametrize("seed", range(5))
def test_convolution_equals_the_dense_one_at_active_cells(layer: Layer, seed: int) -> None:
    grid = chance_grid(seed)
    features, weight = drawn(grid, 3, 5, seed)
    dense = dense_convolve(grid, features, weight)
    torch.testing.assert_close(convolve(layer, grid, features, weight), dense, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_gradients_equal_those_of_the_dense_convolution(layer: Layer, seed: int) -> None:
    grid = chance_grid(seed)
    features, weight = drawn(grid, 2, 4, seed)
    upstream = torch.randn(grid.sites, 4, generator=torch.Generator().manual_seed(seed))
    ways: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
        partial(convolve, layer, grid),
        partial(dense_convolve, grid),
    )
    gradients = []
    for out_of in ways:
        x, w = features.clone().requires_grad_(), weight.clone().requires_grad_()
        gradients.append(torch.autograd.grad((out_of(x, w) * upstream).sum(), (x, w)))
    for ours, dense in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, dense, atol=1e-5, rtol=1e-5)


@settings(max_examples=40)
@given(seed=st.integers(0, 1_000), n=st.integers(0, 80), block=st.sampled_from([1, 50, 1 << 18]))
def test_any_cells_in_blocks_of_any_size_convolve_like_the_dense_image(seed: int, n: int, block: int) -> None:
    grid = chance_grid(seed, n)
    features, weight = drawn(grid, 2, 3, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gather, "_BLOCK", block)
        out = submanifold_conv(features, weight, neighbours(grid))
    torch.testing.assert_close(out, dense_convolve(grid, features, weight), atol=1e-5, rtol=1e-5)


def test_gradients_are_those_of_finite_differences() -> None:
    grid = chance_grid(2, n=12, shape=((4, 4),))
    features, weight = (t.double().requires_grad_() for t in drawn(grid, 2, 2))
    among = neighbours(grid)
    assert torch.autograd.gradcheck(lambda x, w: submanifold_conv(x, w, among), (features, weight))


def test_neighbours_hold_the_pairs_of_the_rule_book() -> None:
    grid = chance_grid(4)
    pairs, numbers = rule_book(grid)
    among = neighbours(grid)
    assert among.touching.tolist() == sorted(
        {i for c, n in enumerate(numbers.tolist()) for i in pairs[1, c, :n].tolist()}
    )
    none = len(among.touching)
    for cell in (0, 1, 2, 3, 5, 6, 7, 8):
        expected = set(map(tuple, pairs[:, cell, : int(numbers[cell])].T.tolist()))
        found = {
            (int(among.touching[at]), int(site))
            for site, at in zip(among.touching, among.table[:, cell].tolist(), strict=True)
            if at != none
        }
        assert found == expected


def test_an_all_ones_kernel_counts_active_neighbours_and_the_cell_itself(layer: Layer) -> None:
    grid = grid_of([(0, 0, 0), (0, 0, 1), (0, 2, 2)], [(3, 3)])
    out = convolve(layer, grid, torch.ones(3, 1), torch.ones(1, 3, 3, 1))
    assert out[:, 0].tolist() == [2, 2, 1]


def test_moving_all_cells_by_the_same_step_on_a_larger_wafer_changes_nothing(layer: Layer) -> None:
    cells = [(0, r, c) for r, c in ((0, 0), (0, 1), (1, 1), (4, 2))]
    here = grid_of(cells, [(5, 5)])
    there = grid_of([(w, r + 900, c + 12_345) for w, r, c in cells], [(16_384, 16_384)])
    features, weight = drawn(here, 3, 2)
    assert torch.equal(convolve(layer, here, features, weight), convolve(layer, there, features, weight))


def test_components_that_do_not_touch_do_not_influence_each_other(layer: Layer) -> None:
    near, far = [(0, 0, 0), (0, 0, 1), (0, 1, 1)], [(0, 3, 3), (0, 3, 4)]
    both, alone = grid_of(near + far, [(5, 5)]), grid_of(near, [(5, 5)])
    features, weight = drawn(both, 3, 4)
    together = convolve(layer, both, features, weight)[:3]
    torch.testing.assert_close(together, convolve(layer, alone, features[:3], weight), atol=1e-6, rtol=1e-6)


def test_cells_that_touch_no_other_need_the_middle_weight_only(layer: Layer) -> None:
    grid = grid_of([(0, 0, 0), (0, 2, 2), (1, 0, 0)], [(3, 3), (3, 3)])
    features, weight = drawn(grid, 3, 4)
    torch.testing.assert_close(convolve(layer, grid, features, weight), features @ weight[:, 1, 1].T)


def test_wafers_without_a_cell_convolve_to_nothing() -> None:
    grid = grid_of([], [(4, 4)])
    x, w = (t.requires_grad_() for t in drawn(grid, 3, 4))
    out = submanifold_conv(x, w, neighbours(grid))
    assert out.shape == (0, 4)
    assert all(gradient.eq(0).all() for gradient in torch.autograd.grad(out.sum(), (x, w)))


def test_a_convolution_has_nine_weights_for_each_pair_of_channels(layer: Layer) -> None:
    assert sum(p.numel() for p in layer(6, 10).parameters()) == 9 * 6 * 10


@WITHOUT_SPCONV
def test_the_same_seed_draws_the_same_weights_for_either_kind() -> None:
    torch.manual_seed(3)
    ours = GatherConv2d(5, 7)
    torch.manual_seed(3)
    theirs = SpconvConv2d(5, 7)
    assert list(ours.state_dict()) == list(theirs.state_dict()) == ["weight"]
    torch.testing.assert_close(ours.weight, theirs.weight, atol=1e-7, rtol=1e-6)
