import numpy as np

from sparsewatch.detectors.sparse_net.outliers import random_outliers


def own_grids(n: int, side: int) -> np.ndarray:
    return np.full((n, 2), side, dtype=np.int64)


def test_outliers_lie_on_the_disc_and_on_their_dies() -> None:
    grids = np.array([[20, 30], [0, 0], [51, 51]] * 20)
    made = random_outliers(grids, np.random.default_rng(0))
    assert len(made) == 60
    np.testing.assert_array_equal(made.own_grid, grids)
    assert (made.x**2 + made.y**2 <= 1 + 1e-6).all()
    rows, columns = grids[made.wafer].T
    mapped = rows > 0
    for at, cells in ((made.x, columns), (made.y, rows)):
        place = (at[mapped] + 1) / 2 * cells[mapped] - 0.5
        np.testing.assert_allclose(place, np.round(place), atol=1e-4)


def test_no_die_fails_twice() -> None:
    made = random_outliers(own_grids(50, 25), np.random.default_rng(1))
    keys = np.stack([made.wafer, np.round(made.x * 1e5), np.round(made.y * 1e5)])
    assert np.unique(keys, axis=1).shape[1] == keys.shape[1]


def test_they_come_in_all_densities_and_places() -> None:
    made = random_outliers(own_grids(400, 25), np.random.default_rng(2))
    dies = np.pi / 4 * 25 * 25
    share = made.defects / dies
    assert share.min() < 0.1
    assert share.max() > 0.6
    n = np.maximum(made.defects, 1)
    offset = np.hypot(np.bincount(made.wafer, made.x, 400) / n, np.bincount(made.wafer, made.y, 400) / n)
    assert np.quantile(offset, 0.1) < 0.1
    assert np.quantile(offset, 0.9) > 0.2


def test_equal_seeds_make_equal_outliers() -> None:
    first, second = (random_outliers(own_grids(5, 30), np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first.x, second.x)


def test_none_are_made_of_none() -> None:
    assert len(random_outliers(np.zeros((0, 2), dtype=np.int64), np.random.default_rng(0))) == 0
