"""The accounts against an offline recount, with crashes at any moment."""

from collections import Counter
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.schemas.accounts import (
    NEVER_US,
    Account,
    Marker,
    PartitionState,
    Progress,
    ReaderState,
    ResumePoint,
)
from sparsewatch.transforms.kafka.accounts import MOST_EMPTY, MOST_EMPTY_AT_ONCE, close_all, close_windows, take
from sparsewatch.transforms.kafka.progress import advance
from sparsewatch.transforms.kafka.resume import start_state
from sparsewatch.transforms.kafka.stream_clock import Reject, WindowRules, live_silences_us, watermark_us
from tests.oracles.accounts import Record, recount

RULES = WindowRules(length_us=10, disorder_us=4)
EMPTY = Progress(job="j", topic="t", settings="", closed_end_us=0, partitions={}, sequences={}, totals=Account())


@dataclass
class Job:
    """A job in miniature: reads batches, writes windows by id, commits in order, may crash and start again."""

    topic: dict[int, list[Record]]
    #: Kafka timestamps of the records; without any, rejects move no clock.
    stamps: dict[int, list[int]] | None = None
    rules: WindowRules = RULES
    progress: Progress = EMPTY
    written: dict[int, int] = field(default_factory=dict)
    accounts: dict[int, Account] = field(default_factory=dict)
    late: set[tuple[int, int, int]] = field(default_factory=set)
    rejected: set[tuple[int, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.state = start_state(self.progress, self.topic, dict.fromkeys(self.topic, 0), 0)
        self.open: Counter[int] = Counter()

    def read(self, partition: int, records: int) -> list[Marker]:
        """Read on in one partition, close what can be closed; the markers are not committed yet."""
        part = next(p for p in self.state.partitions if p.partition == partition)
        end = min(part.position + records, len(self.topic[partition]))
        rows = [
            (offset, row, time)
            for offset in range(part.position, end)
            for row, time in enumerate(self.topic[partition][offset] or ())
        ]
        rejects = [o for o in range(part.position, end) if self.topic[partition][o] is None]
        routed = take(
            self.state,
            self.rules,
            np.full(len(rows), partition),
            np.array([r[0] for r in rows], dtype=np.int64),
            np.array([r[2] for r in rows], dtype=np.int64),
            np.array([self.stamp(partition, r[0]) for r in rows], dtype=np.int64),
            {partition: end},
            {partition: [Reject(o, 1, self.stamp(partition, o)) for o in rejects]},
        )
        self.late |= {(partition, rows[i][0], rows[i][1]) for i in routed.late.tolist()}
        self.rejected |= {(partition, o) for o in rejects if o >= part.high}
        for window, at in routed.on_time.items():
            self.open[window] += len(at)
        self.state, markers = close_windows(routed.state, self.rules, watermark_us(routed.state, self.rules, {}), 0)
        return markers

    def stamp(self, partition: int, offset: int) -> int:
        return NEVER_US if self.stamps is None else self.stamps[partition][offset]

    def finish(self) -> list[Marker]:
        self.state, markers = close_all(self.state, self.rules, 0)
        return markers

    def write(self, markers: list[Marker]) -> None:
        for marker in markers:
            self.written[marker.window_us] = self.open.pop(marker.window_us, 0)

    def commit(self, markers: list[Marker]) -> None:
        for marker in markers:
            self.accounts[marker.window_us] = marker.account
            self.progress = advance(self.progress, (marker,))

    def done(self) -> bool:
        return all(p.position >= len(self.topic[p.partition]) for p in self.state.partitions)


records = st.one_of(
    st.none(),
    st.lists(st.integers(0, 30), min_size=1, max_size=3),
)


@st.composite
def topics(draw: st.DrawFn) -> dict[int, list[Record]]:
    """Partitions whose event times drift on at different speeds, with disorder, late rows and rejects."""
    topic: dict[int, list[Record]] = {}
    for partition in range(draw(st.integers(1, 3))):
        speed = draw(st.integers(0, 8))
        drawn = draw(st.lists(records, min_size=1, max_size=25))
        topic[partition] = [
            None if record is None else [i * speed + time for time in record] for i, record in enumerate(drawn)
        ]
    return topic


def play(job: Job, data: st.DataObject) -> None:
    """Read all in batches of any size, with crashes at any moment."""
    topic = job.topic
    for _ in range(120):
        if job.done():
            break
        partition = data.draw(st.sampled_from(sorted(topic)))
        markers = job.read(partition, data.draw(st.integers(1, 6)))
        crash = data.draw(st.sampled_from(["no", "no", "no", "before", "written", "half"]))
        if crash == "before":
            job.restart()
            continue
        job.write(markers)
        if crash == "written":
            job.restart()
            continue
        job.commit(markers[: len(markers) // 2] if crash == "half" else markers)
        if crash == "half":
            job.restart()
    while not job.done():
        for partition in topic:
            markers = job.read(partition, 100)
            job.write(markers)
            job.commit(markers)
    markers = job.finish()
    job.write(markers)
    job.commit(markers)


@pytest.mark.long
@settings(max_examples=100)
@given(topics(), st.data())
def test_accounts_equal_a_recount_whatever_the_batches_and_crashes(
    topic: dict[int, list[Record]], data: st.DataObject
) -> None:
    job = Job(topic)
    play(job, data)

    truth = recount(topic, RULES.length_us, RULES.disorder_us)
    assert {w: n for w, n in job.written.items() if n} == dict(truth.windows)
    assert job.late == set(truth.late)
    assert job.rejected == set(truth.rejected)
    assert job.progress.totals == Account(
        counted=sum(truth.windows.values()), late=len(truth.late), rejected=len(truth.rejected)
    )
    assert all(job.accounts[w].counted == n for w, n in job.written.items() if n)
    assert closed_windows(job) == truth.reached(RULES.length_us)


def closed_windows(job: Job) -> list[int]:
    """Windows from the first with rows to the last; what was set aside may close further ones."""
    full = [w for w, n in job.written.items() if n]
    return sorted(w for w in job.written if full and min(full) <= w <= max(full))


@st.composite
def stamped_topics(draw: st.DrawFn) -> tuple[dict[int, list[Record]], dict[int, list[int]]]:
    """Topics with runs of nothing but rejects, whose Kafka timestamps go on meanwhile, now and then wrong."""
    topic = draw(topics())
    stamps: dict[int, list[int]] = {}
    for partition, found in topic.items():
        lag, silence = draw(st.integers(-20, 20)), draw(st.integers(0, 300))
        at = draw(st.integers(0, len(found)))
        topic[partition] = [*found[:at], *[None] * draw(st.integers(0, 12)), *found[at:]]
        stamps[partition] = [100 + lag + i * 5 + silence * (i > at) for i in range(len(topic[partition]))]
        wrong = draw(st.integers(0, len(topic[partition]) - 1))
        stamps[partition][wrong] = draw(st.sampled_from([stamps[partition][wrong], NEVER_US, 10**6]))
    return topic, stamps


@pytest.mark.long
@settings(max_examples=100)
@given(stamped_topics(), st.data())
def test_every_event_is_accounted_once_also_where_rejects_move_the_clock(
    stamped: tuple[dict[int, list[Record]], dict[int, list[int]]], data: st.DataObject
) -> None:
    topic, stamps = stamped
    job = Job(topic, stamps, WindowRules(length_us=10, disorder_us=4, idle_after_us=3))
    play(job, data)

    truth = recount(topic, 10, 4)
    totals = job.progress.totals
    assert totals.rejected == len(truth.rejected) == len(job.rejected)
    assert totals.read == truth.read
    # Rows may be late for the clock of rejects, never on time for it.
    assert job.late >= set(truth.late)
    # A run that was killed before its first commit may have begun with an earlier window: nothing states what it wrote.
    written = {w: n for w, n in job.written.items() if n and w in job.accounts}
    assert totals.counted == sum(written.values()) == sum(account.counted for account in job.accounts.values())
    assert {w: a.counted for w, a in job.accounts.items() if a.counted} == written


def state_of(*newest_us: int) -> ReaderState:
    return ReaderState(tuple(PartitionState(p, 1, newest, 0) for p, newest in enumerate(newest_us)))


def test_a_partition_never_read_holds_the_watermark() -> None:
    assert watermark_us(state_of(100, NEVER_US), RULES, {}) == NEVER_US


def test_an_idle_partition_does_not_hold_the_watermark() -> None:
    assert watermark_us(state_of(100, 20), RULES, {1: 5}) == 96
    assert watermark_us(state_of(100, NEVER_US), RULES, {1: 5}) == 96


def test_when_all_are_idle_the_watermark_moves_on_by_the_clock() -> None:
    assert watermark_us(state_of(100, 20), RULES, {0: 30, 1: 7}) == 103


def test_a_reject_before_any_event_is_accounted_in_the_first_window_to_close() -> None:
    start = ReaderState((PartitionState(0, 0, NEVER_US, 0),))
    nothing = np.zeros(0, dtype=np.int64)
    routed = take(start, RULES, nothing, nothing, nothing, nothing, {0: 1}, {0: [Reject(0)]})
    later = take(routed.state, RULES, np.zeros(1), np.array([1]), np.array([55]), np.array([60]), {0: 2}, {})
    _, markers = close_windows(later.state, RULES, 60, 0)
    assert [(m.window_us, m.account, m.is_preface) for m in markers] == [
        (0, Account(rejected=1), True),
        (50, Account(counted=1), False),
    ]


def test_markers_of_one_close_are_numbered_in_order_of_time() -> None:
    start = ReaderState((PartitionState(0, 0, NEVER_US, 0),))
    times = np.array([5, 15, 25, 99])
    routed = take(start, RULES, np.zeros(4), np.arange(4), times, times, {0: 4}, {})
    _, markers = close_windows(routed.state, RULES, 95, 0)
    assert [(m.sequence, m.window_us) for m in markers] == [(i + 1, 10 * i) for i in range(9)]
    assert [m.account.counted for m in markers] == [1, 1, 1, 0, 0, 0, 0, 0, 0]
    assert [m.resume[0].offset for m in markers] == [1, 2, 3, 3, 3, 3, 3, 3, 3]
    assert [m.resume[0].behind_us for m in markers] == [(5,), (5, 15), *[(5, 15, 25)] * 7]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 60), st.sampled_from([0, 0, 0, 10**7]))))
def test_rows_on_time_are_given_by_window_in_their_order(drawn: list[tuple[int, int, int, int]]) -> None:
    rows = sorted((partition, offset) for partition, offset, _, _ in drawn)
    partitions, offsets = (np.array([row[i] for row in rows], dtype=np.int64) for i in (0, 1))
    times = np.array([time + ahead for _, _, time, ahead in drawn], dtype=np.int64)
    start = ReaderState(tuple(PartitionState(p, 0, NEVER_US, 0) for p in range(4)), closed_end_us=20)
    routed = take(start, RULES, partitions, offsets, times, times, dict.fromkeys(range(4), 10), {})
    slow: dict[int, list[int]] = {}
    for row, time in enumerate(times.tolist()):
        if row not in routed.late:
            slow.setdefault(time // 10 * 10, []).append(row)
    assert [(window, at.tolist()) for window, at in routed.on_time.items()] == sorted(slow.items())
    counted = Counter(w.window_us for p in routed.state.partitions for w in p.open_windows for _ in range(w.rows))
    assert counted == {window: len(at) for window, at in slow.items()}


def test_rows_of_a_partition_in_two_places_are_refused() -> None:
    start, three = ReaderState((PartitionState(0, 0, NEVER_US, 0), PartitionState(1, 0, NEVER_US, 0))), np.arange(3)
    with pytest.raises(ValueError, match="grouped by partition"):
        take(start, RULES, np.array([0, 1, 0]), three, three, three, {0: 3, 1: 3}, {})


def test_a_leap_over_very_many_windows_closes_as_many_as_the_bound_and_those_with_rows() -> None:
    start = ReaderState((PartitionState(0, 0, NEVER_US, 0),))
    times = np.array([5, 10**9 + 5, 3 * 10**9])
    routed = take(start, RULES, np.zeros(3), np.arange(3), times, times, {0: 3}, {})
    state, markers = close_windows(routed.state, RULES, 3 * 10**9 - 4, 0)
    assert [m.window_us for m in markers if m.account.counted] == [0, 10**9]
    assert len(markers) == 2 + 2 * MOST_EMPTY
    assert [m.sequence for m in markers] == list(range(1, len(markers) + 1))
    assert state.closed_end_us == 3 * 10**9 - 10
    many = np.arange(0, 10**7, 10**5)
    routed = take(start, RULES, np.zeros(100), np.arange(100), many, many, {0: 100}, {})
    _, markers = close_windows(routed.state, RULES, watermark_us(routed.state, RULES, {}), 0)
    assert len(markers) == 99 + MOST_EMPTY_AT_ONCE


def rejects_only(*stamps_us: int, state: ReaderState | None = None) -> ReaderState:
    """The state after a batch of nothing but rejects with these Kafka timestamps."""
    state = state or ReaderState((PartitionState(0, 0, NEVER_US, 0),))
    begin = state.partitions[0].position
    rejects = [Reject(begin + i, 1, stamp) for i, stamp in enumerate(stamps_us)]
    none = np.zeros(0, dtype=np.int64)
    return take(state, PATIENT, none, none, none, none, {0: begin + len(stamps_us)}, {0: rejects}).state


PATIENT = WindowRules(length_us=10, disorder_us=4, idle_after_us=3)


def test_a_stream_of_rejects_alone_has_windows_at_the_times_of_their_records() -> None:
    state, markers = close_all(rejects_only(1000, 1011, 1022, 1023), PATIENT, 0)
    assert [(m.window_us, m.account.rejected, m.is_preface) for m in markers] == [
        (0, 4, True),
        (1000, 0, False),
        (1010, 0, False),
        (1020, 0, False),
    ]
    assert not any(m.complete for m in markers)
    assert state.closed_end_us == 1030


def test_rejects_alone_close_windows_once_their_timestamps_have_gone_on_for_long_enough() -> None:
    state = rejects_only(1000, 1026, 1026)
    assert close_windows(state, PATIENT, watermark_us(state, PATIENT, {}), 0)[1] == []
    state = rejects_only(1028, 1028, state=state)
    state, markers = close_windows(state, PATIENT, watermark_us(state, PATIENT, {}), 0)
    assert [(m.window_us, m.account.rejected, m.complete) for m in markers] == [(0, 5, False), (1000, 0, False)]
    state = rejects_only(1038, 1038, state=state)
    _, markers = close_windows(state, PATIENT, watermark_us(state, PATIENT, {}), 0)
    assert [(m.window_us, m.account.rejected, m.events, m.complete) for m in markers] == [(1010, 2, 2, True)]


def test_rejects_stand_in_with_the_lead_of_the_newest_row_held_back() -> None:
    rows, start = np.arange(491, 501), ReaderState((PartitionState(0, 0, NEVER_US, 0),))
    state = take(start, PATIENT, np.zeros(10), np.arange(10), rows, rows + 90, {0: 10}, {}).state
    assert watermark_us(rejects_only(690, 700, state=state), PATIENT, {}) == 690 - 90 - 3 - 4


def test_one_reject_with_a_clock_far_ahead_moves_nothing() -> None:
    state = rejects_only(1000, 10**9, 1001)
    assert state.partitions[0].confirmed_us == 1001
    assert rejects_only(1002, 1003, state=state).partitions[0].confirmed_us == 1002


def test_a_partition_of_rejects_does_not_hold_back_one_of_good_rows() -> None:
    state = ReaderState((PartitionState(0, 0, NEVER_US, 0), PartitionState(1, 0, NEVER_US, 0)))
    times = np.arange(1000, 1060)
    state = take(state, PATIENT, np.ones(60), np.arange(60), times, times + 100, {1: 60}, {}).state
    assert watermark_us(state, PATIENT, {}) == NEVER_US
    # The lead of its rows is not known, that of the other partition's is.
    state = rejects_only(1140, 1141, state=state)
    assert watermark_us(state, PATIENT, {}) == 1140 - 100 - 3 - 4


def test_while_records_are_read_again_rejects_move_no_clock() -> None:
    point = ResumePoint(offset=3, newest_us=995, high=6, lead_us=0, confirmed_us=1400)
    progress = msgspec.structs.replace(EMPTY, closed_end_us=1000, partitions={0: point}, sequences={0: 1})
    state = start_state(progress, [0], {0: 0}, 0)
    assert watermark_us(state, PATIENT, {}) == 991
    state = rejects_only(1500, 1500, 1500, state=state)
    assert state.rejected == state.events == 0
    assert watermark_us(state, PATIENT, {}) == 1500 - 3 - 4
    assert state.began


def test_a_job_that_is_restarted_after_a_silence_goes_on_where_it_was() -> None:
    progress = msgspec.structs.replace(
        EMPTY, closed_end_us=1000, partitions={0: ResumePoint(offset=3, newest_us=995, high=3)}, sequences={0: 7}
    )
    state = start_state(progress, [0], {0: 0}, 0)
    _, markers = close_windows(state, PATIENT, watermark_us(state, PATIENT, {0: 40}), 0)
    assert [(m.window_us, m.sequence, m.complete) for m in markers] == [
        (1000, 8, True),
        (1010, 9, True),
        (1020, 10, True),
    ]


def test_a_run_that_has_read_nothing_knows_the_silence_of_a_live_stream_by_its_newest_record() -> None:
    minute = 60_000_000
    rules = WindowRules(length_us=minute, disorder_us=10_000_000, idle_after_us=10_000_000)
    live = PartitionState(0, 5, newest_us=1000 * minute, high=5, lead_us=-2_000_000)
    state, now = ReaderState((live,)), 1060 * minute
    # Five minutes are left to clocks that differ.
    assert live_silences_us(state, rules, now) == {0: 55 * minute - 12_000_000}
    assert live_silences_us(state, rules, 1005 * minute) == {}
    history = msgspec.structs.replace(live, lead_us=-90 * 24 * 60 * minute)
    assert live_silences_us(ReaderState((history,)), rules, now) == {}
    both = ReaderState((live, PartitionState(1, 0, NEVER_US, 0)))
    watermark = watermark_us(both, rules, {1: 0} | live_silences_us(both, rules, now))
    assert watermark == 1000 * minute - 10_000_000 + 55 * minute - 12_000_000


def with_rows(state: ReaderState, times: list[int], rules: WindowRules = RULES) -> tuple[ReaderState, int]:
    """The state after these rows of partition 0, a record each, and how many of them are late."""
    at, begin = np.array(times), state.partitions[0].position
    offsets = np.arange(begin, begin + len(times))
    routed = take(state, rules, np.zeros(len(times)), offsets, at, at, {0: begin + len(times)}, {})
    return routed.state, len(routed.late)


@pytest.mark.parametrize("place", [0, 1, 40, 99])
def test_one_clock_ahead_makes_no_other_row_late(place: int) -> None:
    """Seen: of 3,001 events one was 59 minutes ahead, and the 2,499 after it were late."""
    times = list(range(1000, 1100))
    times.insert(place, times[place] + 600)
    state, late = with_rows(ReaderState((PartitionState(0, 0, NEVER_US, 0),)), times)
    assert late == 0
    state, markers = close_windows(state, RULES, watermark_us(state, RULES, {}), 0)
    assert markers[-1].window_us == 1080
    # A run ends here: the row is counted, and those of the next run are not late for it.
    state, markers = close_all(state, RULES, 0)
    assert [m.window_us for m in markers] == [1090, (times[place]) // 10 * 10]
    assert state.closed_end_us == 1100
    progress = EMPTY
    for marker in markers:
        progress = advance(progress, (marker,))
    assert (progress.closed_end_us, progress.ahead_us) == (1100, (times[place] // 10 * 10,))
    state, late = with_rows(start_state(progress, [0], {0: 0}, 0), [*range(1100, 1200), times[place]])
    # The window ahead was written: another row of it comes too late.
    assert late == 1
    state, markers = close_windows(state, RULES, 2000, 0)
    assert times[place] // 10 * 10 not in {m.window_us for m in markers}
    assert state.ahead_us == ()


def test_a_run_with_nothing_but_late_rows_closes_no_window_to_come() -> None:
    """Seen: a run from cron closed the running window, and each run after it, of late rows alone, one more."""
    progress = msgspec.structs.replace(
        EMPTY, closed_end_us=1100, partitions={0: ResumePoint(offset=0, newest_us=1090, high=0)}, sequences={0: 4}
    )
    state, late = with_rows(start_state(progress, [0], {0: 0}, 0), list(range(1091, 1099)))
    assert late == 8
    state, [marker] = close_all(state, RULES, 0)
    assert (marker.is_preface, marker.window_us, marker.account, marker.sequence) == (True, 1100, Account(late=8), 5)
    after = advance(progress, (marker,))
    assert (after.closed_end_us, after.windows, after.totals) == (1100, 0, Account(late=8))
    state, late = with_rows(start_state(after, [0], {0: 0}, 0), list(range(1100, 1110)))
    assert late == 0
