"""The element of every stream: a columnar block of events with the span it was read from.

A block holds some thousands of events of one window as one Arrow record batch. Besides the job's own
columns it carries four of ours (`META`): partition, offset and row say which record an event came from
(`row` counts inside a record that holds many events), `event_time_us` is its event time.
"""

from dataclasses import dataclass

import pyarrow as pa

from sparsewatch.schemas.mistyped import NONE_MISTYPED, MistypedCells

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


@dataclass(frozen=True, slots=True)
class Span:
    """A run of offsets of one partition: `first_offset` up to, not including, `end_offset`."""

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

    @property
    def num_rows(self) -> int:
        """Events in the block."""
        return int(self.rows.num_rows)
