"""Commits keep the order of markers, and the progress refuses settings it does not fit."""

import pytest

from sparsewatch.schemas.accounts import Account, Marker, ResumePoint
from sparsewatch.schemas.errors import StateError
from sparsewatch.schemas.jobs import JobIdentity, KafkaSettings, Topics
from sparsewatch.transforms.kafka.instances import no_progress
from sparsewatch.transforms.kafka.progress import _checked, _parsed, advance, is_committed, is_next

NONE = no_progress(
    JobIdentity(
        job="j",
        settings_digest="digest",
        kafka=KafkaSettings(bootstrap_servers=["broker:9092"]),
        topics=Topics(source="t", prefix="j"),
    )
)


def marker(sequence: int, reader: int = 0, partition: int = 0) -> Marker:
    return Marker(
        reader=reader,
        sequence=sequence,
        window_us=sequence * 10,
        window_end_us=sequence * 10 + 10,
        account=Account(counted=sequence, late=1),
        resume={partition: ResumePoint(offset=sequence * 100, newest_us=sequence, high=sequence * 100)},
    )


def test_a_window_is_next_when_it_follows_the_last_one_of_each_of_its_readers() -> None:
    assert is_next(NONE, (marker(1),))
    assert not is_next(NONE, (marker(2),))
    once = advance(NONE, (marker(1),))
    assert is_next(once, (marker(2), marker(1, reader=1, partition=1)))
    assert not is_next(once, (marker(2), marker(2, reader=1, partition=1)))


def test_a_window_committed_before_is_known() -> None:
    once = advance(NONE, (marker(1),))
    assert is_committed(once, (marker(1),))
    assert not is_committed(once, (marker(2),))


def test_a_window_adds_its_account_and_moves_the_partitions_of_its_readers() -> None:
    once = advance(NONE, (marker(1), marker(1, reader=1, partition=1)))
    assert set(once.partitions) == {0, 1}
    assert once.sequences == {0: 1, 1: 1}
    twice = advance(once, (marker(2),))
    assert (twice.closed_end_us, twice.windows, twice.totals) == (30, 2, Account(counted=4, late=3))
    assert (twice.partitions[0].offset, twice.partitions[1].offset) == (200, 100)


def test_other_settings_are_refused_with_the_way_out() -> None:
    with pytest.raises(StateError, match="another name"):
        _checked(NONE, "j.progress", "j", "other")


@pytest.mark.parametrize("key", [b"j", b"j/1/0"])
def test_a_damaged_record_is_named(key: bytes) -> None:
    with pytest.raises(StateError, match=r"'j\.progress': the progress of job 'j' cannot be read"):
        _parsed({key: b"{}"}, "j.progress", "j")
