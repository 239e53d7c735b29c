import numpy as np

from sparsewatch.pipelines.report.over_time import marks, usual
from sparsewatch.schemas.units import DAY_US, HOUR_US


def test_the_band_is_what_clean_windows_of_the_hour_hold() -> None:
    rng = np.random.default_rng(1)
    rows = np.array([float(rng.integers(1_000, 2_000)) if at % 24 < 12 else 100.0 for at in range(24 * 20)])
    starts = np.arange(24 * 20) * HOUR_US
    is_clean = np.ones(24 * 20, np.bool_)
    is_clean[30] = False
    low, high = usual(starts, is_clean, rows)
    day = [n for at, n in enumerate(rows) if at % 24 == 6 and at != 30]
    assert (low[30], high[30]) == (np.quantile(day, 0.05), np.quantile(day, 0.95))
    assert (low[23], high[23]) == (100, 100)
    assert np.isnan(usual(starts[:5], is_clean[:5], np.ones(5))[0]).all()


def test_moments_are_marked_by_the_day_where_there_are_many_and_by_the_minute_where_there_are_few() -> None:
    assert list(marks(HOUR_US, 9 * DAY_US, float)) == [(at * DAY_US, f"1970-01-0{at + 1}") for at in range(1, 9)]
    # The name of the last one would be cut.
    assert list(marks(HOUR_US, 8 * DAY_US + HOUR_US, float))[-1] == (7 * DAY_US, "1970-01-08")
    assert [name for _, name in marks(0, HOUR_US // 4, float)] == ["01-01 00:00", "01-01 00:05", "01-01 00:10"]
