import numpy as np
import pytest
from scipy.stats import nbinom, norm, t

from sparsewatch.detectors.clicks.tolerances import (
    Statistic,
    between_windows,
    chance_bound,
    excluded_rows,
    share_tolerance,
)
from sparsewatch.detectors.clicks.volume import low_volume
from sparsewatch.detectors.sequential.steadiness import PRIOR_WINDOWS


@pytest.mark.parametrize(("p", "rows"), [(0.5, 100), (0.01, 300), (0.001, 1_000), (0.2, 20_000)])
def test_chance_bound_holds_for_binomial_shares(p: float, rows: int) -> None:
    z = 2.5
    shares = np.random.default_rng(0).binomial(rows, p, 200_000) / rows
    bound = chance_bound(p * (1 - p), rows, z)
    for exceeded in ((shares - p >= bound).mean(), (p - shares >= bound).mean()):
        assert exceeded <= np.exp(-z * z / 2)


def test_chance_bound_is_z_standard_errors_where_rows_are_many() -> None:
    assert chance_bound(0.25, 10**8, 5.0) == pytest.approx(5 * 0.5 / 1e4, rel=1e-2)


def test_spread_uses_students_quantile_and_shrinks_to_sampling() -> None:
    freedom = 9 + PRIOR_WINDOWS
    sd = np.sqrt((PRIOR_WINDOWS * 0.1**2 + 9 * 0.2**2) / freedom)
    assert between_windows(0.2, 0.1, 10, 5.0) == pytest.approx(t.isf(norm.sf(5.0), freedom) * sd)
    assert between_windows(99.0, 0.1, 1, 5.0) == pytest.approx(t.isf(norm.sf(5.0), PRIOR_WINDOWS) * 0.1)


def test_tolerance_shrinks_with_windows_and_rows() -> None:
    share = Statistic(mean=0.1, sd=0.01, min=0.08, max=0.12)
    few = share_tolerance(share, 2, 1_000, 1_000, 5.0)
    many = share_tolerance(share, 50, 1_000, 1_000, 5.0)
    assert few > 1.5 * many
    assert share_tolerance(share, 50, 100, 1_000, 5.0) > 1.5 * many


def test_a_share_never_seen_still_has_room_for_chance() -> None:
    nothing = Statistic(mean=0.0, sd=0.0, min=0.0, max=0.0)
    assert 0 < share_tolerance(nothing, 20, 1_000, 1_000, 5.0) < 0.05


def volume(rows: np.ndarray) -> Statistic:
    return Statistic(mean=rows.mean(), sd=rows.std(ddof=1), min=rows.min(), max=rows.max())


@pytest.mark.parametrize(("mean", "windows"), [(61, 9), (200, 5), (3_000, 3), (40, 30)])
def test_a_window_without_rows_is_odd_in_a_steady_stream(mean: int, windows: int) -> None:
    rng = np.random.default_rng(mean)
    assert np.mean([excluded_rows(volume(rng.poisson(mean, windows)), windows, 5.0) >= 0 for _ in range(200)]) > 0.95


@pytest.mark.parametrize("shape", [0.5, 1, 2, 4, 8])
@pytest.mark.parametrize("windows", [5, 12, 40])
def test_a_window_without_rows_is_no_oddity_where_the_volume_varies_that_much(shape: float, windows: int) -> None:
    """Rates are gamma distributed, so that the probability of no rows is known exactly."""
    rng, mean = np.random.default_rng(round(shape * windows)), 50
    chance = (shape / (shape + mean)) ** shape
    streams = rng.poisson(rng.gamma(shape, mean / shape, (500, windows)))
    excluded = np.mean([excluded_rows(volume(rows), windows, 5.0) >= 0 for rows in streams])
    # Five windows tell little of how much a bursty stream varies: 1 empty window in 10,000 alarms by chance, at most.
    assert excluded * chance < 1e-4


def test_a_window_without_rows_in_the_reference_excludes_nothing() -> None:
    rows = np.array([0, *[1_000] * 50])
    assert excluded_rows(volume(rows), len(rows), 5.0) < 0


@pytest.mark.parametrize("shape", [2, 4, 8, 30])
@pytest.mark.parametrize("windows", [12, 40, 200])
def test_rows_that_are_excluded_are_rarer_than_chance_and_fewer_than_ever_seen(shape: float, windows: int) -> None:
    rng, mean = np.random.default_rng(windows), 1_000
    streams = rng.poisson(rng.gamma(shape, mean / shape, (300, windows)))
    excluded = np.array([excluded_rows(volume(rows), windows, 5.0) for rows in streams])
    assert (excluded < streams.min(axis=1)).all()
    chance = nbinom.cdf(np.floor(excluded), shape, shape / (shape + mean))
    # Few windows tell little of how much a stream varies.
    assert chance.mean() < (1e-5 if windows < 40 else norm.sf(5.0))


def test_a_reference_of_a_steady_volume_excludes_many_rows_and_one_that_has_them_does_not() -> None:
    rows = np.random.default_rng(1).poisson(1_000, 40)
    assert 600 < excluded_rows(volume(rows), 40, 5.0) < 900
    assert excluded_rows(volume(np.array([*rows, 300])), 41, 5.0) < 300


@pytest.mark.parametrize(("rows", "limit"), [(9, -1), (30, 1.5), (1_000, 50)])
def test_a_volume_that_varies_is_never_low_by_chance_alone(rows: int, limit: float) -> None:
    """Windows of three different volumes, so that only their least says what is never reached."""
    volumes = volume(np.array([rows, 4 * rows, 2 * rows] * 20))
    assert (low_volume(volumes, 60, 0.5, 5.0) >= 0) == (limit >= 0)
    assert low_volume(volumes, 60, 0.5, 5.0) >= limit
