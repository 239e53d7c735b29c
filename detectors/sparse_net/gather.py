"""Submanifold 3 x 3 convolution in plain torch: the same weights as spconv's, on any machine torch runs on.

Graham and van der Maaten, "Submanifold Sparse Convolutional Networks" (2017): an active cell sums its active
neighbours, each times the weight of its direction. Here the rows of a cell and its neighbours are gathered beside
each other and multiplied by all weights at once; cells that touch no other skip that, they need the middle weight only.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sparsewatch.detectors.sparse_net.grid import CENTRE, KERNEL, Grid, neighbour_pairs

#: Numbers gathered at a time on a CPU, 1 MB: what stays in a core's cache. All at once is slower.
_BLOCK = 1 << 18


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Sites with a neighbour, and their neighbours; touching is symmetric, so they are a closed set."""

    #: Sites with a neighbour, rising, int64 of shape (touching,).
    touching: Tensor
    #: For each of them the place of its neighbours in `touching` by kernel cell in row-major order, itself in the
    #: middle; `len(touching)` where there is none. int32 of shape (touching, 9).
    table: Tensor


def neighbours(grid: Grid) -> Neighbours:
    """Neighbours of all sites, for every convolution at a resolution; about 40 bytes a site."""
    pairs = neighbour_pairs(grid)
    touched = torch.zeros(grid.sites, dtype=torch.bool, device=grid.key.device)
    for low, high in pairs:
        touched[low] = True
        touched[high] = True
    touching = torch.nonzero(touched).squeeze(1)
    place = torch.cumsum(touched, 0, dtype=torch.int32) - 1
    table = torch.full((len(touching), KERNEL), len(touching), dtype=torch.int32, device=touching.device)
    table[:, CENTRE] = torch.arange(len(touching), dtype=torch.int32, device=touching.device)
    for cell, (low, high) in enumerate(pairs, start=CENTRE + 1):
        at_low, at_high = place[low], place[high]
        table[at_low.long(), cell] = at_high
        table[at_high.long(), KERNEL - 1 - cell] = at_low
    return Neighbours(touching, table)


class GatherConv2d(nn.Module):
    """One convolution without bias; `weight` has the shape (channels_out, 3, 3, channels_in), as in spconv 2."""

    book = staticmethod(neighbours)

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        # As spconv draws them: Kaiming's uniform with a slope of sqrt(5), which comes to this bound.
        bound = (KERNEL * channels_in) ** -0.5
        self.weight = nn.Parameter(torch.empty(channels_out, 3, 3, channels_in).uniform_(-bound, bound))

    def forward(self, features: Tensor, among: Neighbours) -> Tensor:
        """Float of shape (sites, channels_in) to (sites, channels_out)."""
        return submanifold_conv(features, self.weight, among)


def submanifold_conv(features: Tensor, weight: Tensor, among: Neighbours) -> Tensor:
    """Convolve: float of shape (sites, channels_in) to (sites, channels_out).

    Args:
        features: one row a site.
        weight: of shape (channels_out, 3, 3, channels_in).
        among: the neighbours of the same sites.
    """
    return _Convolution.apply(features, weight, among)  # type: ignore[no-any-return]


class _Convolution(torch.autograd.Function):
    """The gradient by hand: torch's own would add row by row, at several times the cost."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, among: Neighbours) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.among = among
        return _convolve(features, weight, among)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        features, weight = ctx.saved_tensors
        by_features = by_weight = None
        if ctx.needs_input_grad[0]:
            # What a site gives a neighbour it gets back by the opposite cell: the same sum with the kernel turned.
            turned = weight.flip(1, 2).transpose(0, 3)
            by_features = _convolve(gradient, turned, ctx.among)
        if ctx.needs_input_grad[1]:
            by_weight = _weight_gradient(features, gradient, ctx.among).view_as(weight)
        return by_features, by_weight, None


def _convolve(features: Tensor, weight: Tensor, among: Neighbours) -> Tensor:
    kernel = weight.flatten(1, 2)
    out = features @ kernel[:, CENTRE].T
    table = among.table
    if not len(table):
        return out
    flat, rows = kernel.flatten(1).T, _padded(features, among)
    summed = out.new_empty(len(table), out.shape[1])
    block, step = _block(rows)
    for first in range(0, len(table), step):
        part = table[first : first + step]
        torch.mm(_gathered(rows, part, block), flat, out=summed[first : first + step])
    return out.index_copy_(0, among.touching, summed)


def _weight_gradient(features: Tensor, gradient: Tensor, among: Neighbours) -> Tensor:
    """Shape (channels_out, 9 * channels_in)."""
    channels = features.shape[1]
    table, rows, given = among.table, _padded(features, among), gradient[among.touching]
    total = gradient.new_zeros(gradient.shape[1], KERNEL * channels)
    block, step = _block(rows)
    for first in range(0, len(table), step):
        part = table[first : first + step]
        total.addmm_(given[first : first + step].T, _gathered(rows, part, block))
    # The middle cell counts the sites without a neighbour, too.
    total[:, CENTRE * channels : (CENTRE + 1) * channels] = gradient.T @ features
    return total


def _padded(features: Tensor, among: Neighbours) -> Tensor:
    """Rows of the touching sites, then a row of zeros for missing neighbours."""
    rows = features.new_zeros(len(among.touching) + 1, features.shape[1])
    torch.index_select(features, 0, among.touching, out=rows[:-1])
    return rows


def _block(rows: Tensor) -> tuple[Tensor, int]:
    """Room for gathered rows, and how many sites it holds."""
    width = KERNEL * rows.shape[1]
    step = max(_BLOCK // width, 1) if rows.device.type == "cpu" else len(rows)
    return rows.new_empty(step * KERNEL, rows.shape[1]), step


def _gathered(rows: Tensor, part: Tensor, block: Tensor) -> Tensor:
    """Each site's kernel of rows side by side, written into `block`."""
    out = block[: part.numel()]
    torch.index_select(rows, 0, part.flatten(), out=out)
    return out.view(len(part), -1)
