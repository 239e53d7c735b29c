"""How soon changes are found, beside the best possible test."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from benchmarks.decisions_cusum import Cusum
from benchmarks.decisions_delay import (
    BEFORE,
    CHANGES,
    RATES,
    REACH,
    ROWS,
    AlarmTask,
    Delay,
    DelayTask,
    FalseAlarms,
    Streams,
    delay_tasks,
    delays,
    false_alarms,
)
from benchmarks.decisions_plan import Found
from benchmarks.decisions_results import results


def test_evidence_of_the_best_test_is_the_likelihood_ratio() -> None:
    cusum = Cusum(rate=0.1, rows=300, change=-0.3, alpha=1e-3)
    clicks = np.array([0, 20, 31])
    expected = binom.logpmf(clicks, 300, 0.07) - binom.logpmf(clicks, 300, 0.1)
    assert cusum.log_ratios(clicks) == pytest.approx(expected)


def test_the_best_test_has_the_delay_and_the_false_alarms_of_theory() -> None:
    """Siegmund, Sequential Analysis, 1985, eq. (2.56): Gaussian steps of one deviation, corrected for the overshoot."""
    rows, rate = 40_000, 0.5
    change = -math.sqrt((1 - rate) / (rate * rows))
    cusum = Cusum(rate=rate, rows=rows, change=change, alpha=1 / 400)

    def windows(threshold: float, drift: float) -> float:
        b = threshold + 1.166
        return (math.exp(-2 * drift * b) + 2 * drift * b - 1) / (2 * drift**2)

    threshold = cusum.threshold(np.random.default_rng(0))
    assert windows(threshold, -0.5) == pytest.approx(400, rel=0.2)
    # The change comes when the evidence is not at its least.
    delay = cusum.delay(np.random.default_rng(1), BEFORE, 200)
    assert 0.75 * windows(threshold, 0.5) < delay < windows(threshold, 0.5)


def test_a_loss_of_all_clicks_is_found_when_chance_is_excluded() -> None:
    cusum = Cusum(rate=0.005, rows=2_000, change=-1.0, alpha=1 / 2_400)
    # A window without a click has a probability of exp(-10).
    assert cusum.delay(np.random.default_rng(0), BEFORE, 50) == 1


def test_streams_side_by_side_find_what_each_finds_alone() -> None:
    rng = np.random.default_rng(2)
    learned = rng.binomial(500, 0.1, (60, 3))
    windows = rng.binomial(500, [0.1, 0.07, 0.02], (12, 3))
    together = Streams(learned, 500)
    alone = [Streams(learned[:, [at]], 500) for at in range(3)]
    found = np.array([together.find(clicks) for clicks in windows])
    assert found.tolist() == [[one.find(clicks[[at]])[0] for at, one in enumerate(alone)] for clicks in windows]
    assert not found[:, 0].any()
    assert found[:, 1:].any(axis=0).all()


def test_delays_are_within_twice_the_best_where_that_is_within_reach() -> None:
    found = delays(DelayTask(part="choose", rate=0.1, rows=2_000, streams=30))
    assert [one.change for one in found] == list(CHANGES)
    assert all(one.best is None or one.best <= REACH for one in found)
    middle = next(one for one in found if one.change == -0.1)
    assert middle.ratio is not None
    assert 1 < middle.ratio < 2


def test_a_change_beyond_reach_of_any_test_has_no_ratio() -> None:
    found = delays(DelayTask(part="choose", rate=0.002, rows=500, streams=2))
    assert found[0] == Delay(rate=0.002, rows=500, change=CHANGES[0], best=None)
    assert found[0].ratio is None


def test_false_alarms_are_counted_up_to_the_first_of_each_stream() -> None:
    task = AlarmTask(part="choose", rate=0.1, rows=500, learned=24, windows=10, streams=5)
    found = false_alarms(task)
    assert (found.windows, found.alarms) == (50, 0)
    assert found.name == "rate 0.1, 500 rows, 24 windows learned"
    restless = AlarmTask(part="choose", rate=0.1, rows=500, learned=24, unrest=3, alike=0.5)
    assert restless.name.endswith("3 times the variance by chance, neighbours alike by 0.5")


def test_all_rates_and_volumes_have_a_task() -> None:
    planned = delay_tasks("choose", quick=False)
    cells = {(one.rate, one.rows) for one in planned if isinstance(one, DelayTask)}
    assert cells == {(rate, rows) for rate in RATES for rows in ROWS}
    assert len(delay_tasks("choose", quick=True)) < 5


def test_results_name_the_longest_delay_and_the_most_false_alarms() -> None:
    found = Found(
        delays=(
            Delay(rate=0.1, rows=500, change=-0.1, best=10.0, own=15.0),
            Delay(rate=0.1, rows=2_000, change=-0.5, best=2.0, own=5.0, missed=0.1),
            Delay(rate=0.002, rows=500, change=-0.03, best=None),
        ),
        false_alarms=(
            FalseAlarms(name="a", windows=4_800, alarms=1, asked=2_400.0),
            FalseAlarms(name="b", windows=1_200, alarms=0, asked=2_400.0),
        ),
    )
    by_name = {one.name: one for one in results(found)}
    longest = by_name["delay_over_cusum"]
    assert (longest.value, longest.met) == (2.5, False)
    assert "of 2 rates" in longest.note
    assert "at a rate of 0.1, 2,000 rows, -50%" in longest.note
    assert by_name["delay_over_cusum_2_clicks_in_1000"].note == "500 rows: -3% beyond reach."
    assert "5.0 (best 2.0, 10% not found)" in by_name["delay_over_cusum_100_clicks_in_1000"].note
    assert by_name["slow_windows_to_false_alarm"].value == 0.5
