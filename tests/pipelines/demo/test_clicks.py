"""The demo's clicks: each fault touches what it is about alone, and the numbers stated hold by an offline recount."""

import json

import pytest
from polars.testing import assert_frame_equal

from sparsewatch.pipelines.demo import clicks
from sparsewatch.pipelines.demo.clicks import Clicks
from sparsewatch.pipelines.demo.faults import Fault
from sparsewatch.pipelines.demo.stream import CLICK_PARTITIONS
from tests.oracles.accounts import Record, recount

START_US = 1_760_000_400_000_000
WINDOWS = 96
ROWS = 300
#: As the demo's jobs allow, in microseconds.
DISORDER_US = 120_000_000


def changes(stream: Clicks) -> list[Fault]:
    """Faults of the events themselves; a topic made anew leaves them as they are."""
    return [fault for fault in stream.faults if fault.rules != ("source_recreated",)]


@pytest.fixture(scope="module")
def stream() -> Clicks:
    return Clicks(3, START_US, WINDOWS, ROWS).plant()


@pytest.mark.long
def test_a_hundred_thousand_values_do_come() -> None:
    assert 90_000 < Clicks(3, START_US, 1, 400_000).clean(0)["user"].n_unique() <= 100_000


def test_faults_do_not_meet_and_leave_what_is_learned_and_the_end_clean(stream: Clicks) -> None:
    planted = [w for f in changes(stream) for w in _windows(f.start_us, f.end_us)]
    assert len(planted) == len(set(planted))
    assert min(planted) > 12
    assert max(planted) < WINDOWS - 3


@pytest.mark.parametrize("fault", range(11))
def test_a_fault_touches_what_it_is_about_alone(stream: Clicks, fault: int) -> None:
    planted = changes(stream)[fault]
    window = _windows(planted.start_us, planted.end_us)[1]
    before, after = Clicks(3, START_US, WINDOWS, ROWS).window(window), stream.window(window)
    if planted.subject in clicks.RANKED:
        assert_frame_equal(before.drop(planted.subject), after.drop(planted.subject))
    elif planted.subject in clicks.NUMBERS:
        assert_frame_equal(before.drop(clicks.NUMBERS), after.drop(clicks.NUMBERS))
    elif planted.rules == ("click_rate_shift",):
        assert_frame_equal(before.drop(clicks.LABEL), after.drop(clicks.LABEL))
        assert after[clicks.LABEL].to_numpy().mean() > 1.3 * before[clicks.LABEL].to_numpy().mean()
    elif planted.rules == ("volume_low",):
        assert after.height < before.height / 2
    else:
        assert planted.rules == ("volume_low", "no_data")
        assert after.is_empty()
        assert stream.recreated_before == _windows(planted.start_us, planted.end_us)[-1]


def test_a_fault_in_a_slice_has_its_rows_alone(stream: Clicks) -> None:
    (planted,) = (fault for fault in stream.faults if fault.where)
    column, value = planted.where.split(" = ")
    assert planted.subject is not None
    rows = stream.window(_windows(planted.start_us, planted.end_us)[0])
    assert rows.filter(rows[planted.subject].is_null() != (rows[column] == value)).is_empty()
    assert 0.15 < rows[planted.subject].null_count() / rows.height < 0.35


def test_as_few_windows_as_are_asked_for_have_room_for_all() -> None:
    short = Clicks(3, START_US, clicks.LEAST_WINDOWS, ROWS).plant()
    assert max(fault.end_us for fault in changes(short)) <= START_US + (clicks.LEAST_WINDOWS - 3) * clicks.WINDOW_US


def test_late_and_broken_records_are_those_a_recount_finds(stream: Clicks) -> None:
    topic: dict[int, list[Record]] = {p: [] for p in range(CLICK_PARTITIONS)}
    late = broken = 0
    for window in range(WINDOWS):
        lines, late_here, broken_here = stream.records(window)
        late, broken = late + late_here, broken + broken_here
        for i, line in enumerate(lines):
            topic[i % CLICK_PARTITIONS].append(_time_us(line))
    found = recount(topic, clicks.WINDOW_US, DISORDER_US)
    assert (len(found.late), len(found.rejected)) == (late, broken)
    assert late > 0
    assert broken > 0


def _time_us(line: bytes) -> list[int] | None:
    try:
        return [json.loads(line)[clicks.TIME] * 1000]
    except ValueError:
        return None


def _windows(start_us: int, end_us: int) -> list[int]:
    return list(range((start_us - START_US) // clicks.WINDOW_US, (end_us - START_US) // clicks.WINDOW_US))
