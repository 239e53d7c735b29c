"""Runs of a job one after another, killed or ended anywhere: what meets in a window agrees, and nothing is lost."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.schemas.accounts import NEVER_US, Account, PartitionState, ReaderState
from sparsewatch.transforms.kafka.reader_start import bounded_state
from sparsewatch.transforms.kafka.stream_clock import WindowRules
from tests.kit.miniature_jobs import BEGIN_US, MiniatureJob, records
from tests.oracles.accounts import Record

RULES = WindowRules(length_us=10, disorder_us=4, idle_after_us=3)


class Runs(MiniatureJob):
    """Partitions may be idle anywhere behind what an earlier run has read."""

    def silent(self, state: ReaderState) -> list[int]:
        return [p.partition for p in state.partitions if p.position >= p.high]


@st.composite
def stamped_topics(draw: st.DrawFn) -> tuple[dict[int, list[Record]], dict[int, list[int]]]:
    """Partitions with rejects, late rows, silences and clocks ahead, and the Kafka timestamps of their records."""
    topic: dict[int, list[Record]] = {}
    stamps: dict[int, list[int]] = {}
    for partition in range(draw(st.integers(1, 3))):
        time, lag = BEGIN_US, draw(st.sampled_from([-20, 0, 100]))
        topic[partition], stamps[partition] = [], []
        for record in draw(st.lists(records, max_size=14)):
            time += draw(st.sampled_from([0, 3, 8, 40]))
            ahead = draw(st.sampled_from([0, 0, 0, 20, 60]))
            topic[partition].append(None if record is None else [time + ahead + t for t in record])
            stamps[partition].append(draw(st.sampled_from([time + lag] * 6 + [NEVER_US, time + 10**4])))
    return topic, stamps


@pytest.mark.long
@settings(max_examples=100)
@given(stamped_topics(), st.integers(1, 2), st.data())
def test_over_any_runs_what_meets_in_a_window_agrees_and_every_event_is_accounted_once(
    stamped: tuple[dict[int, list[Record]], dict[int, list[int]]], readers: int, data: st.DataObject
) -> None:
    topic, stamps = stamped
    job = Runs(topic, readers, RULES, stamps)
    for _ in range(60):
        left = list(job.left())
        if not left:
            break
        reader, partition = data.draw(st.sampled_from(left))
        job.read(reader, partition, data.draw(st.integers(1, 5)), data.draw(st.sampled_from([None, None, None, 0, 35])))
        then = data.draw(st.sampled_from(["goes on", "goes on", "goes on", "ends", "is killed", "is killed half-way"]))
        if then == "ends":
            job.end()
            continue
        job.fire(most={"goes on": None, "is killed": 0, "is killed half-way": 1}[then])
        if then != "goes on":
            job.restart()
    for reader, partition in [*job.left()]:
        job.read(reader, partition, 100, None)
        job.fire()
    job.end()

    events = [record for found in topic.values() for record in found]
    rejected = sum(record is None for record in events)
    assert job.progress.totals.read == sum(1 if record is None else len(record) for record in events)
    assert job.progress.totals.rejected == rejected
    assert job.progress.totals.counted == sum(job.written.values())


def _without_stamps(topic: dict[int, list[Record]]) -> Runs:
    return Runs(topic, 1, RULES)


def test_the_next_window_states_what_was_set_aside_also_where_only_a_clock_ahead_opened_it() -> None:
    """Seen: a run ended with two markers of one reader in that window, and it could never be committed."""
    none: list[Record] = [None] * 5
    topic: dict[int, list[Record]] = {
        0: none,
        1: [*none[:4], [1008], [1040]],
        2: [None, [1000], None, None, None, [1000]],
    }
    stamps = {
        0: [100, 142, 147, 152, 157],
        1: [100, 147, 152, 157, 162, 167],
        2: [100, 105, 110, 152, 157, 162],
    }
    job = Runs(topic, 1, RULES, {p: [1000 + stamp for stamp in found] for p, found in stamps.items()})
    for partition, number in [(2, 4), (0, 3), (1, 4), (2, 1), (0, 2), (1, 2), (2, 1)]:
        job.read(0, partition, number, None)
        job.fire()
    job.end()
    assert job.progress.totals == Account(counted=2, late=2, rejected=13)
    assert {window: n for window, n in job.written.items() if n} == {1000: 1, 1040: 1}
    assert (job.progress.closed_end_us, job.progress.ahead_us) == (1040, (1040,))


def test_late_rows_do_not_travel_in_a_window_that_an_earlier_run_closed_ahead_of_its_order() -> None:
    """They were written, and no marker stated them: the books did not balance from there on."""
    in_order: list[Record] = [[time] for time in range(1000, 1100)]
    job = _without_stamps({0: [*in_order[:20], [1050], *in_order[20:68], [1010], *in_order[68:]]})
    job.read(0, 0, 21, None)
    job.end()
    assert (job.progress.closed_end_us, job.progress.ahead_us) == (1020, (1050,))
    # Between the second and the third batch window 1050 is the next to close.
    for number in (35, 14, 100):
        job.read(0, 0, number, None)
        job.fire()
    job.end()
    assert job.progress.totals == Account(counted=91, late=11)


def test_a_run_until_a_time_stops_no_earlier_than_an_earlier_run() -> None:
    """Seen: it closed windows without the rows behind that time, and the next run skipped these as accounted."""
    parts = (PartitionState(0, 80, 1000, high=100), PartitionState(1, 50, 1000, high=50), PartitionState(2, 9, 1000, 9))
    state = bounded_state(ReaderState(parts), {0: 90, 1: 40, 2: 30})
    assert (state.stop, state.silent) == ((100, 50, 30), (1,))
