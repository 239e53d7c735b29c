"""Plain statistics of a wafer's defects: how many, where, and in which shapes they are connected.

Training pulls the classes together in the latent space and drops what does not separate them, so a new pattern can land
among known patterns (wafer_open_set, section 8). These numbers are not learned and drop nothing. Their kinds follow
the features of Wu, Jang and Chen (IEEE TSM 28(1), 2015): density by ring, and geometry of the largest region.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from sparsewatch.detectors.sparse_net.data import Sites
from sparsewatch.detectors.sparse_net.grid import CENTRE, KERNEL, Grid, coarsen, rule_book, to_grid
from sparsewatch.detectors.sparse_net.points import WaferPoints

#: Outer radii of the rings, the wafer's own last.
RINGS = (0.25, 0.45, 0.65, 0.82, 1.0)
#: Cells a side on which shapes are looked at, for wafers given as points: so coarse that a region's points touch.
SHAPE_SIDE = 64
#: Statistics of a wafer: those of `spread`, fill, rings, and of shapes.
STATISTICS = 3 + 1 + len(RINGS) + 13

Floats = NDArray[np.float64]


def statistics(points: WaferPoints, sites: Sites, grid: Grid) -> NDArray[np.float32]:
    """All statistics of wafers: float32 of shape (wafers, STATISTICS).

    Args:
        points: the wafers.
        sites: their active cells.
        grid: the same as tensors.
    """
    cells = _Cells.of(sites, grid)
    parts = (spread(points), cells.fill(), cells.rings(), cells.directions(), cells.regions())
    return np.concatenate(parts, axis=1).astype(np.float32)


def spread(points: WaferPoints) -> NDArray[np.float32]:
    """ln(1 + points), mean and standard deviation of their distance from the centre in radii."""
    wafer = points.wafer
    radius = np.hypot(points.x, points.y).astype(np.float64)
    n = np.maximum(points.defects, 1)
    mean = np.bincount(wafer, radius, len(points)) / n
    square = np.bincount(wafer, radius * radius, len(points)) / n
    deviation = np.sqrt(np.maximum(square - mean * mean, 0))
    return np.stack([np.log1p(points.defects), mean, deviation], axis=1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Cells:
    """Active cells of a batch where shapes are looked at: dies, or `SHAPE_SIDE` cells a side."""

    wafers: int
    wafer: NDArray[np.int64]
    x: Floats
    y: Floats
    radius: Floats
    #: Cells on each wafer's disc.
    disc: Floats
    #: Pairs of neighbouring cells, each once.
    low: NDArray[np.int64]
    high: NDArray[np.int64]

    @classmethod
    def of(cls, sites: Sites, grid: Grid) -> "_Cells":
        grid = _where_shapes_show(sites, grid)
        shape = grid.shape.cpu().numpy().astype(np.float64)
        wafer = grid.wafer.cpu().numpy()
        row, column = grid.row.cpu().numpy(), grid.column.cpu().numpy()
        x, y = (2 * column + 1) / shape[wafer, 1] - 1, (2 * row + 1) / shape[wafer, 0] - 1
        low, high = _neighbours(grid)
        return cls(len(shape), wafer, x, y, np.hypot(x, y), np.pi / 4 * shape.prod(axis=1), low, high)

    def fill(self) -> Floats:
        """Logarithm of the share of the disc's cells that are active: (wafers, 1)."""
        return np.log(_per_wafer(self.wafer, self.wafers) / self.disc + 0.003)[:, None]

    def rings(self) -> Floats:
        """Logarithm of that share in each ring: (wafers, rings)."""
        ring = np.minimum(np.searchsorted(RINGS, self.radius, side="right"), len(RINGS) - 1)
        found = _per_wafer(self.wafer * len(RINGS) + ring, self.wafers * len(RINGS)).reshape(-1, len(RINGS))
        area = np.diff(np.square([0.0, *RINGS]))
        return np.log(found / (self.disc[:, None] * area) + 0.01)

    def directions(self) -> Floats:
        """Length of the mean of exp(i k angle), 0 for even, 1 for one direction: k = 1, 2, and k = 1 at the rim."""
        angle = np.arctan2(self.y, self.x)
        rim = self.radius > RINGS[-2]
        return np.stack(
            [
                _resultant(angle, self.wafer, self.wafers),
                _resultant(2 * angle, self.wafer, self.wafers),
                _resultant(angle[rim], self.wafer[rim], self.wafers),
            ],
            axis=1,
        )

    def regions(self) -> Floats:
        """Shape of the largest region of touching cells: (wafers, 10).

        ln(1 + regions), the largest region's share and ln of its cells, its half axes and their ratio, the distance of
        its middle from the wafer's, mean and deviation of its cells' radius, and neighbours a cell on the whole wafer.
        """
        n, cells = self.wafers, len(self.wafer)
        links = coo_matrix((np.ones(len(self.low)), (self.low, self.high)), shape=(cells, cells))
        count, region = connected_components(links, directed=False)
        size, owner = np.bincount(region, minlength=count), np.zeros(count, dtype=np.int64)
        owner[region] = self.wafer
        largest = np.full(n, -1, dtype=np.int64)
        # Sorted by size, the last to write is the largest.
        order = np.argsort(size, kind="stable")
        largest[owner[order]] = order
        chosen = region == largest[self.wafer]
        wafer, x, y, radius = self.wafer[chosen], self.x[chosen], self.y[chosen], self.radius[chosen]
        members = np.maximum(_per_wafer(wafer, n), 1)

        def mean(values: Floats) -> Floats:
            return _per_wafer(wafer, n, values) / members

        middle_x, middle_y, middle_r = mean(x), mean(y), mean(radius)
        long, short = _half_axes(
            mean(x * x) - middle_x**2, mean(y * y) - middle_y**2, mean(x * y) - middle_x * middle_y
        )
        total = np.maximum(_per_wafer(self.wafer, n), 1)
        pairs = _per_wafer(self.wafer[self.low], n)
        return np.stack(
            [
                np.log1p(_per_wafer(owner, n)),
                members / total,
                np.log(members),
                long,
                short,
                short / np.maximum(long, 1e-3),
                np.hypot(middle_x, middle_y),
                middle_r,
                np.sqrt(np.maximum(mean(radius * radius) - middle_r**2, 0)),
                2 * pairs / total,
            ],
            axis=1,
        )


def _where_shapes_show(sites: Sites, grid: Grid) -> Grid:
    """The cells of each wafer on its own grid, or on `SHAPE_SIDE` cells a side where that is finer by far.

    Wafer by wafer: the statistics of a wafer must not depend on the others of its batch.
    """
    fine = sites.shape.max(axis=1, initial=0) > 4 * SHAPE_SIDE
    if not fine.any():
        return grid
    if fine.all():
        return coarsen(grid, SHAPE_SIDE)[0]
    old = sites.shape
    new = np.where(fine[:, None], SHAPE_SIDE, old)
    height, width = (new.max(axis=0) + 1).tolist()
    wafer = sites.wafer
    row, column = (
        (2 * at + 1) * new[wafer, axis] // (2 * old[wafer, axis]) for axis, at in enumerate((sites.row, sites.column))
    )
    key, parent = np.unique((wafer * height + row) * width + column, return_inverse=True)
    wafer_row, column = np.divmod(key, width)
    wafer, row = np.divmod(wafer_row, height)
    count = np.bincount(parent, sites.count, len(key)).astype(np.int64)
    return to_grid(Sites(wafer, row, column, count, new, sites.sampled), grid.key.device)


def _neighbours(grid: Grid) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    pairs, numbers = rule_book(grid)
    ends = [
        np.concatenate([pairs[side, cell, : int(numbers[cell])].cpu().numpy() for cell in range(CENTRE + 1, KERNEL)])
        for side in (0, 1)
    ]
    return ends[0].astype(np.int64), ends[1].astype(np.int64)


def _per_wafer(wafer: NDArray[np.int64], wafers: int, values: Floats | None = None) -> Floats:
    return np.bincount(wafer, values, minlength=wafers).astype(np.float64)


def _resultant(angle: Floats, wafer: NDArray[np.int64], wafers: int) -> Floats:
    cosine, sine = _per_wafer(wafer, wafers, np.cos(angle)), _per_wafer(wafer, wafers, np.sin(angle))
    return np.asarray(np.hypot(cosine, sine) / np.maximum(_per_wafer(wafer, wafers), 1))


def _half_axes(xx: Floats, yy: Floats, xy: Floats) -> tuple[Floats, Floats]:
    """Square roots of the eigenvalues of each 2 x 2 covariance, larger first."""
    mean, difference = (xx + yy) / 2, np.sqrt((xx - yy) ** 2 / 4 + xy**2)
    return np.sqrt(np.maximum(mean + difference, 0)), np.sqrt(np.maximum(mean - difference, 0))
