"""What becomes of a reader's partitions when their topic is made anew, cut short or trimmed."""

from typing import Any

import pytest

from sparsewatch.schemas.accounts import NEVER_US, LastRecord, Notice, OpenWindow, PartitionState, ReaderState
from sparsewatch.schemas.errors import SourceError
from sparsewatch.testing import FakeRecord
from sparsewatch.testing.topic import as_fetched
from sparsewatch.transforms.kafka.client import Sight
from sparsewatch.transforms.kafka.resume import resume_point
from sparsewatch.transforms.kafka.source_changes import (
    Bounds,
    Change,
    Share,
    change_of,
    settle,
    with_last,
    without_lost,
    without_missing,
)
from sparsewatch.transforms.records import Fetched, passed_over

LAST = LastRecord(99, 1000, 7)


def part(partition: int = 0, position: int = 100, high: int = 100, **more: Any) -> PartitionState:
    return PartitionState(partition, position, 5000, high, **more)


def bounds(topic_id: str, begin: int, end: int, **more: Any) -> Bounds:
    return Bounds(topic_id, {0: begin}, {0: end}, **more)


def run(*offsets: int, then: int | None = None) -> Fetched:
    records = [FakeRecord("t", None, b"v%d" % o, offset=o, timestamp_ms=10 * o) for o in offsets]
    return as_fetched(0, records, offsets[-1] + 1 if then is None else then)


def settled(of: PartitionState, found: Bounds) -> tuple[PartitionState, ReaderState]:
    state = settle(ReaderState((of,), closed_end_us=60), found)
    return state.partitions[0], state


def test_a_topic_that_is_the_same_is_read_on_and_its_id_is_remembered() -> None:
    new, state = settled(part(), bounds("A", 0, 150))
    assert new == part(topic_id="A")
    assert (state.notices, state.lost) == ((), 0)


@pytest.mark.parametrize("end", [0, 20, 100, 5000])
def test_a_topic_of_another_id_is_read_from_its_begin_whatever_its_end(end: int) -> None:
    new, state = settled(part(topic_id="A", last=LAST), bounds("B", 3, end))
    assert new == PartitionState(0, 3, NEVER_US, 3, topic_id="B", era="B")
    assert state.notices == (Notice("source_recreated", 0, 100, 3),)
    assert (state.lost, state.closed_end_us) == (0, 60)


def test_what_was_read_of_windows_that_had_not_closed_is_lost_with_its_topic() -> None:
    _, state = settled(part(position=80, topic_id="A"), bounds("B", 0, 9))
    assert state.lost == 20


def test_rows_of_open_windows_stay_in_them_and_are_lost_by_a_crash() -> None:
    opened = OpenWindow(60, 80, 4000, 15)
    new, _ = settled(part(topic_id="A", open_windows=(opened,)), bounds("B", 0, 9))
    assert [(w.window_us, w.first_offset, w.rows) for w in new.open_windows] == [(60, 0, 15)]
    point = resume_point(new)
    assert (point.offset, point.high, point.topic_id, point.gone) == (0, 0, "B", 15)


@pytest.mark.parametrize(
    "found", [bounds("", 0, 40), bounds("", 0, 400, found={0: LastRecord(99, 1000, 8)})], ids=["shorter", "grown"]
)
def test_without_ids_the_end_and_the_last_record_tell(found: Bounds) -> None:
    new, state = settled(part(last=LAST), found)
    assert new.position == 0
    assert [notice.rule for notice in state.notices] == ["source_recreated"]


def test_the_same_last_record_or_none_at_its_offset_is_no_sign() -> None:
    for found in ({0: LAST}, {}):
        new, state = settled(part(last=LAST, topic_id="A"), bounds("A", 0, 150, found=found))
        assert (new.position, state.notices) == (100, ())


def test_each_topic_of_a_broker_without_ids_has_an_era_of_its_own() -> None:
    first, _ = settled(part(), bounds("", 0, 40))
    second, _ = settled(PartitionState(0, 40, 5, 40, era=first.era), bounds("", 0, 3))
    assert (first.era, second.era) == ("1", "2")
    assert resume_point(second).era == "2"


def test_a_topic_cut_short_is_read_on_behind_the_last_time_that_was_read() -> None:
    new, state = settled(part(position=60, topic_id="A", last=LAST), bounds("A", 0, 95, later={0: 90}))
    assert (new.position, new.high, new.era) == (60, 90, "A.90")
    assert state.notices == (Notice("source_truncated", 0, 100, 90),)


def test_a_topic_cut_short_that_has_grown_again_is_noticed_by_its_last_record() -> None:
    other = {0: LastRecord(99, 2000, 9)}
    new, _ = settled(part(topic_id="A", last=LAST), bounds("A", 0, 150, found=other, later={0: 97}))
    assert (new.position, new.high) == (97, 97)


def test_records_gone_before_they_were_read_are_lost() -> None:
    new, state = settled(part(position=80, topic_id="A"), bounds("A", 130, 150))
    assert (new.position, new.high, state.lost) == (130, 130, 50)
    assert state.notices == (Notice("records_lost", 0, 80, 130, 50),)


@pytest.mark.parametrize(
    ("fetched", "begin", "lost"),
    [
        (run(105, 106), 105, 5),
        (run(100, 104, 105), 104, 3),
        (run(105, 106), 103, 3),
        (run(100, 104), 0, 0),
        (run(100, 104, 108), 108, 3),
        # The records were read, then they were deleted.
        (run(100, 104, 108), 200, 0),
        (passed_over(0, 120), 120, 20),
        (passed_over(0, 120), 90, 0),
    ],
)
def test_only_a_gap_in_which_the_partition_begins_is_lost(fetched: Fetched, begin: int, lost: int) -> None:
    assert without_lost(ReaderState((part(),)), [fetched], {0: begin}).lost == lost


def test_the_last_record_read_is_remembered_unless_an_earlier_run_read_further() -> None:
    [new] = with_last(ReaderState((part(),)), [run(100, 101)]).partitions
    assert new.last is not None
    assert (new.last.offset, new.last.timestamp_ms) == (101, 1010)
    [new] = with_last(ReaderState((part(position=50, last=LAST),)), [run(50)]).partitions
    assert new.last == LAST


def test_a_change_is_another_id_or_a_client_that_goes_back() -> None:
    state, share = ReaderState((part(topic_id="A"), part(2, topic_id="A"))), Share(0, 2)
    assert change_of(state, Sight("A", (0, 1, 2)), [run(100)], share) is None
    assert change_of(state, Sight("A", (0, 1, 2)), [run(99)], share) == Change(is_other=True)
    assert change_of(state, Sight("B", (0, 1, 2)), [], None) == Change(is_other=True)
    assert change_of(state, Sight("", (0, 1, 2)), [], share) is None
    # The topic is gone for a while.
    assert change_of(state, Sight("", ()), [], share) is None


def test_added_partitions_are_those_of_the_readers_share() -> None:
    state = ReaderState((part(), part(2)))
    assert change_of(state, Sight("A", tuple(range(7))), [], Share(0, 2)) == Change(is_other=False, added=(4, 6))
    assert change_of(state, Sight("A", tuple(range(7))), [], None) is None


def test_rows_of_a_partition_that_is_no_more_pass_to_another() -> None:
    windows = (OpenWindow(60, 80, 4000, 15),)
    state = without_missing(ReaderState((part(open_windows=windows), part(1, position=90, open_windows=windows))), (0,))
    [heir] = state.partitions
    assert [(w.window_us, w.rows) for w in heir.open_windows] == [(60, 30)]
    assert state.lost == 10
    with pytest.raises(SourceError, match="recreated with 1 partition, none of them this reader's"):
        without_missing(ReaderState((part(3),)), (0,))
