"""What was replayed: the compacted topic `<topic>.rejects.replayed` or `.late.replayed`, exact even if interrupted.

A replay first records the end offsets of the watched topic, then sends records (each names its reject in a header),
records their ids, and finally removes the end offsets. If these are still there, a replay was interrupted between
sending and recording, and the records it sent are found by their headers from these offsets on. Two replays of a topic
at once would not see each other.
"""

from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass

import msgspec

from sparsewatch.pipelines.rejects.topics import REPLAYED_FROM, Origin
from sparsewatch.schemas.errors import StateError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.schemas.stored import Format
from sparsewatch.transforms.kafka.client import Writer
from sparsewatch.transforms.kafka.compacted import Compacted
from sparsewatch.transforms.kafka.fetching import until_ends
from sparsewatch.transforms.kafka.open import open_reader
from sparsewatch.transforms.records import Fetched

FORMAT = Format("the mark of a replay under way")
#: Differs from every id: an id begins with a topic's name and a slash.
_UNDER_WAY = b"under-way"
#: Size of a fetch; a broker still sends a larger record.
_FETCH_BYTES = 1 << 20


class _UnderWay(msgspec.Struct, frozen=True, omit_defaults=True):
    """A replay has begun; these were the end offsets of the watched topic's partitions."""

    ends: dict[int, int]
    #: The watched topic; empty for the source topic.
    topic: str = ""


@dataclass(frozen=True, slots=True)
class ReplayLog:
    """Ids of records set aside."""

    #: Those that are in the watched topic again.
    replayed: set[str]
    #: Those of them that the log does not hold yet.
    unrecorded: set[str]


def read_log(kafka: KafkaSettings, origin: Origin) -> ReplayLog:
    """What was replayed of the records set aside.

    Raises:
        StateError: If the log cannot be read.
        SourceError: If the broker does not answer.
    """
    with Compacted(kafka, origin.replayed_topic, _FETCH_BYTES) as log:
        entries = log.newest()
    under_way = entries.pop(_UNDER_WAY, None)
    recorded = {key.decode(errors="replace") for key in entries}
    if under_way is None:
        return ReplayLog(recorded, set())
    try:
        begun = FORMAT.parse(under_way, _UnderWay)
    except StateError as error:
        raise StateError(f"topic {origin.replayed_topic!r}, key {_UNDER_WAY!r}: {error}") from error
    sent = _sent_since(kafka, begun.topic or origin.topic, begun.ends)
    return ReplayLog(recorded | sent, sent - recorded)


def begin_replay(
    kafka: KafkaSettings, origin: Origin, to: str, partitions: Collection[int], log: ReplayLog, writer: Writer
) -> None:
    """Record what an interrupted replay had sent, and that another begins, to a topic of these partitions."""
    for id_ in sorted(log.unrecorded):
        writer.send(origin.replayed_topic, id_.encode(), b"{}")
    writer.flush()
    with closing(open_reader(kafka, to, _FETCH_BYTES)) as reader:
        reader.assign(dict.fromkeys(partitions, 0))
        ends = reader.end_offsets()
    begun = _UnderWay(ends, "" if to == origin.topic else to)
    writer.send(origin.replayed_topic, _UNDER_WAY, msgspec.json.encode(begun))
    writer.flush()


def end_replay(origin: Origin, writer: Writer) -> None:
    """Record that the replay is complete."""
    writer.send(origin.replayed_topic, _UNDER_WAY, None)
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
