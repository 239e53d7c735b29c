"""Active cells as tensors: neighbours, coarser grids and pooling.

Cells are sorted by an integer key, so neighbours in a row are neighbours in memory and one binary
search finds the three in the next row. On a CPU this is faster than hashing.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparsewatch.detectors.sparse_net.data import Sites

#: Cells of a 3 x 3 kernel, and the position of its middle cell.
KERNEL = 9
CENTRE = KERNEL // 2


@dataclass(frozen=True, slots=True)
class Grid:
    """Active cells of a batch at one resolution, sorted by key, none twice.

    Cell (wafer, row, column) has the key (wafer * height + row) * width + column. Height and width are
    at least one more than any wafer's, so that no step to a neighbour reaches another row or wafer.
    """

    #: Each int64 of shape (sites,).
    key: Tensor
    wafer: Tensor
    row: Tensor
    column: Tensor
    #: Points in the cell, float32 of shape (sites,).
    count: Tensor
    #: Rows and columns of each wafer's grid, int64 of shape (wafers, 2).
    shape: Tensor
    #: Rows and columns of every wafer's grid where they are the same, else None.
    common: tuple[int, int] | None
    height: int
    width: int

    @property
    def sites(self) -> int:
        """Active cells in the batch."""
        return len(self.key)

    @property
    def wafers(self) -> int:
        """Wafers in the batch."""
        return len(self.shape)

    def sides(self) -> tuple[Tensor | int, Tensor | int]:
        """Rows and columns of the grid each site lies on."""
        if self.common is not None:
            return self.common
        shape = self.shape[self.wafer]
        return shape[:, 0], shape[:, 1]


def to_grid(sites: Sites, device: torch.device | None = None) -> Grid:
    """The sites of a batch as tensors."""
    shape = torch.from_numpy(sites.shape).to(device)
    wafer, row, column, count = (
        torch.from_numpy(column).to(device) for column in (sites.wafer, sites.row, sites.column, sites.count)
    )
    rows, columns = sites.shape.max(axis=0, initial=0).tolist()
    common = (rows, columns) if (sites.shape == (rows, columns)).all() else None
    height, width = rows + 1, columns + 1
    key = (wafer * height + row) * width + column
    return Grid(key, wafer, row, column, count.float(), shape, common, height, width)


def coarsen(grid: Grid, side: int) -> tuple[Grid, Tensor]:
    """The same wafers on `side` x `side` cells.

    A cell falls into the coarser cell that holds its centre; where `side` divides the old side this is
    division by the stride.

    Returns:
        The coarser grid, and for each old cell the index of its new cell, int64 of shape (sites,).
    """
    rows, columns = grid.sides()
    row = (2 * grid.row + 1) * side // (2 * rows)
    column = (2 * grid.column + 1) * side // (2 * columns)
    key, parent = torch.unique((grid.wafer * (side + 1) + row) * (side + 1) + column, return_inverse=True)
    wafer_row = key // (side + 1)
    count = torch.zeros(len(key), device=key.device).index_add_(0, parent, grid.count)
    coarse = Grid(
        key=key,
        wafer=wafer_row // (side + 1),
        row=wafer_row % (side + 1),
        column=key % (side + 1),
        count=count,
        shape=torch.full_like(grid.shape, side),
        common=(side, side),
        height=side + 1,
        width=side + 1,
    )
    return coarse, parent


def rule_book(grid: Grid) -> tuple[Tensor, Tensor]:
    """Pairs of neighbours for a submanifold 3 x 3 convolution (wafer_open_set, section 2).

    Returns:
        `pairs`, int32 of shape (2, 9, most pairs of one offset): index of the input and of the output
        site, by kernel cell in row-major order; and `numbers`, int32 of shape (9,): the pairs that
        count. The middle cell has none: every site meets itself.
    """
    found = neighbour_pairs(grid)
    pairs = torch.zeros(2, KERNEL, max(len(low) for low, _ in found), dtype=torch.int32)
    pairs = pairs.to(grid.key.device)
    numbers = torch.zeros(KERNEL, dtype=torch.int32)
    for cell, (low, high) in enumerate(found, start=CENTRE + 1):
        numbers[cell] = numbers[KERNEL - 1 - cell] = len(low)
        pairs[0, cell, : len(low)] = pairs[1, KERNEL - 1 - cell, : len(low)] = high
        pairs[1, cell, : len(low)] = pairs[0, KERNEL - 1 - cell, : len(low)] = low
    return pairs, numbers.to(grid.key.device)


def neighbour_pairs(grid: Grid) -> list[tuple[Tensor, Tensor]]:
    """Sites with a neighbour, and that neighbour: int64 each, for the last four kernel cells in row-major order.

    The first four cells hold the same pairs, seen from the neighbour. NumPy does it on any device: its search starts
    where the last search ended, which for rising keys is faster than torch's.
    """
    key = grid.key.cpu().numpy()
    pairs = [_beside(key), *_below(key, grid.width)]
    return [
        (torch.from_numpy(low).to(grid.key.device), torch.from_numpy(high).to(grid.key.device)) for low, high in pairs
    ]


def _beside(key: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sites with a neighbour in the next column, and that neighbour."""
    low = np.flatnonzero(key[1:] - key[:-1] == 1)
    return low, low + 1


def _below(key: NDArray[np.int64], width: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Sites with a neighbour in the next row: a column back, straight below and a column on."""
    ended = np.append(key, [-1, -1, -1])
    at = np.searchsorted(key, key + (width - 1))
    found = []
    for step in (-1, 0, 1):
        hit = ended[at] == key + (width + step)
        low = np.flatnonzero(hit)
        found.append((low, at[low]))
        at = at + hit
    return found


def pool_max(features: Tensor, parent: Tensor, cells: int) -> Tensor:
    """Largest of each channel over the sites of a cell; float of shape (cells, channels).

    Features come from a ReLU: starting at 0 changes nothing, and a cell without a site gets 0.
    """
    index = parent[:, None].expand(-1, features.shape[1])
    pooled = features.new_zeros(cells, features.shape[1])
    return pooled.scatter_reduce(0, index, features, "amax")


def pool_mean(features: Tensor, parent: Tensor, cells: int) -> Tensor:
    """Mean of each channel over the sites of a cell, 0 for a cell without any."""
    total = features.new_zeros(cells, features.shape[1]).index_add(0, parent, features)
    return total / torch.bincount(parent, minlength=cells).clamp(min=1)[:, None]
