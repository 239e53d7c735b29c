import numpy as np
import pytest
from scipy.stats import norm, t

from sparsewatch.detectors.clicks.tolerances import (
    PRIOR_WINDOWS,
    Statistic,
    between_windows,
    chance_bound,
    share_tolerance,
)


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
