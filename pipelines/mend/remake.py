"""Recreates a topic of several partitions with one; its records are in at least one topic at any time.

Kafka cannot take partitions away. So the newest record of each key goes into a topic beside it, `<topic>.mending`;
only when that is read back whole is the topic deleted and recreated; and only when that holds all again is the copy
deleted. After an interruption at any point the next call resumes: as long as the copy exists, `check` and `run` refuse
the job.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing

from sparsewatch.pipelines.job.broker_checks import MENDING, StateTopic
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import ConfigError, SinkError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.transforms.kafka.client import Admin
from sparsewatch.transforms.kafka.compacted import Compacted
from sparsewatch.transforms.kafka.open import open_writer

_COMPACT = {"cleanup.policy": "compact"}
_MAX_RECORD_BYTES = 4 << 20
#: How long the broker may take to create or delete a topic.
_TOPIC_S = 30.0
_POLL_S = 0.1


def mend_topic(kafka: KafkaSettings, admin: Admin, topic: StateTopic) -> Iterator[str]:
    """Repair a topic, so that it keeps state; a sound topic stays as it is.

    Args:
        kafka: The broker.
        admin: Of that broker.
        topic: As the broker has it.

    Yields:
        What was done, once it is.

    Raises:
        ConfigError: If something is written to it meanwhile.
        SinkError: If the broker refuses, or the copy cannot be read back.
        SourceError: If the broker does not answer.
    """
    if topic.partitions > 1:
        keys = set_aside(kafka, admin, topic.name)
        copied = f"the records of its {counted(keys, 'key')} were copied to {topic.name}{MENDING}"
        yield f"{topic.name}: had {topic.partitions} partitions; {copied}"
    remade = topic.partitions > 1 or topic.under_mend
    if remade:
        keys = bring_back(kafka, admin, topic.name)
        yield f"{topic.name}: recreated with 1 partition and {counted(keys, 'key')}"
    for wrong in topic.wrong_settings():
        # A recreated topic is compacted already.
        if not (remade and wrong.name in _COMPACT):
            admin.change_settings(topic.name, {wrong.name: wrong.wanted})
            yield f"{topic.name}: {wrong.name}={wrong.wanted}, was {wrong.found}"


def set_aside(kafka: KafkaSettings, admin: Admin, topic: str) -> int:
    """Copy a topic of several partitions beside it, then delete it.

    Args:
        kafka: The broker.
        admin: Of that broker.
        topic: Its name.

    Returns:
        How many keys it held.

    Raises:
        ConfigError: If something is written to it meanwhile.
        SinkError: If the broker refuses, or the copy cannot be read back.
        SourceError: If the broker does not answer.
    """
    _create(admin, topic, topic + MENDING)
    with Compacted(kafka, topic, _MAX_RECORD_BYTES) as original:
        # What an earlier call had copied stays: a client may have created the topic again since.
        records = dict(original.changes())
        _write(kafka, topic + MENDING, records)
        if dict(original.changes()):
            raise ConfigError(f"topic {topic!r} is written to: stop the job and mend it again")
    admin.delete_topic(topic)
    _wait(lambda: not admin.partitions(topic), f"topic {topic!r} was deleted, but the broker still has it")
    return sum(value is not None for value in records.values())


def bring_back(kafka: KafkaSettings, admin: Admin, topic: str) -> int:
    """Recreate a topic that was set aside, with its records, and delete the copy.

    Args:
        kafka: The broker.
        admin: Of that broker.
        topic: Its name.

    Returns:
        How many keys it holds.

    Raises:
        SinkError: If the broker refuses, or what was written cannot be read back.
        SourceError: If the broker does not answer.
    """
    _create(admin, topic + MENDING, topic)
    with Compacted(kafka, topic + MENDING, _MAX_RECORD_BYTES) as copy:
        copied = copy.newest()
    with Compacted(kafka, topic, _MAX_RECORD_BYTES) as remade:
        there = remade.newest()
    _write(kafka, topic, {key: value for key, value in copied.items() if key not in there})
    admin.delete_topic(topic + MENDING)
    return len(copied | there)


def _create(admin: Admin, model: str, topic: str) -> None:
    admin.create_like(model, topic, _COMPACT)
    _wait(lambda: bool(admin.partitions(topic)), f"topic {topic!r} was created, but the broker does not have it")
    if (partitions := len(admin.partitions(topic))) != 1:
        raise ConfigError(
            f"topic {topic!r} was created by another client meanwhile, with {partitions} partitions: stop the job and "
            "mend it again"
        )


def _write(kafka: KafkaSettings, topic: str, records: Mapping[bytes, bytes | None]) -> None:
    with closing(open_writer(kafka)) as writer:
        for key, value in records.items():
            writer.send(topic, key, value)
        writer.flush()
    with Compacted(kafka, topic, _MAX_RECORD_BYTES) as written:
        newest = written.newest()
    if lost := sum(newest.get(key) != value for key, value in records.items()):
        raise SinkError(
            f"topic {topic!r}: {lost:,} of {counted(len(records), 'record')} cannot be read back as they were written"
        )


def _wait(is_done: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + _TOPIC_S
    while not is_done():
        if time.monotonic() > deadline:
            raise SinkError(f"{otherwise} after {_TOPIC_S:g} s")
        time.sleep(_POLL_S)
