"""The element of every stream: a columnar block of events with the span it was read from.

A block holds some thousands of events of one window as one Arrow record batch. Besides the job's own
columns it carries four of ours (`META`): partition, offset and row say which record an event came from
(`row` counts inside a record that holds many events), `event_time_us` is its event time.
"""

from dataclasses import dataclass

import pyarrow as pa

from sparsewatch.schemas.mistyped import NONE_MISTYPED, MistypedCells
from sparsewatch.schemas.other_fields import NO_OTHERS, OtherFields

PARTITION = "_partition"
OFFSET = "_offset"
ROW = "_row"
EVENT_TIME_US = "_event_time_us"

#: Columns every block carries, in this order, after the job's own.
META = (
    pa.field(PARTITION, pa.int32(), nullable=False),
    pa.field(OFFSET, pa.int64(), nullable=False),
    pa.field(ROW, pa.int32(), nullable=False),
    pa.field(EVENT_TIME_US, pa.int64(), nullable=False),
)


#: No topic has it in its name.
_ERA_MARK = "@"
#: Column of a row's source, where it is not the name of the topic alone; see `source_name`.
SOURCE = "_source"


def source_name(topic: str, era: str) -> str:
    """What ids of records begin with: the topic, and its era once it was made anew or cut short.

    The same offset then means another record, which must not have the id of the one before.

    >>> source_name("clicks", ""), source_name("clicks", "LrUU9CXG")
    ('clicks', 'clicks@LrUU9CXG')
    """
    return f"{topic}{_ERA_MARK}{era}" if era else topic


@dataclass(frozen=True, slots=True)
class Span:
    """A run of offsets of one partition: `first_offset` up to, not including, `end_offset`."""

    #: As of `source_name`.
    topic: str
    partition: int
    first_offset: int
    end_offset: int


@dataclass(frozen=True, slots=True)
class Block:
    """Events of one window, columnar."""

    #: Where the events came from; a block may join several partitions.
    spans: tuple[Span, ...]
    #: The job's columns, then `META`.
    rows: pa.RecordBatch
    #: Of its null cells those that hold a value of another type than their column.
    mistyped: MistypedCells = NONE_MISTYPED
    #: Fields of the events that are no columns.
    others: OtherFields = NO_OTHERS

    @property
    def sources(self) -> dict[int, str]:
        """What ids of records begin with, by partition."""
        return {span.partition: span.topic for span in self.spans}

    def source_of_rows(self) -> pa.Array | None:
        """What the id of each row begins with; None where that is the name of the topic for all of them."""
        sources = self.sources
        if not any(_ERA_MARK in source for source in sources.values()):
            return None
        return pa.array([sources[partition] for partition in self.rows.column(PARTITION).to_pylist()])

    @property
    def num_rows(self) -> int:
        """Events in the block."""
        return int(self.rows.num_rows)
