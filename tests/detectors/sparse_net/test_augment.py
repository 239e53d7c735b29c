import numpy as np
import pytest

from sparsewatch.detectors.sparse_net.augment import AugmentConfig, augment
from sparsewatch.detectors.sparse_net.data import to_sites
from sparsewatch.detectors.sparse_net.points import WaferPoints, offsets_of
from sparsewatch.schemas.errors import ConfigError

STILL = AugmentConfig(turn=False, jitter=0, thinning=0)
TURN = AugmentConfig(jitter=0, thinning=0)


def die_map(rows: int, columns: int, n: int, wafers: int) -> WaferPoints:
    """The same `n` dies of a map on each of `wafers` wafers."""
    rng = np.random.default_rng(0)
    die = rng.choice(rows * columns, n, replace=False)
    y, x = (2 * (die // columns) + 1) / rows - 1, (2 * (die % columns) + 1) / columns - 1
    grid = np.tile([rows, columns], (wafers, 1))
    return WaferPoints(
        offsets_of(np.full(wafers, n)), np.tile(x, wafers).astype(np.float32),
        np.tile(y, wafers).astype(np.float32), grid, np.zeros(wafers, int),
    )  # fmt: skip


def free_points(n: int, wafers: int = 1) -> WaferPoints:
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-0.7, 0.7, (2, n * wafers)).astype(np.float32)
    own = np.zeros((wafers, 2), int)
    return WaferPoints(offsets_of(np.full(wafers, n)), x, y, own, np.zeros(wafers, int))


def test_without_any_change_points_stay() -> None:
    points = free_points(30)
    same = augment(points, STILL, np.random.default_rng(0))
    np.testing.assert_array_equal(same.x, points.x)
    np.testing.assert_array_equal(same.y, points.y)


def test_a_turned_map_is_one_of_its_eight_images_die_by_die() -> None:
    points = die_map(7, 5, n=9, wafers=200)
    sites = to_sites(augment(points, TURN, np.random.default_rng(0)), grid=1)
    image = np.zeros((7, 5), int)
    first = to_sites(die_map(7, 5, n=9, wafers=1), grid=1)
    image[first.row, first.column] = 1
    images = [np.rot90(side, k) for side in (image, image[:, ::-1]) for k in range(4)]
    seen = set()
    for wafer in range(200):
        turned = np.zeros(sites.shape[wafer], int)
        at = sites.wafer == wafer
        turned[sites.row[at], sites.column[at]] = 1
        matches = [i for i, one in enumerate(images) if np.array_equal(one, turned)]
        assert matches, "no image of the map"
        seen.update(matches)
    assert seen == set(range(8))


def test_turning_keeps_radii_and_distances() -> None:
    points = free_points(40)
    turned = augment(points, TURN, np.random.default_rng(2))
    before, after = points.x + 1j * points.y, turned.x + 1j * turned.y
    assert np.abs(after - before).max() > 0.1
    np.testing.assert_allclose(np.abs(after), np.abs(before), atol=1e-6)
    np.testing.assert_allclose(np.abs(after - after[0]), np.abs(before - before[0]), atol=1e-6)


def test_wafers_turn_each_by_its_own_angle() -> None:
    points = free_points(1, wafers=500)
    turned = augment(points, TURN, np.random.default_rng(3))
    angle = np.angle(turned.x + 1j * turned.y)
    share = np.histogram(angle, bins=4, range=(-np.pi, np.pi))[0] / 500
    assert share.min() > 0.15


def test_jitter_moves_points_by_its_size_and_leaves_dies_alone() -> None:
    config = AugmentConfig(turn=False, jitter=0.01, thinning=0)
    points = free_points(5_000)
    moved = augment(points, config, np.random.default_rng(0))
    assert np.std(moved.x - points.x) == pytest.approx(0.01, rel=0.1)
    dies = die_map(7, 5, n=9, wafers=3)
    np.testing.assert_array_equal(augment(dies, config, np.random.default_rng(0)).x, dies.x)


def test_thinning_leaves_out_up_to_its_share_by_wafer() -> None:
    config = AugmentConfig(turn=False, jitter=0, thinning=0.4)
    left = augment(free_points(2_000, wafers=50), config, np.random.default_rng(0)).defects / 2_000
    assert left.min() > 0.55
    assert left.max() > 0.95
    assert left.mean() == pytest.approx(0.8, abs=0.05)


def test_a_seed_repeats() -> None:
    a, b = (augment(free_points(50), AugmentConfig(), np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(a.x, b.x)


@pytest.mark.parametrize("bad", [{"thinning": 1.0}, {"thinning": -0.1}, {"jitter": -1.0}])
def test_ranges_are_checked(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(bad))}: expected a number of at least 0"):
        AugmentConfig(**bad)  # type: ignore[arg-type]
