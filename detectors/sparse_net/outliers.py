"""Wafers that belong to no class, made from random fields: training shows them to the network as "none of the classes".

Outlier exposure (Hendrycks, Mazeika and Dietterich, "Deep Anomaly Detection with Outlier Exposure", ICLR 2019), with
synthetic outliers: a smooth random field over the wafer, in plain or polar coordinates, and failing cells where it is
high, or close to zero. That gives blobs, bands, rings, spokes and curves of every size and density, and follows no
list of known patterns.
"""

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.sparse_net.points import WaferPoints, offsets_of

#: Waves whose sum is a field.
_WAVES = 6
#: Candidate points of a wafer without a grid of its own, from which the field selects.
_CANDIDATES = 4_000

Floats = NDArray[np.float64]


def random_outliers(own_grid: NDArray[np.int64], rng: np.random.Generator) -> WaferPoints:
    """One wafer for each row of `own_grid`, which is as `WaferPoints.own_grid`."""
    wafer, x, y = _cells(own_grid, rng)
    n = len(own_grid)
    level = _field(wafer, x, y, n, rng)
    # Half way between: where a field is near zero are lines.
    level = np.where((rng.random(n) < 0.4)[wafer], -np.abs(level), level)
    inside = _rank(level, wafer, n) < np.exp(rng.uniform(np.log(0.02), 0, n))[wafer]
    dense, strewn = rng.uniform(0.4, 1, n), np.exp(rng.uniform(np.log(0.003), np.log(0.15), n))
    failing = rng.random(len(wafer)) < np.where(inside, dense[wafer], strewn[wafer])
    offsets = offsets_of(np.bincount(wafer[failing], minlength=n))
    shown = [at[failing].astype(np.float32) for at in (x, y)]
    return WaferPoints(offsets, shown[0], shown[1], own_grid.copy(), np.zeros(n, dtype=np.int64))


def _cells(own_grid: NDArray[np.int64], rng: np.random.Generator) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Wafer, x and y of each cell on the disc; random points for a wafer without a grid."""
    number = np.where(own_grid[:, 0] > 0, own_grid.prod(axis=1), rng.integers(_CANDIDATES // 8, _CANDIDATES))
    wafer = np.repeat(np.arange(len(own_grid)), number)
    rows, columns = np.maximum(own_grid[wafer], 1).T
    row, column = np.divmod(np.arange(len(wafer)) - offsets_of(number)[wafer], columns)
    x, y = (2 * column + 1) / columns - 1, (2 * row + 1) / rows - 1
    free = np.flatnonzero(own_grid[wafer, 0] == 0)
    x[free], y[free] = rng.uniform(-1, 1, len(free)), rng.uniform(-1, 1, len(free))
    disc = x * x + y * y <= 1
    return wafer[disc], x[disc], y[disc]


def _field(wafer: NDArray[np.int64], x: Floats, y: Floats, wafers: int, rng: np.random.Generator) -> Floats:
    """A sum of cosine waves, each wafer with a scale, a stretch and a kind of coordinates of its own."""
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    polar = (rng.random(wafers) < 0.5)[wafer]
    scale, stretch = np.exp(rng.uniform(0, np.log(10), wafers)), np.exp(rng.uniform(-1.5, 1.5, wafers))
    level = np.zeros(len(wafer))
    for _ in range(_WAVES):
        heading, number = rng.uniform(0, 2 * np.pi, wafers), scale * rng.rayleigh(1, wafers)
        along = (number * np.cos(heading) * stretch)[wafer] * x + (number * np.sin(heading) / stretch)[wafer] * y
        spokes = rng.integers(0, 4, wafers) * (rng.random(wafers) < 0.6)
        around = (number * rng.choice([1.0, 1.0, 0.3], wafers))[wafer] * radius + spokes[wafer] * angle
        level += np.cos(np.where(polar, around, along) + rng.uniform(0, 2 * np.pi, wafers)[wafer])
    return level


def _rank(level: Floats, wafer: NDArray[np.int64], wafers: int) -> Floats:
    """Place of each cell among those of its wafer, highest first, in [0, 1)."""
    order = np.lexsort((-level, wafer))
    number = np.bincount(wafer, minlength=wafers)
    rank = np.empty(len(wafer))
    rank[order] = (np.arange(len(wafer)) - offsets_of(number)[wafer[order]]) / number[wafer[order]]
    return rank
