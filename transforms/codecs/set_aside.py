"""Records that are set aside: whole, or of a record of many events the rows that share a reason."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

import msgspec
import numpy as np

from sparsewatch.schemas.side_records import SideKind, SideRecord
from sparsewatch.transforms.codecs.arrow import MOST_ROWS, encode_arrow, pick_rows, read_again
from sparsewatch.transforms.codecs.arrow_framing import count_events
from sparsewatch.transforms.codecs.events import Fault
from sparsewatch.transforms.records import Fetched

_MESSAGE_CHARACTERS = 1_000
_UNCOUNTED = " (the number of its events is not known, or not believed: it counts as one)"

#: Code and message of the reason for which some rows are set aside, and which rows.
Reason = tuple[str, str, list[int]]


def by_record(records: np.ndarray) -> Iterator[tuple[int, int, slice]]:
    """Run and position of each record, and where its rows are, given those of each row, sorted, shape (n, 2)."""
    firsts = np.flatnonzero(np.diff(records, axis=0, prepend=-1).any(axis=1)).tolist()
    for first, end in itertools.pairwise([*firsts, len(records)]):
        run, position = records[first].tolist()
        yield run, position, slice(first, end)


def shared(faults: Sequence[Fault]) -> Iterator[Reason]:
    """Code, message and rows: the faults of one record by their code."""
    by_code: dict[str, list[Fault]] = {}
    for fault in faults:
        by_code.setdefault(fault[1], []).append(fault)
    for code, (first, *more) in by_code.items():
        message = first[2] if not more else f"{first[2]} (rows with this fault: {1 + len(more)})"
        yield code, message, [row for row, _, _ in (first, *more)]


def side_record(topic: str, records: Fetched, i: int, kind: SideKind, code: str, message: str) -> SideRecord:
    """Record `i` of a run as it came."""
    return SideRecord(
        kind=kind,
        topic=topic,
        partition=records.partition,
        offset=records.offsets.item(i),
        timestamp_ms=records.timestamps_ms.item(i),
        key=records.keys(i),
        value=records.values[i],
        headers=tuple((name, bytes(content or b"")) for name, content in records.headers_at(i)),
        code=code,
        message=message[:_MESSAGE_CHARACTERS],
    )


def parts_of(whole: SideRecord, reasons: Iterable[Reason]) -> list[SideRecord]:
    """Of a many-event record that was read before, side records of the rows of each reason, encoded the same way."""
    table = read_again(whole.value or b"")
    return [
        msgspec.structs.replace(
            whole,
            code=code,
            message=message[:_MESSAGE_CHARACTERS],
            value=encode_arrow(pick_rows(table, rows)),
            events=len(rows),
            row=rows[0],
        )
        for code, message, rows in reasons
    ]


def counted(whole: SideRecord) -> SideRecord:
    """An Arrow record that was not read, with the number of events that its headers state."""
    events = count_events(whole.value or b"", MOST_ROWS)
    if events is not None:
        return msgspec.structs.replace(whole, events=max(1, events))
    said = whole.message[: _MESSAGE_CHARACTERS - len(_UNCOUNTED)]
    return msgspec.structs.replace(whole, message=f"{said}{_UNCOUNTED}")
