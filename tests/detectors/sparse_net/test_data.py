import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.sparse_net.data import Sites, split_wafers, to_sites
from sparsewatch.detectors.sparse_net.points import WaferPoints, offsets_of


def wafers(lengths: list[int], seed: int = 0, own_grid: list[tuple[int, int]] | None = None) -> WaferPoints:
    rng = np.random.default_rng(seed)
    n = sum(lengths)
    x, y = rng.uniform(-0.7, 0.7, (2, n)).astype(np.float32)
    own = np.array(own_grid or [(0, 0)] * len(lengths), dtype=np.int64).reshape(-1, 2)
    outside = np.zeros(len(lengths), dtype=np.int64)
    return WaferPoints(offsets_of(np.array(lengths, dtype=np.int64)), x, y, own, outside)


def cells_by_loop(points: WaferPoints, grid: int) -> list[tuple[int, int, int, int]]:
    """(wafer, row, column, count) of each cell, one point after the other."""
    found: dict[tuple[int, int, int], int] = {}
    for i in range(len(points)):
        rows, columns = points.own_grid[i] if points.own_grid[i].all() else (grid, grid)
        for p in range(points.offsets[i], points.offsets[i + 1]):
            row = min(int((float(points.y[p]) + 1) / 2 * rows), rows - 1)
            column = min(int((float(points.x[p]) + 1) / 2 * columns), columns - 1)
            found[i, row, column] = found.get((i, row, column), 0) + 1
    return sorted((*cell, count) for cell, count in found.items())


def listed(sites: Sites) -> list[tuple[int, ...]]:
    columns = (sites.wafer, sites.row, sites.column, sites.count)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@given(
    lengths=st.lists(st.integers(0, 30), max_size=5),
    grid=st.integers(1, 40),
    seed=st.integers(0, 5),
)
def test_sites_are_the_cells_of_the_points(lengths: list[int], grid: int, seed: int) -> None:
    points = wafers(lengths, seed)
    assert listed(to_sites(points, grid)) == cells_by_loop(points, grid)


def test_wafers_of_different_grids_share_a_batch() -> None:
    points = wafers([20, 20, 20], own_grid=[(5, 9), (0, 0), (30, 3)])
    sites = to_sites(points, 7)
    assert listed(sites) == cells_by_loop(points, 7)
    assert sites.shape.tolist() == [[5, 9], [7, 7], [30, 3]]


def test_the_far_rim_belongs_to_the_last_cell() -> None:
    one = np.array([1.0], dtype=np.float32)
    points = WaferPoints(np.array([0, 1]), one, -one, np.zeros((1, 2), int), np.zeros(1, int))
    assert listed(to_sites(points, 16_384)) == [(0, 0, 16_383, 1)]


def test_the_order_of_points_changes_nothing() -> None:
    points = wafers([50])
    order = np.random.default_rng(1).permutation(50)
    turned = WaferPoints(points.offsets, points.x[order], points.y[order], points.own_grid, points.outside)
    assert listed(to_sites(points, 8)) == listed(to_sites(turned, 8))


def test_a_cap_keeps_the_same_cells_of_a_wafer_alone_or_among_others() -> None:
    points = wafers([400, 5, 300])
    sites = to_sites(points, 512, cap=100)
    assert np.bincount(sites.wafer).tolist() == [100, 5, 100]
    whole = np.bincount(to_sites(points, 512).wafer)
    np.testing.assert_allclose(sites.sampled, np.minimum(1, 100 / whole))
    alone = to_sites(points.take(np.array([2])), 512, cap=100)
    assert [site[1:] for site in listed(sites) if site[0] == 2] == [s[1:] for s in listed(alone)]


def test_a_cap_samples_the_whole_wafer() -> None:
    points = wafers([20_000])
    sites = to_sites(points, 16_384, cap=4_000)
    every = to_sites(points, 16_384)
    for sampled, found in ((sites.row, every.row), (sites.column, every.column)):
        # Standard error of the mean of 4,000 of these cells is about 52.
        assert abs(sampled.mean() - found.mean()) < 250


@given(lengths=st.lists(st.integers(0, 12), max_size=20), limit=st.integers(1, 20))
def test_batches_hold_every_wafer_once_and_keep_the_limit(lengths: list[int], limit: int) -> None:
    points = wafers(lengths)
    runs = list(split_wafers(points, limit))
    assert [i for run in runs for i in run.tolist()] == list(range(len(lengths)))
    assert all(len(run) == 1 or points.defects[run].sum() <= limit for run in runs)
