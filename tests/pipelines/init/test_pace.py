"""Windows are as long as the rate asks for; disorder and max_ahead follow what was seen."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from sparsewatch.pipelines.init.event_time import find_times
from sparsewatch.pipelines.init.files import FileTimes, sample_of_files
from sparsewatch.pipelines.init.pace import Pace, pace_of
from sparsewatch.pipelines.tables.settings import PLAIN
from tests.pipelines.init.topics import START_MS, sampled


def pace(times_ms: list[int], behind_ms: int = 500, most: int = 50_000) -> Pace:
    events: list[dict[str, Any]] = [{"ts": at, "n": 1} for at in times_ms]
    sample = sampled(events, behind_ms, most)
    return pace_of(sample, find_times(sample)[0])


@pytest.mark.parametrize(
    ("step_ms", "length"), [(1, "1m"), (100, "5m"), (400, "15m"), (1_000, "1h"), (9_000, "6h"), (40_000, "1d")]
)
def test_a_window_holds_enough_events(step_ms: int, length: str) -> None:
    found = pace([START_MS + i * step_ms for i in range(2_000)])
    assert found.length == length
    assert found.rate == pytest.approx(1_000 / step_ms, rel=0.01)


def test_the_rate_is_that_of_the_whole_topic_though_its_ends_alone_are_read() -> None:
    found = pace([START_MS + i * 100 for i in range(20_000)], most=500)
    assert found.rate == pytest.approx(10, rel=0.01)


def test_events_of_one_time_have_no_rate() -> None:
    assert (pace([START_MS] * 50).rate, pace([START_MS] * 50).length) == (0.0, "1m")


@pytest.mark.parametrize(("late_ms", "disorder"), [(0, "10s"), (5_000, "10s"), (8_000, "15s"), (50_000, "2m")])
def test_disorder_is_what_was_seen_and_a_margin(late_ms: int, disorder: str) -> None:
    times = [START_MS + i * 1_000 for i in range(2_000)]
    times[100::50] = [at - late_ms for at in times[100::50]]
    found = pace(times)
    assert found.disorder == disorder
    assert found.disorder_us == max(0, late_ms - 1_000) * 1_000
    assert found.late == 0


def test_a_few_stragglers_do_not_hold_windows_open_for_a_day() -> None:
    times = [START_MS + i * 1_000 for i in range(5_000)]
    times[2_500] -= 86_400_000
    found = pace(times)
    assert (found.disorder, found.late) == ("10s", 1)


def test_one_clock_ahead_makes_no_others_late() -> None:
    times = [START_MS + i * 1_000 for i in range(5_000)]
    times[2_500] += 3_000_000
    found = pace(times, behind_ms=3_000_000)
    assert (found.disorder, found.late) == ("10s", 0)


def test_times_ahead_of_their_records_are_allowed_for() -> None:
    found = pace([START_MS + i * 1_000 for i in range(2_000)], behind_ms=-3 * 3_600_000)
    assert found.max_ahead == "6h"
    assert (found.ahead_us, found.too_far_ahead) == (3 * 3_600_000_000, 0)
    assert pace([START_MS + i for i in range(50)], behind_ms=-60_000).max_ahead == "1h"


def test_files_out_of_order_are_to_be_sorted(tmp_path: Path) -> None:
    times = np.random.default_rng(0).permutation(START_MS + np.arange(5_000) * 1_000)
    for name, column, unsorted in (("shuffled", times, True), ("in-order", np.sort(times), False)):
        file = tmp_path / f"{name}.csv"
        pl.DataFrame({"ts": column, "n": 1}).write_csv(file)
        sample = sample_of_files([file], 50_000, PLAIN, FileTimes())
        found = pace_of(sample, find_times(sample)[0])
        assert (found.unsorted, found.disorder, found.late) == (unsorted, "10s", 0)
        assert found.rate == pytest.approx(1, rel=0.01)


def test_the_first_events_of_a_file_in_order_tell_its_rate(tmp_path: Path) -> None:
    file = tmp_path / "events.parquet"
    pl.DataFrame({"ts": START_MS + np.arange(5_000) * 1_000, "n": 1}).write_parquet(file)
    sample = sample_of_files([file], 500, PLAIN, FileTimes())
    assert (sample.events, sample.of_events) == (500, 5_000)
    assert pace_of(sample, find_times(sample)[0]).rate == pytest.approx(1, rel=0.01)
