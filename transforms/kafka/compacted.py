"""The newest record of each key of a compacted topic: what a job resumes from, and what others read back.

Any number of partitions is read. Of a key that lies in several of them (someone added partitions, or writers placed it
in different ways) the record with the latest Kafka timestamp counts, that of the higher partition where they are equal;
a record counts as at least as new as all before it in its partition, so within a partition the offset decides. A
record without a value removes its key.
"""

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from sparsewatch.schemas.errors import SourceError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.transforms.kafka.client import Reader
from sparsewatch.transforms.kafka.fetching import until_ends
from sparsewatch.transforms.kafka.open import open_quick_reader
from sparsewatch.transforms.records import Fetched

_MOST_RECORDS = 10_000


class TopicRecreatedError(SourceError):
    """The topic was recreated since it was read: it must be read from the beginning."""


class Compacted:
    """Reads a compacted topic once or repeatedly; connects at the first call; a context manager. It can be pickled.

    Args:
        kafka: The broker.
        topic: The topic; it need not exist yet.
        max_bytes: Largest record to expect.
        prefix: Prefix of the keys to read.
    """

    def __init__(self, kafka: KafkaSettings, topic: str, max_bytes: int, prefix: bytes = b"") -> None:
        self._kafka = kafka
        self._topic = topic
        self._max_bytes = max_bytes
        self._prefix = prefix
        self._reader: Reader | None = None
        #: Next offset to read, by partition.
        self._next: dict[int, int] = {}
        #: Latest timestamp that each partition has shown, milliseconds.
        self._clocks: dict[int, int] = {}
        #: Timestamp and partition of each key's newest record, where there is more than one partition.
        self._stamps: dict[bytes, tuple[int, int]] = {}
        #: What `now` has read, keys that were removed among it.
        self._values: dict[bytes, bytes | None] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._kafka, self._topic, self._max_bytes, self._prefix)

    def newest(self) -> dict[bytes, bytes]:
        """Values of all keys as they stand now; the topic is read from its beginning.

        Raises:
            SourceError: If the broker does not answer, or does not give all it says it has.
        """
        if any(self._next.values()):
            self.close()
        newest = dict(self.changes())
        return {key: value for key, value in newest.items() if value is not None}

    def now(self) -> dict[bytes, bytes]:
        """As `newest`; calls after the first read on from the last one. Not to be mixed with `changes`.

        Raises:
            SourceError: As `newest`.
        """
        try:
            self._values.update(self.changes())
        except TopicRecreatedError:
            self.close()
            self._values.update(self.changes())
        return {key: value for key, value in self._values.items() if value is not None}

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Records since the last call, up to the ends that the broker states now; all records at the first call.

        Yields:
            Keys and values in the order in which they count; None removes a key.

        Raises:
            TopicRecreatedError: If the topic ends before what was read.
            SourceError: If the broker does not answer, or does not give all it says it has.
        """
        if (reader := self._opened()) is None:
            return
        # Twice, since some clients know the end only of what they have fetched (see docs/brokers.md).
        for _ in range(2):
            for fetched in until_ends(reader, self._topic, self._next, self.check_ends()):
                yield from self._taken(fetched)

    def arrivals(self, timeout_s: float) -> Iterator[tuple[bytes, bytes | None]]:
        """Records that arrive within some seconds after the last call; a broker that is away looks like silence.

        Raises:
            TopicRecreatedError: If the topic was recreated.
        """
        if (reader := self._opened()) is not None:
            for fetched in reader.fetch(timeout_s, _MOST_RECORDS):
                yield from self._taken(fetched)

    def pass_over(self) -> None:
        """Skip all records that there are now."""
        if (reader := self._opened()) is not None:
            self._next = reader.end_offsets()
            reader.assign(self._next)

    def check_ends(self) -> dict[int, int]:
        """Where the partitions end, asked of the broker now.

        Raises:
            TopicRecreatedError: If a partition ends before what was read.
            SourceError: If the broker does not answer.
        """
        reader = self._opened()
        ends = {} if reader is None else reader.end_offsets()
        if any(ends.get(partition, 0) < offset for partition, offset in self._next.items()):
            raise TopicRecreatedError(f"topic {self._topic!r} was recreated")
        return ends

    @property
    def name(self) -> str:
        """Name of the topic."""
        return self._topic

    @property
    def is_there(self) -> bool:
        """Whether the broker has such a topic."""
        return self._opened() is not None

    def close(self) -> None:
        """Close the connection; the next call reads from the beginning."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self._next, self._clocks, self._stamps, self._values = {}, {}, {}, {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _opened(self) -> Reader | None:
        if self._reader is None:
            reader = open_quick_reader(self._kafka, self._topic, self._max_bytes)
            try:
                partitions = reader.partitions()
                if not partitions:
                    return None
                self._next = dict.fromkeys(partitions, 0)
                reader.assign(self._next)
                self._reader = reader
            finally:
                if self._reader is None:
                    reader.close()
        return self._reader

    def _taken(self, fetched: Fetched) -> Iterator[tuple[bytes, bytes | None]]:
        partition = fetched.partition
        if len(fetched) and fetched.offsets[0] < self._next[partition]:
            raise TopicRecreatedError(f"topic {self._topic!r} was recreated")
        self._next[partition] = max(self._next[partition], fetched.next_offset)
        clock = self._clocks.get(partition, 0)
        for i, (timestamp_ms, value) in enumerate(zip(fetched.timestamps_ms.tolist(), fetched.values, strict=True)):
            clock = max(clock, timestamp_ms)
            key = fetched.keys(i) or b""
            if key.startswith(self._prefix) and self._is_newest(key, (clock, partition)):
                yield key, value
        self._clocks[partition] = clock

    def _is_newest(self, key: bytes, stamp: tuple[int, int]) -> bool:
        if len(self._next) == 1:
            return True
        if stamp < self._stamps.get(key, stamp):
            return False
        self._stamps[key] = stamp
        return True
