"""Commits keep the order of markers, and the progress refuses settings it does not fit."""

from typing import Any

import msgspec
import pytest

from sparsewatch.schemas.accounts import Account, Marker, Progress, ResumePoint
from sparsewatch.schemas.errors import StateError
from sparsewatch.transforms.kafka.progress import ProgressLog, _checked


class Written:
    """A writer that remembers."""

    def __init__(self) -> None:
        self.records: list[Progress] = []
        self.flushed = 0

    def send(self, topic: str, key: bytes | None, value: bytes | None, *rest: Any) -> None:
        self.records.append(msgspec.json.decode(value or b"", type=Progress))

    def flush(self) -> None:
        self.flushed += 1

    def close(self) -> None: ...


def marker(sequence: int, reader: int = 0, partition: int = 0) -> Marker:
    return Marker(
        reader=reader,
        sequence=sequence,
        window_us=sequence * 10,
        window_end_us=sequence * 10 + 10,
        account=Account(counted=sequence, late=1),
        resume={partition: ResumePoint(offset=sequence * 100, newest_us=sequence, high=sequence * 100)},
    )


def log(start: Progress | None = None) -> ProgressLog:
    return ProgressLog("j", "t", "digest", "j.progress", start)


def test_a_later_window_waits_for_the_ones_before_it() -> None:
    progress, out = log(), Written()
    assert not progress.done((marker(2),), out)
    assert out.records == []
    assert progress.done((marker(1),), out)
    assert [(p.closed_end_us, p.windows, p.totals) for p in out.records] == [(30, 2, Account(counted=3, late=2))]
    assert out.flushed == 1


def test_a_window_committed_before_is_not_committed_again() -> None:
    first, out = log(), Written()
    first.done((marker(1),), out)
    second = log(out.records[-1])
    assert not second.done((marker(1),), out)
    assert second.done((marker(2),), out)
    assert out.records[-1].totals == Account(counted=3, late=2)


def test_a_window_of_two_readers_is_committed_with_the_markers_of_both() -> None:
    progress, out = log(), Written()
    progress.done((marker(1), marker(1, reader=1, partition=1)), out)
    assert set(out.records[-1].partitions) == {0, 1}
    assert out.records[-1].sequences == {0: 1, 1: 1}


def test_other_settings_are_refused_with_the_way_out() -> None:
    with pytest.raises(StateError, match="another name"):
        _checked(msgspec.json.encode(log().progress), "j.progress", "j", "other")


def test_a_damaged_record_is_named() -> None:
    with pytest.raises(StateError, match=r"'j\.progress': the progress of job 'j' cannot be read"):
        _checked(b"{}", "j.progress", "j", "digest")
