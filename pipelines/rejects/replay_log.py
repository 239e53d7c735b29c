"""Which rejects were replayed: the compacted topic `<topic>.rejects.replayed`, exact also where a replay was cut off.

A replay first writes down where the watched topic ends, then sends records (each names its reject in a header), notes
their ids, and at last removes what it wrote first. Where that still stands, a replay was cut off between sending and
noting, and what it sent is found by its headers from there on. Two replays of a topic at once would not see each other.
"""

from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass

import msgspec

from sparsewatch.pipelines.rejects.topics import REPLAYED_FROM, replayed_topic
from sparsewatch.schemas.errors import StateError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.schemas.stored import Format
from sparsewatch.transforms.kafka.client import Writer
from sparsewatch.transforms.kafka.compacted import Compacted
from sparsewatch.transforms.kafka.fetching import until_ends
from sparsewatch.transforms.kafka.open import open_reader
from sparsewatch.transforms.records import Fetched

FORMAT = Format("the mark of a replay under way")
#: No id is like it: an id begins with a topic's name and a slash.
_UNDER_WAY = b"under-way"
#: Fetches stay below it; a broker sends a larger record all the same.
_FETCH_BYTES = 1 << 20


class _UnderWay(msgspec.Struct, frozen=True):
    """A replay was begun when the partitions of the watched topic ended so."""

    ends: dict[int, int]


@dataclass(frozen=True, slots=True)
class ReplayLog:
    """Ids of rejects."""

    #: Those that stand in the watched topic again.
    replayed: set[str]
    #: Those among them that the log does not hold yet.
    unnoted: set[str]


def read_log(kafka: KafkaSettings, topic: str) -> ReplayLog:
    """What was replayed of the rejects of `topic`.

    Raises:
        StateError: If the log cannot be read.
        SourceError: If the broker does not answer.
    """
    with Compacted(kafka, replayed_topic(topic), _FETCH_BYTES) as log:
        notes = log.newest()
    under_way = notes.pop(_UNDER_WAY, None)
    noted = {key.decode(errors="replace") for key in notes}
    if under_way is None:
        return ReplayLog(noted, set())
    try:
        ends = FORMAT.parse(under_way, _UnderWay).ends
    except StateError as error:
        raise StateError(f"topic {replayed_topic(topic)!r}, key {_UNDER_WAY!r}: {error}") from error
    sent = _sent_since(kafka, topic, ends)
    return ReplayLog(noted | sent, sent - noted)


def begin_replay(kafka: KafkaSettings, topic: str, partitions: Collection[int], log: ReplayLog, writer: Writer) -> None:
    """Note what a replay that was cut off had sent, and that another begins."""
    for id_ in sorted(log.unnoted):
        writer.send(replayed_topic(topic), id_.encode(), b"{}")
    writer.flush()
    with closing(open_reader(kafka, topic, _FETCH_BYTES)) as reader:
        reader.assign(dict.fromkeys(partitions, 0))
        ends = reader.end_offsets()
    writer.send(replayed_topic(topic), _UNDER_WAY, msgspec.json.encode(_UnderWay(ends)))
    writer.flush()


def end_replay(topic: str, writer: Writer) -> None:
    """All that was sent is noted."""
    writer.send(replayed_topic(topic), _UNDER_WAY, None)
    writer.flush()


def _sent_since(kafka: KafkaSettings, topic: str, ends: dict[int, int]) -> set[str]:
    return {
        content.decode(errors="replace")
        for fetched in _read(kafka, topic, ends)
        for headers in fetched.headers
        for name, content in headers
        if name == REPLAYED_FROM
    }


def _read(kafka: KafkaSettings, topic: str, positions: dict[int, int]) -> Iterator[Fetched]:
    with closing(open_reader(kafka, topic, _FETCH_BYTES)) as reader:
        reader.assign(positions)
        yield from until_ends(reader, topic, positions, reader.end_offsets())
