"""Event times are found by values, checked against the records' own timestamps; what is no time is refused."""

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from sparsewatch.pipelines.init.event_time import find_times
from sparsewatch.pipelines.init.job_text import time_told
from sparsewatch.schemas.errors import ConfigError
from tests.pipelines.init.topics import START_MS, sampled

N = 300
STAMPS = [START_MS + i * 1_000 for i in range(N)]


def events(**columns: list[Any]) -> list[dict[str, Any]]:
    return [{name: values[i] for name, values in columns.items()} for i in range(N)]


@pytest.mark.parametrize(
    ("form", "values"),
    [
        ("epoch_s", [at // 1_000 for at in STAMPS]),
        ("epoch_ms", STAMPS),
        ("epoch_ms", [float(at) for at in STAMPS]),
        ("epoch_us", [at * 1_000 for at in STAMPS]),
        ("iso8601", [f"2026-01-01T00:{i // 60:02}:{i % 60:02}Z" for i in range(N)]),
        ("iso8601", [f"2026-01-01 00:{i // 60:02}:{i % 60:02}" for i in range(N)]),
    ],
)
def test_the_unit_is_found_from_values(form: str, values: list[Any]) -> None:
    [time] = find_times(sampled(events(x=values, n=list(range(N)))))
    assert (time.name, time.format) == ("x", form)
    assert time.times_us.tolist() == [at * 1_000 for at in STAMPS]


def test_the_time_near_the_records_own_timestamps_is_taken() -> None:
    born = np.random.default_rng(0).integers(946_684_800, 1_700_000_000, N).tolist()
    found = find_times(sampled(events(timestamp=born, ts=STAMPS, user=born[::-1])))
    # Numbers without a name, order or nearness are any numbers.
    assert [time.name for time in found] == ["ts", "timestamp"]
    assert found[0].behind_us == 500_000
    assert time_told(found[0], found[1:]) == "0.5 s before the records' own timestamps, median; other times: timestamp"


def test_a_column_with_a_few_other_values_is_still_the_time() -> None:
    wrong: list[Any] = [*STAMPS[:-2], None, 7]
    [time] = find_times(sampled(events(when=wrong)))
    assert time.name == "when"
    assert time.usable.sum() == N - 1  # 7 ms after 1970 is a time, if a strange one


def test_the_event_comes_before_what_was_done_with_it() -> None:
    later = [at + 400 for at in STAMPS]
    found = find_times(sampled(events(ingest_time=later, event_time=STAMPS, received_at=later)))
    assert found[0].name == "event_time"
    same = find_times(sampled(events(b_time=later, a_time=STAMPS)))
    assert [time.name for time in same] == ["a_time", "b_time"]


def test_the_user_rules() -> None:
    sample = sampled(events(ts=STAMPS, other=STAMPS, name=["x"] * N))
    assert [time.name for time in find_times(sample, "other")] == ["other", "ts"]
    assert [time.name for time in find_times(sample, "_timestamp")] == ["_timestamp", "ts", "other"]
    with pytest.raises(ConfigError, match="--time-column 'name': expected times, got values such as 'x'"):
        find_times(sample, "name")
    with pytest.raises(ConfigError, match=r"expected one of ts, other, name, got 'tss'; did you mean 'ts'\?"):
        find_times(sample, "tss")


UNREAD = pytest.mark.parametrize(
    ("values", "says"),
    [
        ([at / 1_000 + 0.5 for at in STAMPS], "'time': .* a stream reads whole numbers"),
        ([str(at) for at in STAMPS], "'time': .* a stream reads numbers, or texts of ISO 8601"),
        ([at * 1_000_000 for at in STAMPS], "'time': .*2026-01-01 as epoch_ns, which a stream does not read"),
        (["soon"] * N, "'time': expected times, got values such as 'soon'"),
    ],
)


@UNREAD
def test_without_a_time_the_records_own_serve_and_it_says_why(values: list[Any], says: str) -> None:
    [time] = find_times(sampled(events(time=values, n=list(range(N)))))
    assert (time.name, time.format) == ("_timestamp", "epoch_ms")
    assert re.search(f"the records' own Kafka timestamps: no column holds event times .{says}", time_told(time, []))
    assert set(time.times_us) == {(START_MS + 500) * 1_000}


@UNREAD
def test_a_column_that_is_asked_for_and_is_none_is_refused(values: list[Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says.replace("'time': ", "--time-column 'time': ")):
        find_times(sampled(events(time=values, n=list(range(N)))), "time")


def test_without_any_time_the_columns_are_listed() -> None:
    sample = sampled(events(a=list(range(N)), b=["x"] * N))
    without = dataclasses.replace(sample, timestamps_ms=np.full(N, -1))
    with pytest.raises(ConfigError, match="no column holds event times, the columns are 'a', 'b'"):
        find_times(without)


@pytest.mark.parametrize(("hours", "asks"), [(2, True), (-8, True), (5.5, True), (2.6, False)])
def test_times_off_by_a_time_zone_are_called_so(hours: float, asks: bool) -> None:
    [time] = find_times(sampled(events(ts=STAMPS), behind_ms=round(hours * 3_600_000)))
    assert ("local times" in time_told(time, [])) == asks
