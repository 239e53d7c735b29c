"""A decoded batch on its way out of the source: blocks by window, side records, and the accounts with it in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import msgspec
import numpy as np
import pyarrow as pa

from sparsewatch.schemas.accounts import NEVER_US, Marker, ReaderState
from sparsewatch.schemas.block import EVENT_TIME_US, OFFSET, PARTITION, ROW, Block, Span, source_name
from sparsewatch.schemas.side_records import SideRecord
from sparsewatch.transforms.codecs.decode import Decoded
from sparsewatch.transforms.codecs.wrong_cells import summed, taken
from sparsewatch.transforms.kafka.accounts import take
from sparsewatch.transforms.kafka.row_places import by_partition
from sparsewatch.transforms.kafka.stream_clock import Reject, WindowRules

#: Rows in a row from which on they are copied as a piece; by shorter pieces it takes as long as one by one.
_LONG_RUN = 256


@dataclass
class Step:
    """What one batch gives: blocks, side records and markers with their windows, and the state after it."""

    state: ReaderState
    blocks: list[tuple[int, Block]] = field(default_factory=list)
    aside: list[SideRecord] = field(default_factory=list)
    aside_window_us: int = 0
    markers: list[Marker] = field(default_factory=list)


def route(
    decoded: Decoded, state: ReaderState, rules: WindowRules, positions: dict[int, int]
) -> tuple[ReaderState, Step]:
    """Split a decoded batch into blocks by window and side records, and add it to the accounts."""
    rows = decoded.rows
    partitions, offsets = rows.column(PARTITION).to_numpy(), rows.column(OFFSET).to_numpy()
    times = rows.column(EVENT_TIME_US).to_numpy()
    parts = {p.partition: p for p in state.partitions}
    routing = take(
        state, rules, partitions, offsets, times, decoded.timestamps_ms * 1000, positions, _rejects(decoded.rejects)
    )
    aside = [r for r in decoded.rejects if r.offset >= parts[r.partition].high]
    if len(routing.late):
        aside += decoded.set_aside(routing.late, "late", "late", "its window had closed")
    aside = [
        msgspec.structs.replace(record, era=parts[record.partition].era, topic_id=parts[record.partition].topic_id)
        for record in aside
    ]
    names = {partition: source_name(decoded.topic, part.era) for partition, part in parts.items()}
    blocks = [(window, _block(decoded, names, partitions, offsets, at)) for window, at in routing.on_time.items()]
    return routing.state, Step(routing.state, blocks, aside, routing.aside_window_us, [])


def _rejects(records: Sequence[SideRecord]) -> dict[int, list[Reject]]:
    """Rejects by partition, in order of offset."""
    rejects: dict[int, list[Reject]] = {}
    for record in sorted(records, key=attrgetter("offset")):
        stamp = NEVER_US if record.timestamp_ms <= 0 else record.timestamp_ms * 1000
        rejects.setdefault(record.partition, []).append(Reject(record.offset, record.events, stamp))
    return rejects


def _block(
    decoded: Decoded, names: Mapping[int, str], partitions: np.ndarray, offsets: np.ndarray, at: np.ndarray
) -> Block:
    """The block of some rows of a batch, with what it tells of mistyped cells and of fields that are no columns."""
    rows, wrong = decoded.rows, decoded.wrong
    if len(at) < rows.num_rows:
        rows, wrong = _rows_at(rows, at), taken(wrong, at, rows.num_rows)
    mistyped = summed(wrong, partitions[at], offsets[at], rows.column(ROW).to_numpy())
    return Block(_spans(names, partitions[at], offsets[at]), rows, mistyped, decoded.other_fields(at))


def _rows_at(rows: pa.RecordBatch, at: np.ndarray) -> pa.RecordBatch:
    """Rows of a batch at ascending positions; a small part of it does not hold the whole in memory."""
    firsts = np.flatnonzero(np.diff(at, prepend=-2) != 1)
    if len(firsts) == 1 and 2 * len(at) >= rows.num_rows:
        return rows.slice(int(at[0]), len(at))
    if len(at) < _LONG_RUN * len(firsts):
        return rows.take(pa.array(at))
    lengths = np.diff(firsts, append=len(at))
    return pa.concat_batches([rows.slice(*run) for run in zip(at[firsts].tolist(), lengths.tolist(), strict=True)])


def _spans(names: Mapping[int, str], partitions: np.ndarray, offsets: np.ndarray) -> tuple[Span, ...]:
    return tuple(
        Span(names[partition], partition, int(offsets[rows.start]), int(offsets[rows.stop - 1]) + 1)
        for partition, rows in by_partition(partitions).items()
    )
