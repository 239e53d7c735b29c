"""Accounts: what a reader remembers, what a marker states, what is committed; and the parts that meet in a window.

Stored are msgspec structs, as MessagePack (restriction, acknowledgements, markers) or JSON (progress topic).

**Resume.** A partition resumes at `offset`, the first offset that a still open window needs, with `newest_us`, the
newest event time *before* that offset, so lateness is decided again exactly as it was. Records below `high` were read
before: late records, rejects and rows of closed windows among them are accounted already and are skipped.

**Parts.** Measures, acknowledgements of what was written, markers and fields that no column has meet when a window
closes. All travel as `(job, bytes)`; the first byte is the kind of part, so one grouping brings them together.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import msgspec

from sparsewatch.schemas.errors import StateError
from sparsewatch.schemas.incidents import Incidents
from sparsewatch.schemas.other_fields import NO_OTHERS, OtherFields
from sparsewatch.schemas.packed import packed, unpacked
from sparsewatch.schemas.set_aside import Ack as Ack
from sparsewatch.schemas.slow_changes import Watched
from sparsewatch.schemas.stored import Format
from sparsewatch.schemas.stream_history import StreamHistory

READER_STATE = Format("a ReaderState")
MARKER = Format("a Marker")
PROGRESS = Format("the progress of a job")
ACK = Format("an acknowledgement")
#: Newest event time of a partition that has none yet.
NEVER_US = -(2**62)
#: Start of the window in which records travel that are set aside before a job's first window is known.
PREFACE_US = 0
_MEASURE, _ACK, _MARKER, _OTHERS = b"M", b"A", b"K", b"O"
#: A job's name and a measure, acknowledgement, marker or other fields of it as bytes.
Part = tuple[str, bytes]


class OpenWindow(msgspec.Struct, frozen=True, array_like=True):
    """Rows of one partition in a window that has not closed."""

    window_us: int
    first_offset: int
    #: Newest event time of the partition just before `first_offset`.
    newest_before_us: int
    rows: int
    #: Rows that cannot be read again: their topic was deleted since.
    gone: int = 0
    #: As `recent_us` of `PartitionState`, just before `first_offset`.
    recent_before_us: tuple[int, ...] = ()


class LastRecord(msgspec.Struct, frozen=True, array_like=True):
    """The last record that was read of a partition: another one at its offset means that the partition is another."""

    offset: int
    timestamp_ms: int
    #: CRC-32 of its value.
    checksum: int


class Notice(msgspec.Struct, frozen=True, array_like=True):
    """What happened to a partition of the source, other than that records came."""

    rule: Literal["source_recreated", "source_truncated", "records_lost"]
    partition: int
    #: Next offset to read, had it not happened.
    expected: int
    #: Next offset to read.
    resumed: int
    #: Offsets that are gone: so many records at most.
    lost: int = 0


class PartitionState(msgspec.Struct, frozen=True, array_like=True):
    """What a reader knows of one partition."""

    partition: int
    #: Next offset to read.
    position: int
    newest_us: int
    #: Offsets below were read by an earlier run (see module text).
    high: int
    open_windows: tuple[OpenWindow, ...] = ()
    #: Newest event time less the Kafka timestamp of its own record; `NEVER_US` before the first row.
    lead_us: int = NEVER_US
    #: Kafka timestamp of the newest reject, and the newest of them that the reject after it confirmed.
    stamp_us: int = NEVER_US
    confirmed_us: int = NEVER_US
    #: Id of the topic that the offsets belong to; empty if the broker gives none.
    topic_id: str = ""
    last: LastRecord | None = None
    #: Event times that decide how far the next rows move `newest_us` (`sparsewatch.transforms.kafka.robust_clock`).
    recent_us: tuple[int, ...] = ()
    #: Sets ids of records apart from those of other records that had the same offsets; see `schemas.block.source_name`.
    era: str = ""


class ReaderState(msgspec.Struct, frozen=True, array_like=True):
    """The restriction: one vector of positions with all the reader needs to resume."""

    partitions: tuple[PartitionState, ...]
    #: End of the last closed window; nothing before it can be on time.
    closed_end_us: int = 0
    #: Records set aside since the last marker.
    late: int = 0
    rejected: int = 0
    #: Markers emitted so far.
    markers: int = 0
    #: False until the first window has closed. That one may be incomplete: the reader may have started in its middle.
    began: bool = False
    #: Bounded mode: stop before these offsets, in the order of `partitions`.
    stop: tuple[int, ...] = ()
    #: Bounded mode: partitions with nothing to read in this run; they do not delay the windows.
    silent: tuple[int, ...] = ()
    finished: bool = False
    #: Events read since the last marker, whatever became of them.
    events: int = 0
    #: Earliest Kafka timestamp of a reject before the first window: where a stream begins that has shown no row.
    first_stamp_us: int = NEVER_US
    #: Since the last marker: offsets that were gone before they were read, and what happened to the source.
    lost: int = 0
    notices: tuple[Notice, ...] = ()
    #: Windows that were closed though earlier ones are not: rows of clocks ahead opened them, and a run has ended.
    ahead_us: tuple[int, ...] = ()


class ResumePoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where one partition starts again."""

    offset: int
    newest_us: int
    high: int
    #: As in `PartitionState`, at the marker; they move the watermark once the partition has been read up to `high`.
    lead_us: int = NEVER_US
    confirmed_us: int = NEVER_US
    #: As of `PartitionState`.
    topic_id: str = ""
    last: LastRecord | None = None
    era: str = ""
    #: Rows of windows still open that cannot be read again.
    gone: int = 0
    #: As of `PartitionState`, before `offset`: how far each of the recent event times lies behind `newest_us`, or
    #: itself where there is none.
    behind_us: tuple[int, ...] = ()


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of one window: rows on time, and what was set aside while it was the next to close."""

    counted: int = 0
    late: int = 0
    rejected: int = 0
    #: Offsets that were gone before they were read: so many records at most, none of them among those read.
    lost: int = 0

    def __add__(self, other: "Account") -> "Account":
        """Sum, number by number."""
        return Account(
            counted=self.counted + other.counted,
            late=self.late + other.late,
            rejected=self.rejected + other.rejected,
            lost=self.lost + other.lost,
        )

    @property
    def read(self) -> int:
        """Everything that was read."""
        return self.counted + self.late + self.rejected


class Marker(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A reader's statement that a window is closed, emitted inside that window."""

    reader: int
    #: Position in the reader's sequence of markers, from 1: commits keep this order.
    sequence: int
    window_us: int
    window_end_us: int
    account: Account
    #: False for the first window of a job and for a window closed by the end of a run: rows of it may be missing.
    complete: bool = True
    #: Resume points by partition, valid once this window's results are durable.
    resume: dict[int, ResumePoint]
    #: Events that the reader has read since the marker before, whatever became of them: what late and rejected are a
    #: share of. Rows of them may belong to later windows.
    events: int = 0
    #: What happened to the source since the reader's last marker.
    notices: tuple[Notice, ...] = ()
    #: As of `ReaderState`, this window among them if it is one of those.
    ahead_us: tuple[int, ...] = ()

    @property
    def is_preface(self) -> bool:
        """Whether it closes no window, and only states what was set aside.

        That is before the first window of the job is known, and at the end of a run that has closed all its windows.
        """
        return self.window_end_us == PREFACE_US


class Progress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The one committed record of a job: atomic, so partitions never disagree on what is closed."""

    job: str
    topic: str
    #: Digest of the settings that shape windows; a job with other settings refuses to resume.
    settings: str
    closed_end_us: int
    partitions: dict[int, ResumePoint]
    #: Last marker committed, by reader.
    sequences: dict[int, int]
    #: Sums since the job began.
    totals: Account
    windows: int = 0
    #: As of `ReaderState`, of all readers.
    ahead_us: tuple[int, ...] = ()
    stream: StreamHistory = StreamHistory()
    incidents: Incidents = Incidents()
    #: Shares that are watched over many windows.
    watched: tuple[Watched, ...] = ()


@dataclass(frozen=True, slots=True)
class WindowParts:
    """All parts of one window."""

    measures: tuple[bytes, ...]
    acks: Ack
    #: In order of reader; empty if the window was not closed by its readers.
    markers: tuple[Marker, ...]
    #: Fields of its events that are no columns.
    others: OtherFields = NO_OTHERS


def measure_part(measure: bytes) -> bytes:
    """A measure as a part."""
    return _MEASURE + packed(measure)


def ack_part(ack: Ack) -> bytes:
    """An acknowledgement as a part."""
    return _ACK + msgspec.msgpack.encode(ack)


def marker_part(marker: Marker) -> bytes:
    """A marker as a part."""
    return _MARKER + msgspec.msgpack.encode(marker)


def others_parts(others: OtherFields) -> tuple[bytes, ...]:
    """Fields that are no columns as a part, if there are any."""
    return (_OTHERS + others.to_bytes(),) if others else ()


def sort_parts(parts: Iterable[bytes]) -> WindowParts:
    """Sort the parts of a window by kind.

    Raises:
        StateError: If a part is of no known kind.
    """
    measures: list[bytes] = []
    acks = Ack()
    markers: list[Marker] = []
    others = NO_OTHERS
    for part in parts:
        kind, content = part[:1], part[1:]
        if kind == _MEASURE:
            measures.append(unpacked(content))
        elif kind == _ACK:
            acks = acks + ACK.unpack(content, Ack)
        elif kind == _MARKER:
            markers.append(MARKER.unpack(content, Marker))
        elif kind == _OTHERS:
            others += OtherFields.from_bytes(content)
        else:
            raise StateError(
                f"expected a measure, an acknowledgement, a marker or other fields, got a part of kind {kind!r}"
            )
    in_order = tuple(sorted(markers, key=lambda m: (m.reader, m.sequence)))
    return WindowParts(tuple(measures), acks, in_order, others)
