"""From points to sites, the active cells a sparse convolution works on; and batches of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.counts.value_hashes import STEP
from sparsewatch.detectors.sparse_net.points import WaferPoints, offsets_of


@dataclass(frozen=True, slots=True)
class Sites:
    """Active cells of a batch of wafers, sorted by wafer, row and column, none twice."""

    #: Each int64 of shape (sites,).
    wafer: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    #: Points in the cell, int64 of shape (sites,), at least 1.
    count: NDArray[np.int64]
    #: Rows and columns of each wafer's grid, int64 of shape (wafers, 2).
    shape: NDArray[np.int64]
    #: Share of each wafer's active cells that are sites, float64 of shape (wafers,), in (0, 1].
    sampled: NDArray[np.float64]

    @property
    def wafers(self) -> int:
        """Wafers in the batch, those without a site among them."""
        return len(self.shape)


def to_sites(points: WaferPoints, grid: int, cap: int = 100_000) -> Sites:
    """Cells that hold a point, each once (wafer_open_set, section 3).

    Args:
        points: a batch of wafers.
        grid: cells a side for wafers without a grid of their own; any number from 1.
        cap: most sites of one wafer. Above it cells are sampled by a hash of their place, so that the same wafer has
            the same sites.
    """
    shape = np.where(points.own_grid > 0, points.own_grid, grid)
    # A row and a column more than any wafer has: neighbours of keys never cross a border.
    height, width = (shape.max(axis=0, initial=0) + 1).tolist()
    wafer = points.wafer
    row = _cell(points.y, shape[:, 0], wafer)
    column = _cell(points.x, shape[:, 1], wafer)
    key, count = np.unique((wafer * height + row) * width + column, return_counts=True)
    wafer_row, column = np.divmod(key, width)
    wafer, row = np.divmod(wafer_row, height)
    sites = Sites(wafer, row, column, count, shape, np.ones(len(shape)))
    return _capped(sites, cap)


def split_wafers(points: WaferPoints, limit: int) -> Iterator[NDArray[np.int64]]:
    """Runs of consecutive wafers of at most `limit` points together, at least one wafer each."""
    first = 0
    while first < len(points):
        end = int(np.searchsorted(points.offsets, points.offsets[first] + limit, side="right")) - 1
        end = max(end, first + 1)
        yield np.arange(first, end)
        first = end


def _cell(at: NDArray[np.float32], sides: NDArray[np.int64], wafer: NDArray[np.int64]) -> NDArray[np.int64]:
    """floor((at + 1) / 2 * side), the far rim counted to the last cell."""
    side = sides[wafer]
    cell = ((at.astype(np.float64) + 1) * (side / 2)).astype(np.int64)
    return np.clip(cell, 0, side - 1)


def _capped(sites: Sites, cap: int) -> Sites:
    found = np.bincount(sites.wafer, minlength=sites.wafers)
    if found.max(initial=0) <= cap:
        return sites
    place = (sites.row * (sites.shape[:, 1].max() + 1) + sites.column).astype(np.uint64)
    mixed = (place ^ (place >> np.uint64(31))) * STEP
    order = np.lexsort((mixed ^ (mixed >> np.uint64(29)), sites.wafer))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - offsets_of(found)[sites.wafer[order]]
    keep = rank < cap
    return Sites(
        sites.wafer[keep],
        sites.row[keep],
        sites.column[keep],
        sites.count[keep],
        sites.shape,
        np.minimum(1.0, cap / np.maximum(found, 1)),
    )
