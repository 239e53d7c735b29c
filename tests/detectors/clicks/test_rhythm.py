"""Volume and click rate by hour: when hours are used, what they say, and what is found by them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sparsewatch.detectors.clicks.checks import check_volume
from sparsewatch.detectors.clicks.reference import Reference, fit_reference
from sparsewatch.detectors.clicks.rhythm import Figures, fit_rhythm, hourly_means
from sparsewatch.detectors.clicks.sensitivity import sensitivity
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.units import DAY_US, HOUR_US
from tests.kit.click_streams import findings

#: A Monday.
MONDAY_US = 1_767_571_200_000_000
SETTINGS = ClickThresholds()


def level(start_us: int) -> float:
    """A day of 1 to 5, its peak at 15 o'clock."""
    return float(1 + 2 / 3 * np.sin(2 * np.pi * (start_us % DAY_US / HOUR_US - 9) / 24))


def hours(days: float, begin_us: int = MONDAY_US) -> list[int]:
    return [begin_us + hour * HOUR_US for hour in range(round(24 * days))]


def figures(starts_us: list[int], levels: list[float], *, seed: int = 0, mean: int = 800) -> Figures:
    rows = np.random.default_rng(seed).poisson(mean * np.array(levels)).astype(float)
    return Figures(rows, rows, np.array(starts_us))


class Stream:
    """Hours of one feature, with a day's rhythm of 1 to 5 in volume and of 1 to 2 in click rate."""

    def __init__(self, seed: int = 1) -> None:
        self.rng = np.random.default_rng(seed)

    def window(self, start_us: int, *, left: float = 1.0, clicks: float = 1.0) -> FeatureCounts:
        usual = level(start_us)
        return self.of(int(self.rng.poisson(left * 900 * usual)), clicks * (0.15 + 0.075 * (usual - 1)))

    def of(self, rows: int, rate: float) -> FeatureCounts:
        counts = FeatureCounts(["x"], "click")
        batch = {"x": self.rng.integers(0, 9, rows), "click": self.rng.binomial(1, rate, rows)}
        counts.update(pa.record_batch(batch))
        return counts

    def reference(self, starts_us: list[int]) -> Reference:
        return fit_reference([self.window(start) for start in starts_us], HOUR_US, starts_us)


@pytest.fixture(scope="module")
def stream() -> Stream:
    return Stream()


@pytest.fixture(scope="module")
def reference() -> Reference:
    # Of a stream of its own: what it holds must not depend on the tests before.
    return Stream(seed=0).reference(hours(3))


def found(counts: FeatureCounts, reference: Reference, start_us: int) -> list[Finding]:
    return findings(counts, reference, start_us=start_us)


NEXT_DAY = hours(1, MONDAY_US + 3 * DAY_US)


def test_a_rhythm_is_used_where_it_predicts_a_day_left_out_better() -> None:
    starts = hours(3)
    rhythm = fit_rhythm(figures(starts, [level(start) for start in starts]), HOUR_US)
    assert rhythm is not None
    assert rhythm.kind == "hour of day"
    for hour in rhythm.hours:
        assert hour.mean == pytest.approx(800 * level(hour.hour * HOUR_US), rel=0.1)
        assert hour.days == 3
    assert rhythm.spread < 0.05
    assert 0.8 < rhythm.least < 1 < rhythm.most < 1.2


def test_days_of_the_week_are_told_apart_after_two_weeks() -> None:
    def by_weekday(start_us: int) -> float:
        return level(start_us) * (0.3 if (start_us - MONDAY_US) // DAY_US % 7 >= 5 else 1)

    two_weeks, ten_days = (
        fit_rhythm(figures(hours(days), [by_weekday(start) for start in hours(days)]), HOUR_US) for days in (14, 10)
    )
    assert two_weeks is not None
    assert ten_days is not None
    assert (two_weeks.kind, ten_days.kind) == ("hour of week", "hour of day")
    sunday, monday = (two_weeks.at(MONDAY_US + day * DAY_US + 15 * HOUR_US) for day in (20, 21))
    assert sunday is not None
    assert monday is not None
    assert sunday.mean == pytest.approx(0.3 * monday.mean, rel=0.15)


def test_a_stream_without_a_rhythm_has_none() -> None:
    starts = hours(7)
    found = [fit_rhythm(figures(starts[: 24 * days], [1.0] * 24 * days, seed=days), HOUR_US) for days in range(2, 8)]
    assert found == [None] * 6


@pytest.mark.parametrize(("days", "length_us"), [(1.5, HOUR_US), (6, 12 * HOUR_US)], ids=["a day and a half", "halves"])
def test_too_few_days_and_too_long_windows_have_no_rhythm(days: float, length_us: int) -> None:
    starts = hours(days)[:: length_us // HOUR_US]
    assert fit_rhythm(figures(starts, [level(start) for start in starts]), length_us) is None


def test_hours_are_shrunk_by_as_much_as_chance_explains() -> None:
    starts = hours(3)
    flat = figures(starts, [1.0] * 72)
    raw = np.array([flat.values[hour::24].mean() for hour in range(24)])
    shrunk = hourly_means(flat, "hour of day")
    assert np.abs(shrunk - flat.mean).max() < 0.5 * np.abs(raw - flat.mean).max()
    cyclic = figures(starts, [level(start) for start in starts])
    raw = np.array([cyclic.values[hour::24].mean() for hour in range(24)])
    assert hourly_means(cyclic, "hour of day") == pytest.approx(raw, rel=0.02)


def test_an_hour_never_seen_is_expected_to_be_as_any() -> None:
    starts = [start for start in hours(4) if start % DAY_US != 7 * HOUR_US]
    values = figures(starts, [level(start) for start in starts])
    rhythm = fit_rhythm(values, HOUR_US)
    assert rhythm is not None
    assert rhythm.at(MONDAY_US + 7 * HOUR_US) is None
    assert hourly_means(values, "hour of day")[7] == pytest.approx(values.mean)


def test_a_day_cycle_raises_nothing_after_its_second_day(stream: Stream) -> None:
    two_days = stream.reference(hours(2))
    assert two_days.volume_by_hour is not None
    for start in hours(3, MONDAY_US + 2 * DAY_US):
        assert found(stream.window(start), two_days, start) == []


@pytest.mark.parametrize(
    ("hours_of_day", "left"), [(range(13, 18), 0.35), (range(6), 0.05), (range(24), 0.01)], ids=["peak", "night", "day"]
)
def test_a_loss_within_a_day_cycle_is_found(
    stream: Stream, reference: Reference, hours_of_day: range, left: float
) -> None:
    for start in (NEXT_DAY[hour] for hour in hours_of_day):
        rules = [one.rule for one in found(stream.window(start, left=left), reference, start)]
        assert rules == ["volume_low"]


def test_a_day_of_one_row_a_window_is_found(reference: Reference) -> None:
    for start in NEXT_DAY:
        finding = check_volume(1, reference, SETTINGS, start_us=start)
        assert finding is not None
        assert finding.rule == "volume_low"


def test_a_change_of_the_click_rate_is_judged_by_the_hour(stream: Stream, reference: Reference) -> None:
    for start in NEXT_DAY[9:22]:
        [finding] = found(stream.window(start, clicks=0.3), reference, start)
        assert (finding.rule, finding.evidence["baseline_kind"]) == ("click_rate_shift", "hour of day")


def test_a_finding_says_what_the_window_was_compared_with(stream: Stream, reference: Reference) -> None:
    peak = NEXT_DAY[15]
    by_hour, flat = (check_volume(100, reference, SETTINGS, start_us=start) for start in (peak, None))
    assert by_hour is not None
    assert by_hour.evidence["baseline_kind"] == "hour of day"
    assert by_hour.message == f"100 rows in the window, {by_hour.baseline:,.0f} in the reference at this hour of day"
    assert by_hour.baseline == pytest.approx(1_500, rel=0.1)
    assert by_hour.evidence["reference_min"] < by_hour.baseline < by_hour.evidence["reference_max"]
    assert flat is None


def test_a_bad_hour_among_three_days_is_left_out_though_nights_have_fewer_rows(stream: Stream) -> None:
    starts = hours(3)
    windows = [stream.window(start, left=0.3 if place == 39 else 1) for place, start in enumerate(starts)]
    assert windows[39].rows > min(window.rows for window in windows)
    poisoned = fit_reference(windows, HOUR_US, starts)
    assert (poisoned.left_out, poisoned.windows) == (1, 71)
    finding = check_volume(windows[39].rows, poisoned, SETTINGS, start_us=NEXT_DAY[15])
    assert finding is not None


def test_a_reference_keeps_its_hours(reference: Reference, tmp_path: Path) -> None:
    loaded = Reference.load(reference.save(tmp_path / "reference"))
    assert loaded.volume_by_hour == reference.volume_by_hour
    assert loaded.click_rate_by_hour == reference.click_rate_by_hour


def test_what_is_found_is_stated_by_hours(stream: Stream, reference: Reference) -> None:
    seen, flat = sensitivity(reference, SETTINGS), sensitivity(stream.reference(hours(1)), SETTINGS)
    assert seen.volume_low is not None
    assert 0.7 * seen.rows < seen.volume_low <= 0.85 * seen.rows
    assert seen.blind_hours == 0
    assert seen.click_rate_change is not None
    assert seen.click_rate_change < 0.5
    assert flat.volume_low is not None
    assert flat.volume_low < 0.1 * flat.rows


@pytest.mark.parametrize("days", [1, 3])
def test_the_loss_of_nearly_all_rows_is_found_whatever_the_volume_was(days: int) -> None:
    rng = np.random.default_rng(days)
    counts = Stream().of(1, 0.0)
    starts = hours(days)
    windows = [Stream(start).window(start) for start in starts]
    rng.shuffle(windows)
    shuffled = fit_reference(windows, HOUR_US, starts)
    assert shuffled.volume_by_hour is None
    assert [one.rule for one in found(counts, shuffled, MONDAY_US)] == ["volume_low"]
