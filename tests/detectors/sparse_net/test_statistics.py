"""Statistics against slow loops over cells."""

import numpy as np
import pytest
from numpy.typing import NDArray

from sparsewatch.detectors.sparse_net.data import to_sites
from sparsewatch.detectors.sparse_net.grid import to_grid
from sparsewatch.detectors.sparse_net.points import WaferPoints, offsets_of
from sparsewatch.detectors.sparse_net.statistics import RINGS, STATISTICS, spread, statistics


def wafers(cells: list[list[tuple[int, int]]], side: int) -> WaferPoints:
    """Die maps of `side` x `side` with these failing dies (row, column)."""
    lengths = np.array([len(c) for c in cells])
    flat = np.array([cell for c in cells for cell in c], dtype=np.float64).reshape(-1, 2)
    y, x = ((2 * flat + 1) / side - 1).astype(np.float32).T
    n = len(cells)
    return WaferPoints(offsets_of(lengths), x, y, np.full((n, 2), side), np.zeros(n, dtype=np.int64))


def statistics_of(points: WaferPoints) -> NDArray[np.float32]:
    sites = to_sites(points, 64)
    return statistics(points, sites, to_grid(sites))


def regions(cells: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    left, found = set(cells), []
    while left:
        region, edge = [], [left.pop()]
        while edge:
            row, column = edge.pop()
            region.append((row, column))
            for near in [(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]:
                if near in left:
                    left.remove(near)
                    edge.append(near)
        found.append(region)
    return found


def test_shapes_are_those_of_a_search_from_die_to_die() -> None:
    side, rng = 20, np.random.default_rng(0)
    maps = [np.argwhere(rng.random((side, side)) < share) for share in (0.05, 0.2, 0.4)]
    cells = [[(int(r), int(c)) for r, c in dies] for dies in maps]
    answers = statistics_of(wafers(cells, side))
    assert answers.shape == (3, STATISTICS)
    for row, dies in zip(answers, cells, strict=True):
        found = regions(dies)
        largest = max(len(region) for region in found)
        shapes = row[-10:]
        assert shapes[0] == pytest.approx(np.log1p(len(found)), rel=1e-5)
        assert shapes[1] == pytest.approx(largest / len(dies), rel=1e-5)
        assert shapes[2] == pytest.approx(np.log(largest), rel=1e-5)
        touching = [sum(abs(a - r) <= 1 and abs(b - c) <= 1 for a, b in dies) - 1 for r, c in dies]
        assert shapes[9] == pytest.approx(np.mean(touching), rel=1e-5)


def test_a_line_is_long_and_thin_and_a_square_is_not() -> None:
    line, square = [(10, c) for c in range(3, 17)], [(r, c) for r in range(8, 12) for c in range(8, 12)]
    answers = statistics_of(wafers([line, square], 20))[:, -10:]
    centres = (2 * np.arange(3, 17) + 1) / 20 - 1
    assert answers[0, 3] == pytest.approx(centres.std(), rel=1e-5)
    assert answers[0, 5] == pytest.approx(0, abs=1e-5)
    assert answers[1, 5] == pytest.approx(1, rel=1e-5)


def test_fill_and_rings_are_shares_of_the_disc() -> None:
    side = 40
    row, column = np.divmod(np.arange(side * side), side)
    radius = np.hypot((2 * row + 1) / side - 1, (2 * column + 1) / side - 1)
    inner = radius < RINGS[1]
    answers = statistics_of(wafers([list(zip(row[inner].tolist(), column[inner].tolist(), strict=True))], side))[0]
    assert np.exp(answers[3]) == pytest.approx(RINGS[1] ** 2, abs=0.02)
    np.testing.assert_allclose(np.exp(answers[4:9]), [1, 1, 0, 0, 0], atol=0.08)


def test_directions_are_one_for_one_heading_and_zero_for_all() -> None:
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    around = [(int(20 + 19 * np.sin(a)), int(20 + 19 * np.cos(a))) for a in angle]
    answers = statistics_of(wafers([around, [(20, 38), (20, 39), (19, 39)]], 40))[:, 9:12]
    assert np.abs(answers[0]).max() < 0.15
    assert answers[1].min() > 0.99


def test_quarter_turns_change_nothing_but_rounding() -> None:
    rng = np.random.default_rng(1)
    dies = [(int(r), int(c)) for r, c in np.argwhere(rng.random((15, 15)) < 0.2)]
    turned = [(c, 14 - r) for r, c in dies]
    first, second = statistics_of(wafers([dies, turned], 15))
    np.testing.assert_allclose(first, second, atol=1e-4)


def test_an_empty_wafer_and_an_empty_batch_are_finite() -> None:
    assert np.isfinite(statistics_of(wafers([[], [(3, 3)]], 8))).all()
    assert statistics_of(wafers([], 8)).shape == (0, STATISTICS)


def test_wafers_of_points_are_looked_at_on_coarse_cells() -> None:
    rng = np.random.default_rng(2)
    x, y = (rng.normal(0.3, 0.05, 500).astype(np.float32) for _ in range(2))
    points = WaferPoints(np.array([0, 500]), x, y, np.zeros((1, 2), dtype=np.int64), np.zeros(1, dtype=np.int64))
    sites = to_sites(points, 16_384)
    shapes = statistics(points, sites, to_grid(sites))[0, -10:]
    assert shapes[1] > 0.9, "the cluster's points touch where they hardly do at native resolution"
    assert shapes[6] == pytest.approx(np.hypot(0.3, 0.3), abs=0.05)


def test_the_statistics_of_a_wafer_do_not_depend_on_the_others_of_its_batch() -> None:
    rng = np.random.default_rng(3)
    maps = [
        wafers([[(int(r), int(c)) for r, c in np.argwhere(rng.random((side, side)) < 0.1)]], side) for side in (26, 300)
    ]
    x, y = (rng.normal(0.2, 0.1, 300).astype(np.float32) for _ in range(2))
    none = np.zeros(1, dtype=np.int64)
    listed = WaferPoints(np.array([0, 300]), x, y, np.zeros((1, 2), dtype=np.int64), none)
    together = statistics_of(maps[0].joined(maps[1]).joined(listed))
    for row, alone in zip(together, (*maps, listed), strict=True):
        np.testing.assert_allclose(row, statistics_of(alone)[0], rtol=1e-6, atol=1e-6)


def test_spread_is_that_of_each_wafers_radii() -> None:
    x = np.array([0.3, 0.0, 0.6], dtype=np.float32)
    y = np.array([0.4, 0.1, 0.8], dtype=np.float32)
    lengths = np.array([2, 0, 1])
    none = np.zeros(3, int)
    points = WaferPoints(offsets_of(lengths), x, y, np.zeros((3, 2), int), none)
    expected = np.array([[np.log(3), 0.3, 0.2], [0, 0, 0], [np.log(2), 1.0, 0]], dtype=np.float32)
    np.testing.assert_allclose(spread(points), expected, atol=1e-6)
