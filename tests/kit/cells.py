"""Active cells, given or by chance."""

import numpy as np

from sparsewatch.detectors.sparse_net.data import Sites
from sparsewatch.detectors.sparse_net.grid import Grid, to_grid


def grid_of(cells: list[tuple[int, int, int]], shape: list[tuple[int, int]]) -> Grid:
    """These cells (wafer, row, column) of wafers of these rows and columns."""
    wafer, row, column = np.array(sorted(set(cells)), dtype=np.int64).reshape(-1, 3).T
    sides = np.array(shape, dtype=np.int64).reshape(-1, 2)
    return to_grid(Sites(wafer, row, column, np.ones_like(wafer), sides, np.ones(len(shape))))


def chance_grid(seed: int, n: int = 60, shape: tuple[tuple[int, int], ...] = ((9, 7), (5, 12))) -> Grid:
    """Up to n cells, each of a wafer and place by chance."""
    rng = np.random.default_rng(seed)
    wafer = rng.integers(len(shape), size=n)
    cells = [(w, rng.integers(shape[w][0]), rng.integers(shape[w][1])) for w in wafer.tolist()]
    return grid_of([(int(w), int(r), int(c)) for w, r, c in cells], list(shape))
