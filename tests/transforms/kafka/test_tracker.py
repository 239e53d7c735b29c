"""The restriction tracker: whole claims, and no split but the self-checkpoint."""

import msgspec
import pytest

from sparsewatch.schemas.accounts import OpenWindow, PartitionState, ReaderState
from sparsewatch.transforms.coders import ReaderStateCoder
from sparsewatch.transforms.kafka.tracker import ReaderTracker

START = ReaderState((PartitionState(0, 5, 100, 0), PartitionState(1, 7, 90, 0)))


def moved(state: ReaderState, position: int) -> ReaderState:
    first, *rest = state.partitions
    return msgspec.structs.replace(state, partitions=(msgspec.structs.replace(first, position=position), *rest))


def test_a_split_at_a_fraction_is_refused_and_claiming_goes_on() -> None:
    tracker = ReaderTracker(START, bounded=False)
    assert tracker.try_split(0.5) is None
    assert tracker.try_claim(moved(START, 9))
    assert tracker.current_restriction().partitions[0].position == 9


def test_a_self_checkpoint_hands_back_all_that_is_left_and_ends_claiming() -> None:
    tracker = ReaderTracker(START, bounded=False)
    tracker.try_claim(moved(START, 9))
    split = tracker.try_split(0)
    assert split is not None
    assert split[1] == moved(START, 9)
    assert not tracker.try_claim(moved(START, 12))
    assert tracker.try_split(0) is None
    tracker.check_done()


def test_a_bounded_reader_that_stops_early_is_an_error() -> None:
    tracker = ReaderTracker(msgspec.structs.replace(START, stop=(20, 20)), bounded=True)
    with pytest.raises(ValueError, match=r"before its stop offsets \(20, 20\)"):
        tracker.check_done()


def test_a_bounded_reader_that_finished_is_done_and_keeps_no_residual() -> None:
    tracker = ReaderTracker(msgspec.structs.replace(START, stop=(5, 7)), bounded=True)
    tracker.try_claim(msgspec.structs.replace(START, stop=(5, 7), finished=True))
    tracker.check_done()
    assert tracker.try_split(0) is None


def test_progress_is_the_share_of_offsets_read() -> None:
    tracker = ReaderTracker(msgspec.structs.replace(START, stop=(10, 10)), bounded=True)
    progress = tracker.current_progress()
    assert (progress.completed_work, progress.remaining_work) == (12.0, 8.0)


def test_a_restriction_survives_its_coder() -> None:
    open_window = OpenWindow(60, 3, 55, 2)
    state = ReaderState((PartitionState(0, 5, 100, 2, (open_window,)),), 60, 1, 2, 3, True, (9,), (), False)
    coder = ReaderStateCoder()
    assert coder.decode(coder.encode(state)) == state
