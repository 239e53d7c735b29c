import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.schemas.accounts import NEVER_US
from sparsewatch.transforms.kafka.robust_clock import LEAST, RECENT, Rows, settled_us
from tests.kit.slow_clock import SlowClock

SECOND = 1_000_000
MINUTE = 60 * SECOND


def newest(times: list[int], disorder_us: int = 10 * SECOND) -> np.ndarray:
    """Newest time after each row, a record each."""
    return Rows(NEVER_US, (), np.arange(len(times)), np.array(times, dtype=np.int64), disorder_us).newest_us[1:]


#: Rows of records: steps of the stream's time, and by how much a row is off.
RECORDS = st.lists(
    st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from([0, 0, 0, 0, -3, -15, 5, 60, 3_540, -4_000])),
        min_size=1,
        max_size=9,
    ),
    max_size=120,
)


@given(RECORDS, st.sampled_from([0, 10, 60]), st.lists(st.integers(0, 1_000), max_size=6))
def test_any_split_into_batches_is_the_slow_rule(
    records: list[list[tuple[int, int]]], disorder: int, cuts: list[int]
) -> None:
    now, offsets, times, slow, expected = 100_000, [], [], SlowClock(disorder), []
    for offset, rows in enumerate(records):
        here = []
        for step, off in rows:
            now += step
            here.append(now + off)
        expected += slow.record(here)
        times += here
        offsets += [offset] * len(here)
    at = np.array(offsets, dtype=np.int64)
    # A batch holds whole records.
    ends = sorted({int(np.searchsorted(at, cut % (len(records) + 1))) for cut in cuts} | {0, len(times)})
    newest_us, recent, got = NEVER_US, tuple[int, ...](), list[int]()
    for begin, end in itertools.pairwise(ends):
        batch = Rows(newest_us, recent, at[begin:end], np.array(times[begin:end], dtype=np.int64), disorder)
        got += batch.newest_us[1:].tolist()
        newest_us, recent = int(batch.newest_us[-1]), batch.recent_us(end - begin)
    assert got == [NEVER_US if one is None else one for one in expected]
    slow_settled = slow.settled_us()
    assert settled_us(newest_us, recent) == (NEVER_US if slow_settled is None else slow_settled)


@given(RECORDS.filter(lambda records: len(records) > 1), st.data())
def test_a_replay_from_any_record_decides_the_same(records: list[list[tuple[int, int]]], data: st.DataObject) -> None:
    offsets = np.repeat(np.arange(len(records)), [len(rows) for rows in records])
    times = np.array([1_000 * i + off for i, (_, off) in enumerate(row for rows in records for row in rows)])
    whole = Rows(NEVER_US, (), offsets, times, 5_000)
    first = int(np.searchsorted(offsets, data.draw(st.integers(0, len(records) - 1))))
    again = Rows(int(whole.newest_us[first]), whole.recent_us(first), offsets[first:], times[first:], 5_000)
    assert again.newest_us.tolist() == whole.newest_us[first:].tolist()


@pytest.mark.parametrize("place", [0, 1, 2, 3, 500, 2_999])
def test_one_row_an_hour_ahead_moves_nothing(place: int) -> None:
    times = [i * 100_000 for i in range(3_000)]
    times.insert(place, times[min(place, 2_999)] + 59 * MINUTE)
    assert newest(times).max() <= 3_000 * 100_000


@pytest.mark.parametrize("share", [0.02, 0.1, 0.15])
def test_a_device_that_stays_ahead_moves_nothing(share: float) -> None:
    rng = np.random.default_rng(0)
    times = np.arange(100_000) * 10_000 + rng.integers(-5 * SECOND, 1, 100_000)
    ahead = rng.random(100_000) < share
    clock = newest((times + ahead * 59 * MINUTE).tolist())
    assert (clock <= times.max() + 5 * SECOND).all()
    # And it loses no time: the rows of the others have the newest time that they would have alone.
    assert (np.maximum.accumulate(times)[100:] - clock[100:]).max() < 10 * SECOND


def test_a_burst_of_one_clock_moves_nothing() -> None:
    times = [i * SECOND for i in range(100)]
    times[50:50] = [times[50] + 59 * MINUTE + i for i in range(RECENT // 2)]
    assert newest(times).max() == 99 * SECOND


def test_a_record_of_many_rows_ahead_moves_nothing() -> None:
    times = np.array([*range(50), *range(3_540, 4_540), *range(50, 100)]) * SECOND
    offsets = np.array([*range(50), *[50] * 1_000, *range(51, 101)])
    assert Rows(NEVER_US, (), offsets, times, 10 * SECOND).newest_us.max() == 99 * SECOND


@pytest.mark.parametrize("step", [1, SECOND, 5 * MINUTE, 3_600 * SECOND])
def test_a_steady_stream_is_followed_at_once_whatever_its_pace(step: int) -> None:
    times = [i * step for i in range(500)]
    assert newest(times)[LEAST - 1 :].tolist() == times[LEAST - 1 :]


def test_a_leap_of_all_rows_is_followed_when_half_of_the_recent_have_leapt() -> None:
    times = [*range(0, 100 * SECOND, SECOND), *range(3_600 * SECOND, 3_700 * SECOND, SECOND)]
    clock = newest(times)
    assert clock[100 + RECENT // 2 - 1] < 200 * SECOND
    assert clock[100 + RECENT // 2 + 1] >= 3_600 * SECOND
    assert clock[-1] == times[-1]


def test_a_partition_that_falls_silent_after_a_leap_is_settled() -> None:
    assert settled_us(99, (*range(80, 100), *range(3_600, 3_609))) == 3_601
    assert settled_us(99, (*range(80, 100), *range(3_600, 3_606))) == 99
    assert settled_us(NEVER_US, (5, 3_600)) == 5
    assert settled_us(NEVER_US, ()) == NEVER_US
