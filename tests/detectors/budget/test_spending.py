import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sparsewatch.detectors.budget.chance import alpha_of
from sparsewatch.detectors.budget.spending import LEAST_STRICT_Z, MOST_STRICT_Z, Allowance
from sparsewatch.detectors.clicks.thresholds import (
    FEATURE_FAMILIES,
    STREAM_FAMILIES,
    ClickThresholds,
    RankingThresholds,
)
from sparsewatch.detectors.clicks.tolerances import share_tolerance, statistic
from sparsewatch.detectors.rows.windows.thresholds import FAMILIES as ROW_FAMILIES
from sparsewatch.detectors.rows.windows.thresholds import RowCheck
from sparsewatch.detectors.stream.thresholds import SILENCE_CHANCE, StreamThresholds
from sparsewatch.detectors.wafers.thresholds import WaferCheck
from sparsewatch.pipelines.wafer.settings import PatternSettings
from sparsewatch.schemas.units import DAY_US, HOUR_US

TESTS = {
    **dict.fromkeys((*STREAM_FAMILIES, "silence", "rank_drift", *ROW_FAMILIES), 1),
    **dict.fromkeys(FEATURE_FAMILIES, 30),
    "wafers": 3,
    "tools": 1,
    "patterns": 1,
}
budgets = st.floats(0.001, 1_000)
windows = st.integers(1_000_000, 30 * DAY_US)
numbers = st.dictionaries(st.sampled_from(sorted(TESTS)), st.integers(1, 10_000), min_size=1)


def of(per_day: float, window_us: int = HOUR_US) -> Allowance:
    return Allowance(per_day=per_day, window_us=window_us, tests=TESTS)


@given(budgets, windows, numbers)
def test_what_is_spent_adds_up_to_the_budget(per_day: float, window_us: int, tests: dict[str, int]) -> None:
    allowance = Allowance(per_day=per_day, window_us=window_us, tests=tests)
    strict = {family: allowance.z(family) for family in tests}
    if all(LEAST_STRICT_Z < z < MOST_STRICT_Z for z in strict.values()):
        assert allowance.most == pytest.approx(per_day)
    if all(z < MOST_STRICT_Z for z in strict.values()):
        assert allowance.most <= per_day * (1 + 1e-9)
    assert sum(map(allowance.share, tests)) == pytest.approx(per_day)


@given(budgets, budgets, windows, numbers)
def test_a_smaller_budget_never_makes_a_rule_laxer(
    one: float, other: float, window_us: int, tests: dict[str, int]
) -> None:
    small, large = (Allowance(per_day=per_day, window_us=window_us, tests=tests) for per_day in sorted((one, other)))
    assert all(small.z(family) >= large.z(family) for family in tests)
    assert all(small.alpha(family) <= large.alpha(family) for family in tests)


@given(budgets, windows, numbers)
def test_no_rule_is_blind_and_none_fires_below_four_deviations(
    per_day: float, window_us: int, tests: dict[str, int]
) -> None:
    allowance = Allowance(per_day=per_day, window_us=window_us, tests=tests)
    for family in tests:
        assert LEAST_STRICT_Z <= allowance.z(family) <= MOST_STRICT_Z
        assert allowance.alpha(family) == pytest.approx(alpha_of(allowance.z(family)))


def test_subjects_make_their_own_family_stricter_and_no_other() -> None:
    few, many = (
        Allowance(per_day=1, window_us=HOUR_US, tests={"volume": 1, "signal": number}) for number in (5, 5_000)
    )
    assert many.z("signal") > few.z("signal")
    assert many.z("volume") == few.z("volume")


def test_an_unknown_family_is_refused_by_name() -> None:
    with pytest.raises(KeyError, match="volume"):
        of(1).alpha("none")


@given(budgets)
def test_what_a_job_file_sets_wins_over_the_budget(per_day: float) -> None:
    allowance = of(per_day)
    clicks = ClickThresholds(z=4.5, stream_z=5.5, signal_z=3.5, slow_false_alarms_a_day=0.5)
    assert ClickThresholds(z=4.5).within(allowance).of_features == 4.5
    assert ClickThresholds(z=4.5).within(allowance).of_stream == 4.5
    assert ClickThresholds(z=4.5).within(allowance).of_signal == allowance.z("signal")
    assert clicks.within(allowance) == clicks
    assert RankingThresholds(false_alarms_a_day=0.5).within(allowance).false_alarms_a_day == 0.5
    stream = StreamThresholds(silence_chance=0.0, volume_z=2.0)
    assert stream.within(allowance) == stream
    rows = RowCheck(
        level=0.5,
        drift_level=0.25,
        column_level=0.125,
        link_level=0.1,
        range_level=0.08,
        copy_level=0.07,
        stretch_level=0.0625,
    )
    assert rows.within(allowance) == rows
    assert WaferCheck(alpha=0.5, concentrated=0.25).within(allowance) == WaferCheck(alpha=0.5, concentrated=0.25)
    patterns = PatternSettings(false_patterns_per_day=20)
    assert patterns.within(allowance) == patterns


def test_what_a_job_file_leaves_open_follows_from_the_budget() -> None:
    allowance = of(2.0)
    clicks = ClickThresholds().within(allowance)
    assert (clicks.of_features, clicks.of_stream) == (allowance.z("missing_values"), allowance.z("volume"))
    # What the budget only makes stricter.
    assert RankingThresholds().within(allowance).alpha(HOUR_US) == pytest.approx(0.01 / 24)
    assert RankingThresholds().within(of(0.01)).alpha(HOUR_US) == pytest.approx(of(0.01).share("rank_drift") / 24)
    assert ClickThresholds().within(allowance).slow_alpha(HOUR_US) == pytest.approx(0.01 / 24)
    assert ClickThresholds().within(of(0.01)).slow_false_alarms_a_day == of(0.01).share("slow_changes")
    assert StreamThresholds().within(allowance).of_volume == allowance.z("volume")
    assert StreamThresholds().within(allowance).of_silence == SILENCE_CHANCE
    assert StreamThresholds().within(of(0.001)).of_silence < SILENCE_CHANCE
    # Rows depend on each other: a budget makes them stricter, never laxer.
    ranges = allowance.spent("ranges")
    assert RowCheck().within(allowance) == RowCheck(
        level=1e-6,
        drift_level=1e-6,
        column_level=1e-6,
        link_level=1e-6,
        copy_level=1e-6,
        range_level=ranges,
        stretch_level=1e-4,
    )
    assert RowCheck().within(of(1_000)).of_ranges == RowCheck().of_ranges
    strict = Allowance(per_day=0.001, window_us=60_000_000, tests=TESTS)
    assert RowCheck().within(strict).of_columns == strict.alpha("columns") < 1e-6
    assert WaferCheck().within(allowance).of_test == 1e-6
    assert WaferCheck().within(strict).of_test == strict.alpha("wafers") < 1e-6
    assert PatternSettings().within(allowance).of_patterns == allowance.share("patterns")


@pytest.mark.parametrize("known", [8, 24])
def test_shares_of_independent_windows_alarm_no_more_often_than_spent(known: int) -> None:
    """Simulated: references of some windows, then a window like them."""
    rng, rows, trials = np.random.default_rng(known), 2_000, 40_000
    seen = rng.binomial(rows, 0.1, (trials, known + 1)) / rows
    # Less strict than any job is, so that there are alarms to count.
    z, alarms = 3.0, 0
    for before, now in zip(seen[:, :known], seen[:, known], strict=True):
        baseline = statistic(before)
        alarms += abs(now - baseline.mean) >= share_tolerance(baseline, known, rows, rows, z)
    # One in 1,000 runs of a test that is exactly at its level has more.
    assert alarms <= stats.binom.isf(0.001, trials, alpha_of(z))
