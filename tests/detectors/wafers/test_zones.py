import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.sparse_net.points import WaferPoints
from sparsewatch.detectors.wafers.zones import (
    BORDERS,
    RINGS,
    SECTORS,
    Block,
    Floats,
    describe,
    place,
    standing_out,
    strongest_block,
    wafer_zones,
    within,
)


def on_clock(hour: Floats, radius: Floats, grid: tuple[int, int] = (0, 0)) -> WaferPoints:
    """One wafer with points at these hours and radii."""
    angle = np.asarray(hour) / 12 * 2 * np.pi
    x, y = (np.asarray(radius) * f(angle) for f in (np.sin, np.cos))
    offsets, none = np.array([0, len(x)]), np.zeros(1, dtype=np.int64)
    return WaferPoints(offsets, x.astype(np.float32), y.astype(np.float32), np.array([grid]), none)


def strewn(n: int, seed: int) -> WaferPoints:
    rng = np.random.default_rng(seed)
    return on_clock(rng.uniform(0, 12, n), np.sqrt(rng.random(n)))


def arc(n: int, hours: tuple[float, float], radii: tuple[float, float], seed: int = 0) -> WaferPoints:
    rng = np.random.default_rng(seed)
    return on_clock(rng.uniform(*hours, n), rng.uniform(*radii, n))


@pytest.mark.parametrize("sector", range(8))
@pytest.mark.parametrize(("ring", "radius"), [(0, 0.2), (1, 0.5), (2, 0.8), (3, 0.95)])
def test_a_point_is_counted_in_its_ring_and_sector(sector: int, ring: int, radius: float) -> None:
    zones = wafer_zones(on_clock(np.array([1.5 * sector]), np.array([radius])))
    expected = np.zeros((4, 8))
    expected[ring, sector] = 1
    np.testing.assert_array_equal(zones.share, expected)


def test_north_is_up_and_the_notch_is_south() -> None:
    zones = wafer_zones(on_clock(np.array([6.0]), np.array([0.95])))
    assert SECTORS[int(zones.share[3].argmax())] == "S"
    assert zones.hour == pytest.approx(6)
    assert SECTORS[int(wafer_zones(on_clock(np.array([3.0]), np.array([0.95]))).share[3].argmax())] == "E"


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 300), grid=st.sampled_from([(0, 0), (26, 26), (39, 31)]))
def test_shares_and_areas_sum_to_one(seed: int, n: int, grid: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    points = on_clock(rng.uniform(0, 12, n), np.sqrt(rng.random(n)), grid)
    zones = wafer_zones(points, rng.random(n) + 1e-3)
    assert zones.share.sum() == pytest.approx(1)
    assert zones.area.sum() == pytest.approx(1)
    assert 0 <= zones.angular <= 1
    assert -1 <= zones.radial <= 1
    assert 0 <= zones.hour <= 12


def test_areas_are_those_of_the_rings() -> None:
    rings = wafer_zones(strewn(5, 0)).area.sum(axis=1)
    np.testing.assert_allclose(rings, np.diff(np.square([0, *BORDERS, 1])))


def test_on_a_grid_areas_are_shares_of_dies() -> None:
    """Counted one by one."""
    rows, columns = 12, 9
    found = wafer_zones(on_clock(np.zeros(1), np.zeros(1), (rows, columns))).area
    dies = np.zeros(4)
    for row in range(rows):
        for column in range(columns):
            radius = float(np.hypot((2 * column + 1) / columns - 1, (2 * row + 1) / rows - 1))
            if radius <= 1:
                dies[sum(radius >= border for border in BORDERS)] += 1
    np.testing.assert_allclose(found.sum(axis=1), dies / dies.sum())


def test_evenly_strewn_points_have_density_one_and_no_direction() -> None:
    zones = wafer_zones(strewn(200_000, 1))
    np.testing.assert_allclose(zones.density, 1, atol=0.07)
    assert zones.radial == pytest.approx(0, abs=0.01)
    assert zones.angular == pytest.approx(0, abs=0.01)


def test_concentration_is_at_its_ends_in_the_centre_and_on_the_rim() -> None:
    assert wafer_zones(on_clock(np.zeros(3), np.zeros(3))).radial == pytest.approx(-1)
    rim = wafer_zones(on_clock(np.full(3, 10.0), np.ones(3)))
    assert rim.radial == pytest.approx(1)
    assert rim.angular == pytest.approx(1)
    assert rim.hour == pytest.approx(10)


def test_weights_count_as_repetitions() -> None:
    points = strewn(40, 2)
    weight = np.arange(40) % 3
    repeated = np.repeat(np.arange(40), weight)
    hour, radius = np.arctan2(points.x, points.y)[repeated] / (2 * np.pi) * 12, np.hypot(points.x, points.y)[repeated]
    weighed, counted = wafer_zones(points, weight.astype(np.float64)), wafer_zones(on_clock(hour, radius))
    np.testing.assert_allclose(weighed.share, counted.share)
    assert weighed.radial == pytest.approx(counted.radial, abs=1e-6)


def test_a_block_is_the_best_of_all_searched_one_by_one() -> None:
    points = arc(30, (8, 9.2), (0.5, 1), seed=4)
    ring = np.searchsorted(BORDERS, np.hypot(points.x, points.y), side="right")
    step = (np.arctan2(points.x, points.y) % (2 * np.pi) / (2 * np.pi) * 24).astype(int)
    rings = np.diff(np.square([0, *BORDERS, 1]))
    best = 0.0
    for first in range(4):
        for last in range(first, 4):
            for start in range(24):
                for length in range(1, 25):
                    inside = (ring >= first) & (ring <= last) & ((step - start) % 24 < length)
                    s, a = inside.mean(), rings[first : last + 1].sum() * length / 24
                    if s > a:
                        left = (1 - s) * np.log((1 - s) / (1 - a)) if s < 1 else 0.0
                        best = max(best, s * np.log(s / a) + left)
    assert strongest_block(points).divergence == pytest.approx(best)


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 60), width=st.floats(0.3, 12))
def test_a_block_holds_the_share_of_the_points_within_it(seed: int, n: int, width: float) -> None:
    points = arc(n, (seed % 12, seed % 12 + width), (0.2, 0.99), seed)
    block = strongest_block(points)
    assert within(points, block).mean() == pytest.approx(block.share)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (arc(200, (2, 5), (0.91, 1)), "100 % of the defects in the edge zone between 2 and 5 o'clock, 5 % of the area"),
        (arc(200, (11, 13.5), (0.91, 1)), "in the edge zone between 11 and 1:30 o'clock"),
        (arc(200, (0, 12), (0.91, 1)), "in the edge zone all around"),
        (arc(200, (0, 12), (0, 0.3)), "in the centre zone, 11 % of the area"),
        (arc(200, (6, 8), (0.34, 0.89)), "from middle to outer between 6 and 8 o'clock"),
        (strewn(300, 5), "defects over the whole wafer, no zone has more than chance explains"),
        (strewn(0, 5), "no defects"),
    ],
)
def test_a_place_is_described_in_words(points: WaferPoints, expected: str) -> None:
    assert expected in describe(points)


def test_evidence_is_described_by_its_weight_not_by_its_number() -> None:
    rng = np.random.default_rng(0)
    hours, radii = np.append(rng.uniform(0, 12, 100), rng.uniform(1, 2, 100)), rng.uniform(0.92, 1, 200)
    weight = np.repeat([0.1, 0.9], 100)
    text = describe(on_clock(hours, radii), weight, "evidence")
    assert text.startswith("9")
    assert "of the evidence in the edge zone between 1 and 2 o'clock" in text
    assert describe(on_clock(hours, radii), np.zeros(200), "evidence") == "no evidence"


def test_strewn_points_have_no_zone_of_their_own() -> None:
    named = [standing_out(strewn(40, seed)) is not None for seed in range(200)]
    assert sum(named) <= 2


def test_evidence_is_described_where_it_lies_however_few_defects_have_it() -> None:
    single = on_clock(np.array([4.2]), np.array([0.5]))
    text = describe(single, np.ones(1), "evidence")
    assert text == "100 % of the evidence in the middle zone between 4 and 4:30 o'clock, 1 % of the area"
    assert describe(single) == "defects over the whole wafer, no zone has more than chance explains"
    even = strewn(20_000, 0)
    assert describe(even, np.ones(20_000), "evidence") == "evidence over the whole wafer, no zone stands out"


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (Block((0, 0), None, 1, 1, 1), "in the centre zone"),
        (Block((0, 2), None, 1, 1, 1), "from centre to outer all around"),
        (Block((1, 1), (11.5, 0.0), 1, 1, 1), "in the middle zone between 11:30 and 12 o'clock"),
        (Block((3, 3), (0.5, 11.0), 1, 1, 1), "in the edge zone between 12:30 and 11 o'clock"),
        (Block((3, 3), (5.5, 5.0), 1, 1, 1), "in the edge zone nearly all around"),
    ],
)
def test_blocks_read_as_words(block: Block, words: str) -> None:
    assert place(block) == words
    assert all(RINGS[ring] in words for ring in block.rings)
