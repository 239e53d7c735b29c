"""A topic in memory: partitions of records with offsets, compaction, retention."""

import bisect
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from sparsewatch.transforms.kafka.client import NewTopic
from sparsewatch.transforms.records import Fetched, Headers


@dataclass(frozen=True, slots=True)
class FakeRecord:
    """A record as a topic of a `FakeBroker` holds it."""

    topic: str
    key: bytes | None
    #: None is a tombstone.
    value: bytes | None
    headers: Headers = ()
    #: None until the record is appended to its topic, unless the writer chose it.
    partition: int | None = None
    #: None until the record is appended to its topic.
    offset: int | None = None
    #: Milliseconds since the epoch.
    timestamp_ms: int = 0

    @property
    def size(self) -> int:
        """Bytes of key and value."""
        return len(self.key or b"") + len(self.value or b"")


@dataclass
class FakePartition:
    """Records in order of their offsets, from `begin` up to, not including, `end`; compaction leaves gaps."""

    records: list[FakeRecord] = field(default_factory=list)
    begin: int = 0
    end: int = 0

    def append(self, record: FakeRecord) -> None:
        """Store a record at the end."""
        self.records.append(replace(record, offset=self.end))
        self.end += 1

    def read(self, position: int, most: int) -> list[FakeRecord]:
        """Up to `most` records from an offset on."""
        first = bisect.bisect_left(self.records, position, key=offset_of)
        return self.records[first : first + most]

    def next_after(self, records: list[FakeRecord], position: int) -> int:
        """Next offset to read after `records`, read from `position` on: after offsets at the end that hold none."""
        last = offset_of(records[-1]) + 1 if records else max(position, self.begin)
        return last if self.read(last, 1) else max(last, self.end)

    def compact(self, keep_tombstones: bool) -> None:
        """Leave the newest record of each key, and those without a key."""
        newest = {r.key: r.offset for r in self.records}
        self.records = [
            r
            for r in self.records
            if r.key is None or (newest[r.key] == r.offset and (keep_tombstones or r.value is not None))
        ]

    def trim(self, begin: int) -> None:
        """Delete the records before an offset."""
        self.begin = min(begin, self.end)
        self.records = [r for r in self.records if offset_of(r) >= self.begin]

    def cut(self, end: int) -> None:
        """Lose the records from an offset on; those written next have their offsets."""
        self.end = max(self.begin, min(end, self.end))
        self.records = [r for r in self.records if offset_of(r) < self.end]

    def offset_at(self, timestamp_ms: int) -> int:
        """First offset at or after a time; the end if there is none."""
        return next((offset_of(r) for r in self.records if r.timestamp_ms >= timestamp_ms), self.end)


class FakeTopic:
    """A topic as it was created, its settings and its partitions."""

    def __init__(self, created: NewTopic) -> None:
        self.created = created
        #: Another one whenever a topic is made.
        self.id = str(uuid.uuid4())
        #: The defaults of Apache Kafka.
        self.settings = {
            "cleanup.policy": "compact" if created.compact else "delete",
            "retention.ms": "604800000",
            "retention.bytes": "-1",
        }
        self.partitions = [FakePartition() for _ in range(created.partitions)]
        self._turn = 0

    def append(self, record: FakeRecord) -> None:
        """Store a record: in the partition it names, else in that of its key, else in the next."""
        partition = self._choose(record.key) if record.partition is None else record.partition
        self.partitions[partition].append(replace(record, partition=partition))

    def add_partitions(self, partitions: int) -> None:
        """Add empty partitions until there are so many."""
        self.partitions += [FakePartition() for _ in range(partitions - len(self.partitions))]

    def _choose(self, key: bytes | None) -> int:
        if key is not None:
            return zlib.crc32(key) % len(self.partitions)
        self._turn += 1
        return (self._turn - 1) % len(self.partitions)


def offset_of(record: FakeRecord) -> int:
    """Offset of an appended record."""
    assert record.offset is not None
    return record.offset


def as_fetched(partition: int, records: list[FakeRecord], next_offset: int) -> Fetched:
    """Records of one partition as a reader gives them."""
    return Fetched(
        partition=partition,
        offsets=[offset_of(r) for r in records],
        timestamps_ms=[r.timestamp_ms for r in records],
        values=[r.value for r in records],
        headers=[r.headers for r in records],
        keys=_keys_of(records),
        next_offset=next_offset,
    )


def _keys_of(records: list[FakeRecord]) -> Callable[[int], bytes | None]:
    return lambda i: records[i].key
