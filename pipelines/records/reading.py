"""Records that a job wrote: the newest of each key once, oldest first, and those that follow."""

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Any

import msgspec

from sparsewatch.schemas.errors import NOT_JSON, ConfigError
from sparsewatch.transforms.kafka.compacted import Compacted

#: A record as JSON types.
Record = dict[str, Any]
#: Largest record that our writers make.
MAX_BYTES = 64 << 20
_POLL_S = 0.5
#: Keys whose values are known again while reading on, so that a record written again after a crash is shown once.
_REMEMBERED = 10_000


class Recent:
    """The newest record of each of the last keys.

    Args:
        limit: Keys at most; None for all.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._values: dict[bytes, bytes] = {}

    def put(self, key: bytes, value: bytes | None) -> bool:
        """Take a record; whether it says anything new."""
        if value is None or self._values.get(key) == value:
            return False
        # A record that is written again keeps its place: windows stay in their order.
        self._values[key] = value
        if self._limit is not None and len(self._values) > self._limit:
            del self._values[next(iter(self._values))]
        return True

    def values(self) -> Iterable[bytes]:
        """Values, oldest first."""
        return self._values.values()


def newest_records(topic: Compacted, limit: int | None, wanted: Callable[[Record], bool]) -> Iterator[Record]:
    """The newest record of each key, oldest first.

    Args:
        topic: Read up to its end.
        limit: Records at most, the newest; None for all, each as it is read: where a window was written again with
            other content, both are given.
        wanted: Which records count.

    Raises:
        ConfigError: If there is no such topic, or a record in it is no JSON object.
        SourceError: If the broker does not answer.
    """
    _check_there(topic)
    if limit is None:
        return _new(topic, topic.changes(), Recent(_REMEMBERED), wanted)
    recent = Recent(limit)
    for key, value in topic.changes():
        if value is not None and wanted(read_record(value, topic.name)):
            recent.put(key, value)
    return (read_record(value, topic.name) for value in recent.values())


def standing_records(topic: Compacted, limit: int | None, wanted: Callable[[Record], bool]) -> list[Record]:
    """Records that state how something stands: the newest of each key, and of those the ones that count.

    Args:
        topic: Read up to its end.
        limit: Records at most, those that changed last; None for all.
        wanted: Which records count.

    Raises:
        ConfigError: As `newest_records`.
        SourceError: As `newest_records`.
    """
    _check_there(topic)
    found = [record for record in standing(topic.changes(), topic.name) if wanted(record)]
    return found if limit is None else found[-limit:]


def standing(changes: Iterable[tuple[bytes, bytes | None]], topic: str) -> list[Record]:
    """The newest record of each key, last changed last.

    Args:
        changes: Keys and values in the order in which they count.
        topic: Name of their topic, for messages.

    Raises:
        ConfigError: As `read_record`.
    """
    newest: dict[bytes, bytes] = {}
    for key, value in changes:
        newest.pop(key, None)
        if value is not None:
            newest[key] = value
    return [read_record(value, topic) for value in newest.values()]


def _check_there(topic: Compacted) -> None:
    if not topic.is_there:
        raise ConfigError(f"the broker has no topic {topic.name!r}: has the job run yet?")


def following_records(topic: Compacted, wanted: Callable[[Record], bool]) -> Iterator[Record]:
    """Records as they are written, without end; one that is written again unchanged is passed over."""
    recent = Recent(_REMEMBERED)
    while True:
        yield from _new(topic, topic.arrivals(_POLL_S), recent, wanted)


def _new(
    topic: Compacted, read: Iterable[tuple[bytes, bytes | None]], recent: Recent, wanted: Callable[[Record], bool]
) -> Iterator[Record]:
    for key, value in read:
        # Records of windows are long: to know one again its digest is enough.
        told = None if value is None else blake2b(value, digest_size=16).digest()
        if recent.put(key, told) and value is not None and wanted(record := read_record(value, topic.name)):
            yield record


def read_record(value: bytes, topic: str) -> Record:
    """The record of a value.

    Raises:
        ConfigError: If it is no JSON object: something else writes to the topic.
    """
    try:
        return msgspec.json.decode(value, type=Record)
    except NOT_JSON as error:
        raise ConfigError(f"topic {topic!r}: expected records of a job, JSON objects, got {value[:40]!r}") from error
