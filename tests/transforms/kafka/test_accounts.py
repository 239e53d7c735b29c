"""The accounts against an offline recount, with crashes at any moment."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.schemas.accounts import NEVER_US, Account, Marker, PartitionState, Progress, ReaderState
from sparsewatch.transforms.kafka.accounts import WindowRules, close_all, close_windows, start_state, take, watermark_us
from sparsewatch.transforms.kafka.progress import advance
from tests.oracles.accounts import Record, recount

RULES = WindowRules(length_us=10, disorder_us=4)
EMPTY = Progress(job="j", topic="t", settings="", closed_end_us=0, partitions={}, sequences={}, totals=Account())


@dataclass
class Job:
    """A job in miniature: reads batches, writes windows by id, commits in order, may crash and start again."""

    topic: dict[int, list[Record]]
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
            RULES,
            np.full(len(rows), partition),
            np.array([r[0] for r in rows], dtype=np.int64),
            np.array([r[2] for r in rows], dtype=np.int64),
            {partition: end},
            {partition: rejects},
        )
        self.late |= {(partition, rows[i][0], rows[i][1]) for i in routed.late.tolist()}
        self.rejected |= {(partition, o) for o in rejects if o >= part.high}
        for window, at in routed.on_time.items():
            self.open[window] += len(at)
        self.state, markers = close_windows(routed.state, RULES, watermark_us(routed.state, RULES, {}), 0)
        return markers

    def finish(self) -> list[Marker]:
        self.state, markers = close_all(self.state, RULES, 0)
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


@pytest.mark.long
@settings(max_examples=150)
@given(topics(), st.data())
def test_accounts_equal_a_recount_whatever_the_batches_and_crashes(
    topic: dict[int, list[Record]], data: st.DataObject
) -> None:
    job = Job(topic)
    for _ in range(2000):
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

    truth = recount(topic, RULES.length_us, RULES.disorder_us)
    assert {w: n for w, n in job.written.items() if n} == dict(truth.windows)
    assert job.late == set(truth.late)
    assert job.rejected == set(truth.rejected)
    assert job.progress.totals == Account(
        counted=sum(truth.windows.values()), late=len(truth.late), rejected=len(truth.rejected)
    )
    assert all(job.accounts[w].counted == n for w, n in job.written.items() if n)


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
    routed = take(start, RULES, nothing, nothing, nothing, {0: 1}, {0: [0]})
    later = take(routed.state, RULES, np.zeros(1), np.array([1]), np.array([55]), {0: 2}, {})
    _, markers = close_windows(later.state, RULES, watermark_us(later.state, RULES, {}), 0)
    assert [(m.window_us, m.account) for m in markers] == [(0, Account(rejected=1))]


def test_markers_of_one_close_are_numbered_in_order_of_time() -> None:
    start = ReaderState((PartitionState(0, 0, NEVER_US, 0),))
    times = np.array([5, 15, 25, 99])
    routed = take(start, RULES, np.zeros(4), np.arange(4), times, {0: 4}, {})
    _, markers = close_windows(routed.state, RULES, watermark_us(routed.state, RULES, {}), 0)
    assert [(m.sequence, m.window_us) for m in markers] == [(1, 0), (2, 10), (3, 20)]
    assert [m.resume[0].offset for m in markers] == [1, 2, 3]
    assert [m.resume[0].newest_us for m in markers] == [5, 15, 25]
