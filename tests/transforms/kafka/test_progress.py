"""Commits keep the order of markers, and the progress refuses settings it does not fit."""

import msgspec
import pytest

from sparsewatch.schemas.accounts import Account, Marker, Progress, ResumePoint
from sparsewatch.schemas.errors import StateError
from sparsewatch.testing import FakeBroker
from sparsewatch.transforms.kafka.progress import ProgressLog, _checked


def committed(broker: FakeBroker) -> list[Progress]:
    return [msgspec.json.decode(value or b"", type=Progress) for value in broker.values("j.progress")]


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
    progress, broker = log(), FakeBroker()
    out = broker.writer()
    assert not progress.done((marker(2),), out)
    assert broker.calls == []
    assert progress.done((marker(1),), out)
    assert [(p.closed_end_us, p.windows, p.totals) for p in committed(broker)] == [(30, 2, Account(counted=3, late=2))]
    assert [call.name for call in broker.calls].count("flush") == 1


def test_a_window_committed_before_is_not_committed_again() -> None:
    first, broker = log(), FakeBroker()
    out = broker.writer()
    first.done((marker(1),), out)
    second = log(committed(broker)[-1])
    assert not second.done((marker(1),), out)
    assert second.done((marker(2),), out)
    assert committed(broker)[-1].totals == Account(counted=3, late=2)


def test_a_window_of_two_readers_is_committed_with_the_markers_of_both() -> None:
    progress, broker = log(), FakeBroker()
    progress.done((marker(1), marker(1, reader=1, partition=1)), broker.writer())
    assert set(committed(broker)[-1].partitions) == {0, 1}
    assert committed(broker)[-1].sequences == {0: 1, 1: 1}


def test_other_settings_are_refused_with_the_way_out() -> None:
    with pytest.raises(StateError, match="another name"):
        _checked(msgspec.json.encode(log().progress), "j.progress", "j", "other")


def test_a_damaged_record_is_named() -> None:
    with pytest.raises(StateError, match=r"'j\.progress': the progress of job 'j' cannot be read"):
        _checked(b"{}", "j.progress", "j", "digest")
