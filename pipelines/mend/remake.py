"""Makes a topic of several partitions anew with one, and what it holds is never in fewer than one place.

Kafka cannot take partitions away. So the newest record of each key goes into a topic beside it, `<topic>.mending`;
only when that is read back whole is the topic deleted and made anew; and only when that holds all again does the other
go. Cut off at any point, the next call goes on: as long as the topic beside it exists, `check` and `run` refuse the
job.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing

from sparsewatch.pipelines.job.broker_checks import MENDING, StateTopic
from sparsewatch.schemas.errors import ConfigError, SinkError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.transforms.kafka.client import Admin
from sparsewatch.transforms.kafka.compacted import Compacted
from sparsewatch.transforms.kafka.open import open_writer

_COMPACT = {"cleanup.policy": "compact"}
_MAX_RECORD_BYTES = 4 << 20
#: How long the broker may take to make or delete a topic.
_TOPIC_S = 30.0
_POLL_S = 0.1


def mend_topic(kafka: KafkaSettings, admin: Admin, topic: StateTopic) -> Iterator[str]:
    """Make a topic fit to keep state; one that is stays as it is.

    Args:
        kafka: The broker.
        admin: Of that broker.
        topic: As the broker has it.

    Yields:
        What was done, once it is.

    Raises:
        ConfigError: If something is written to it meanwhile.
        SinkError: If the broker refuses, or what was copied does not come back.
        SourceError: If the broker does not answer.
    """
    if topic.partitions > 1:
        keys = set_aside(kafka, admin, topic.name)
        yield f"{topic.name}: had {topic.partitions} partitions; what its {keys} keys hold was set aside"
    remade = topic.partitions > 1 or topic.under_mend
    if remade:
        keys = bring_back(kafka, admin, topic.name)
        yield f"{topic.name}: made anew with 1 partition and {keys} keys"
    for wrong in topic.wrong_settings():
        # A topic made anew is compacted already.
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
        SinkError: If the broker refuses, or what was copied does not come back.
        SourceError: If the broker does not answer.
    """
    _create(admin, topic, topic + MENDING)
    with Compacted(kafka, topic, _MAX_RECORD_BYTES) as original:
        # What an earlier call had copied stays: the topic may be one that a client made again since.
        records = dict(original.changes())
        _write(kafka, topic + MENDING, records)
        if dict(original.changes()):
            raise ConfigError(f"topic {topic!r} is written to: stop the job and mend it again")
    admin.delete_topic(topic)
    _wait(lambda: not admin.partitions(topic), f"topic {topic!r} was deleted, but the broker has it still")
    return sum(value is not None for value in records.values())


def bring_back(kafka: KafkaSettings, admin: Admin, topic: str) -> int:
    """Make a topic that was set aside anew, with what it held, and delete the copy.

    Args:
        kafka: The broker.
        admin: Of that broker.
        topic: Its name.

    Returns:
        How many keys it holds.

    Raises:
        SinkError: If the broker refuses, or what was written does not come back.
        SourceError: If the broker does not answer.
    """
    _create(admin, topic + MENDING, topic)
    with Compacted(kafka, topic + MENDING, _MAX_RECORD_BYTES) as copy:
        kept = copy.newest()
    with Compacted(kafka, topic, _MAX_RECORD_BYTES) as remade:
        there = remade.newest()
    _write(kafka, topic, {key: value for key, value in kept.items() if key not in there})
    admin.delete_topic(topic + MENDING)
    return len(kept | there)


def _create(admin: Admin, model: str, topic: str) -> None:
    admin.create_like(model, topic, _COMPACT)
    _wait(lambda: bool(admin.partitions(topic)), f"topic {topic!r} was made, but the broker does not have it")
    if (partitions := len(admin.partitions(topic))) != 1:
        raise ConfigError(
            f"topic {topic!r} was made by another client meanwhile, with {partitions} partitions: stop the job and "
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
        raise SinkError(f"topic {topic!r}: {lost} of {len(records)} records do not come back as they were written")


def _wait(is_done: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + _TOPIC_S
    while not is_done():
        if time.monotonic() > deadline:
            raise SinkError(f"{otherwise}: after {_TOPIC_S:g} s")
        time.sleep(_POLL_S)
