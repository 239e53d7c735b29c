"""Topics of records set aside: rejects or late records, the ids already replayed, originals in the source topic."""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from sparsewatch.schemas.errors import ConfigError, SchemaError
from sparsewatch.schemas.jobs import KafkaSettings, late_topic, rejects_topic
from sparsewatch.schemas.side_records import SideKind, SideRecord
from sparsewatch.transforms.kafka.client import Reader
from sparsewatch.transforms.kafka.fetching import until_ends
from sparsewatch.transforms.kafka.open import open_reader, partitions_of
from sparsewatch.transforms.kafka.side_topics import PREFIX, is_left_out, read_back
from sparsewatch.transforms.records import Fetched

_logger = logging.getLogger(__name__)

#: Largest record that our writers make.
_MAX_RECORD_BYTES = 64 << 20
_FETCH_S = 0.5
#: Empty fetches in a row after which an expected record counts as gone.
_PATIENCE = 20
#: Header of a replayed record: id of its reject.
REPLAYED_FROM = PREFIX + "replayed-from"


@dataclass(frozen=True, slots=True)
class Origin:
    """What was set aside of a source topic: its rejects, or its late records."""

    topic: str
    kind: SideKind = "reject"

    @property
    def side_topic(self) -> str:
        """Where they lie."""
        return rejects_topic(self.topic) if self.kind == "reject" else late_topic(self.topic)

    @property
    def replayed_topic(self) -> str:
        """The topic of the ids of those that were replayed: compacted, the key is the id."""
        return f"{self.side_topic}.replayed"

    @property
    def noun(self) -> str:
        """What one of them is called."""
        return "reject" if self.kind == "reject" else "late record"


@dataclass(frozen=True, slots=True)
class SetAside:
    """A reject or late record, and its place."""

    record: SideRecord
    #: Partition and offset in the side topic.
    place: tuple[int, int]
    #: Whether the value was too large for the side topic.
    left_out: bool

    @property
    def id(self) -> str:
        """Id of the side record."""
        return self.record.id


class SetAsideTopic:
    """Reads `<topic>.rejects` or `<topic>.late`; a context manager.

    Raises:
        ConfigError: If there is no such topic.
        SourceError: If no broker answers.
    """

    def __init__(self, kafka: KafkaSettings, origin: Origin) -> None:
        self.origin = origin
        self._partitions = partitions_of(kafka, origin.side_topic)
        if not self._partitions:
            raise ConfigError(
                f"the broker has no topic {origin.side_topic!r}: expected the name of a job's source topic that "
                f"was read at least once, got {origin.topic!r}"
            )
        self._reader = open_reader(kafka, origin.side_topic, _MAX_RECORD_BYTES)

    def read(self) -> Iterator[SetAside]:
        """Every record once; a duplicate that a job wrote after a crash has the same id and is skipped."""
        yield from _once(self._all())

    def newest(self, records: int) -> list[SetAside]:
        """As many of the newest of each partition at most, each once, in the order of their partitions."""
        self._reader.assign(dict.fromkeys(self._partitions, 0))
        begins, ends = self._reader.begin_offsets(), self._reader.end_offsets()
        return list(_once(self._all({p: max(begins[p], ends[p] - records) for p in self._partitions})))

    def read_again(self, places: Collection[tuple[int, int]]) -> Iterator[SetAside]:
        """Records at these places, found by an earlier reading; later ones are not read."""
        missing = set(places)
        for reject in self._all() if missing else iter(()):
            if reject.place in missing:
                missing.remove(reject.place)
                yield reject
            if not missing:
                return

    def _all(self, begin: Mapping[int, int] | None = None) -> Iterator[SetAside]:
        positions = dict(begin or dict.fromkeys(self._partitions, 0))
        self._reader.assign(positions)
        for fetched in until_ends(self._reader, self.origin.side_topic, positions, self._reader.end_offsets()):
            for i, offset in enumerate(fetched.offsets.tolist()):
                try:
                    record = read_back(fetched, i)
                except SchemaError as error:
                    _logger.warning("topic %r: %s", self.origin.side_topic, error)
                else:
                    yield SetAside(record, (fetched.partition, offset), is_left_out(fetched, i))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._reader.close()


def _once(found: Iterable[SetAside]) -> Iterator[SetAside]:
    seen: set[str] = set()
    for reject in found:
        if reject.id not in seen:
            seen.add(reject.id)
            yield reject


class Originals:
    """Looks up single records of the source topic; a context manager. Connects when first asked."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._reader: Reader | None = None

    def value(self, record: SideRecord) -> bytes | None:
        """Value that the source topic holds of the record that was set aside as `record`.

        Raises:
            SchemaError: If the broker no longer has it.
            SourceError: If the broker does not answer.
        """
        if self._reader is None:
            self._reader = open_reader(self._kafka, self._topic, _MAX_RECORD_BYTES)
        partition, offset = record.partition, record.offset
        self._reader.assign({partition: offset})
        # In a topic made anew another record may have the offset.
        is_same = record.topic_id in ("", self._reader.look().topic_id)
        if is_same and self._reader.begin_offsets()[partition] <= offset < self._reader.end_offsets()[partition]:
            fetched = _first(self._reader)
            if fetched is not None and len(fetched) and fetched.offsets[0] == offset:
                return fetched.values[0]
        raise SchemaError(f"its value was too large for the rejects topic and is gone from topic {self._topic!r}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._reader is not None:
            self._reader.close()


def _first(reader: Reader) -> Fetched | None:
    for _ in range(_PATIENCE):
        if got := reader.fetch(_FETCH_S, 1):
            return got[0]
    return None
