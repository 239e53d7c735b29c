"""Fetched records of several partitions to one columnar batch, and to the rejects among them.

The format of a record is in its `content-type` header (`application/json` or `application/vnd.apache.arrow.stream`);
a record without that header has the source's `format`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, cast

import msgspec
import numpy as np
import pyarrow as pa

from sparsewatch.schemas.block import META, OFFSET, PARTITION, ROW
from sparsewatch.schemas.errors import SchemaError
from sparsewatch.schemas.other_fields import NO_OTHERS, OtherFields
from sparsewatch.schemas.side_records import SideKind, SideRecord
from sparsewatch.transforms.codecs.arrow import conform
from sparsewatch.transforms.codecs.arrow_records import read_records
from sparsewatch.transforms.codecs.events import EventSchema, Fault, settle
from sparsewatch.transforms.codecs.json import decode_runs
from sparsewatch.transforms.codecs.missing import texts_without_missing, without_missing_texts
from sparsewatch.transforms.codecs.other_fields import looked_at, other_fields
from sparsewatch.transforms.codecs.plain_records import Run
from sparsewatch.transforms.codecs.set_aside import Reason, by_record, counted, parts_of, shared, side_record
from sparsewatch.transforms.codecs.wrong_cells import WrongCells, joined, taken, without_nan
from sparsewatch.transforms.records import Fetched, Packed

JSON_TYPE = b"application/json"
ARROW_TYPE = b"application/vnd.apache.arrow.stream"
_FORMATS = {JSON_TYPE: "json", ARROW_TYPE: "arrow"}

#: A record: (position in the list of fetched runs, position in the run).
_Record = tuple[int, int]


class _Picked(NamedTuple):
    """Some records of a run: its position in the list of fetched runs, and theirs in it, shape (n,)."""

    run: int
    at: np.ndarray


@dataclass(frozen=True, slots=True)
class Decoded:
    """Usable events in order of partition, offset and row, and what was set aside."""

    topic: str
    #: The schema's columns, then `sparsewatch.schemas.block.META`.
    rows: pa.RecordBatch
    rejects: list[SideRecord]
    fetched: Sequence[Fetched]
    #: Record of each row: positions as in `_Record`, shape (n, 2).
    records: np.ndarray
    #: Kafka timestamp of the record of each row in milliseconds, -1 for none, shape (n,).
    timestamps_ms: np.ndarray
    #: Format of records without a `content-type` header.
    default_format: str
    #: Cells of the rows that are null because their value does not fit the column.
    wrong: WrongCells
    #: False if no record is JSON with a field that is no column.
    others: bool = False

    def other_fields(self, rows: np.ndarray) -> OtherFields:
        """Fields that are no columns, of those records of some rows that are looked at.

        Args:
            rows: Positions in `self.rows`.
        """
        if not self.others:
            return NO_OTHERS
        partitions, offsets = (self.rows.column(name).to_numpy()[rows] for name in (PARTITION, OFFSET))
        records = self.records[rows[looked_at(partitions, offsets)]].tolist()
        values = (
            self.fetched[run].values[at] or b""
            for run, at in records
            if _format(self.fetched[run].headers_at(at), self.default_format) == "json"
        )
        return other_fields(values, frozenset(self.rows.schema.names[: -len(META)]))

    def set_aside(self, rows: np.ndarray, kind: SideKind, code: str, message: str) -> list[SideRecord]:
        """Side records of some rows of the batch, one for each Kafka record.

        Args:
            rows: Positions in `self.rows`, ascending.
            kind: Reject or late.
            code: Reason in snake case.
            message: Reason for a person.
        """
        inside = self.rows.column(ROW).to_numpy()[rows]
        return [
            record
            for run, position, own in by_record(self.records[rows])
            for record in self._aside(run, position, kind, [(code, message, inside[own].tolist())])
        ]

    def without(self, faults: Sequence[Fault]) -> "Decoded":
        """The rows that have no fault; the others become rejects. Faults are sorted by row."""
        if not faults:
            return self
        bad = np.array([row for row, _, _ in faults])
        inside = self.rows.column(ROW).to_numpy()
        for run, position, own in by_record(self.records[bad]):
            reasons = [(code, message, inside[at].tolist()) for code, message, at in shared(faults[own])]
            self.rejects.extend(self._aside(run, position, "reject", reasons))
        keep = np.ones(self.rows.num_rows, dtype=bool)
        keep[bad] = False
        return replace(
            self,
            rows=self.rows.filter(pa.array(keep)),
            records=self.records[keep],
            timestamps_ms=self.timestamps_ms[keep],
            wrong=taken(self.wrong, np.flatnonzero(keep), len(keep)),
        )

    def _aside(self, run: int, position: int, kind: SideKind, reasons: Sequence[Reason]) -> list[SideRecord]:
        records = self.fetched[run]
        if _format(records.headers_at(position), self.default_format) == "arrow":
            return parts_of(side_record(self.topic, records, position, kind, "", ""), reasons)
        return [side_record(self.topic, records, position, kind, code, message) for code, message, _ in reasons]


def decode(topic: str, fetched: Sequence[Fetched], schema: EventSchema) -> Decoded:
    """Columns of everything fetched; what cannot be used becomes a reject with its original bytes.

    Args:
        topic: Where the records come from.
        fetched: Runs of records; rows have the same order by partition.
        schema: What an event must look like.
    """
    rejects: list[SideRecord] = []
    rows, places, wrong, others = decode_undated(topic, fetched, schema, rejects)
    stamps = looked_up([f.timestamps_ms for f in fetched], places)
    times, faults = settle(rows, stamps, schema)
    decoded = Decoded(
        topic=topic,
        rows=_with_meta(rows, places, times, fetched),
        rejects=rejects,
        fetched=fetched,
        records=places[:, :2],
        timestamps_ms=stamps,
        default_format=schema.default_format,
        wrong=wrong,
        others=others,
    )
    return decoded.without(faults)


def decode_undated(topic: str, fetched: Sequence[Fetched], schema: EventSchema, rejects: list[SideRecord]) -> "Undated":
    """The columns of everything fetched, before event times, required columns and labels are looked at.

    Args:
        topic: Where the records come from.
        fetched: Runs of records; rows have the same order by partition.
        schema: What an event must look like; its columns and formats count here.
        rejects: What is no such event is added to these.
    """
    texts: list[_Picked] = []
    tables: list[_Record] = []
    for run, records in enumerate(fetched):
        arrow = are_arrow(records, schema.default_format)
        usable = _usable(topic, records, arrow, schema, rejects)
        if (usable & ~arrow).any():
            texts.append(_Picked(run, np.flatnonzero(usable & ~arrow)))
        tables.extend((run, i) for i in np.flatnonzero(usable & arrow).tolist())
    parts = [
        _decode_json(topic, fetched, texts, schema, rejects),
        *_decode_arrow(topic, fetched, tables, schema, rejects),
    ]
    rows, places, wrong, others = _joined([p for p in parts if p.rows.num_rows], schema)
    rows = without_missing_texts(rows, schema.missing)
    if any(text.lower() == "nan" for text in schema.missing):
        wrong = without_nan(wrong)
    return Undated(rows, places, wrong, others)


def are_arrow(records: Fetched, default_format: str) -> np.ndarray:
    """Which records of a run are Arrow's, bool of shape (n,).

    Args:
        records: The run.
        default_format: Of records without a `content-type` header that is known.
    """
    if not any(records.headers):
        return np.full(len(records), default_format == "arrow")
    return np.array([_format(headers, default_format) == "arrow" for headers in records.headers])


def _usable(
    topic: str, records: Fetched, arrow: np.ndarray, schema: EventSchema, rejects: list[SideRecord]
) -> np.ndarray:
    """Which records of a run may be events, shape (n,)."""
    sizes = records.sizes()
    usable: np.ndarray = (sizes >= 0) & (sizes <= schema.max_record_bytes)
    for i in np.flatnonzero(~usable).tolist():
        if sizes[i] < 0:
            message = "expected an event, got a record without a value"
            rejects.append(side_record(topic, records, i, "reject", "null_value", message))
        else:
            message = f"expected at most {schema.max_record_bytes} bytes, got {sizes[i]}"
            too_large = side_record(topic, records, i, "reject", "too_large", message)
            rejects.append(counted(too_large) if arrow[i] else too_large)
    return usable


def _format(headers: Iterable[tuple[str, bytes]], default_format: str) -> str:
    for name, value in headers:
        if name == "content-type":
            return _FORMATS.get(value, default_format)
    return default_format


class Undated(NamedTuple):
    """Rows, for each its (run, position, row inside the record), and their wrong cells."""

    rows: pa.RecordBatch
    places: np.ndarray
    wrong: WrongCells
    #: As of `Decoded`.
    others: bool = False

    def without(self, faults: Sequence[Fault]) -> "Undated":
        """The rows that have no fault."""
        if not faults:
            return self
        keep = np.ones(len(self.places), dtype=bool)
        keep[[row for row, _, _ in faults]] = False
        stay = np.flatnonzero(keep)
        wrong = taken(self.wrong, stay, len(keep))
        return Undated(self.rows.filter(pa.array(keep)), self.places[keep], wrong, self.others)


def _decode_json(
    topic: str, fetched: Sequence[Fetched], picked: Sequence[_Picked], schema: EventSchema, rejects: list[SideRecord]
) -> Undated:
    runs = [_values(fetched[run].values, at) for run, at in picked]
    rows, faults, wrong, others = decode_runs(runs, schema.columns, schema.lenient, schema.missing)
    places = _places(picked)
    bad = places[[row for row, _, _ in faults], :2].tolist()
    for (run, i), (_, code, message) in zip(bad, faults, strict=True):
        rejects.append(side_record(topic, fetched[run], i, "reject", code, message))
    return Undated(rows, places, wrong, others).without(faults)


def _values(values: Sequence[bytes | None], at: np.ndarray) -> Run:
    if isinstance(values, Packed):
        return values if len(at) == len(values) else Packed(values.buffer, values.starts[at], values.lengths[at])
    if len(at) == len(values):
        return cast(Sequence[bytes], values)
    return [values[i] or b"" for i in at.tolist()]


def _places(picked: Sequence[_Picked]) -> np.ndarray:
    """Run and position of each record, and row 0, shape (n, 3)."""
    places = np.zeros((sum(len(at) for _, at in picked), 3), dtype=np.int32)
    if len(places):
        places[:, 0] = np.repeat([run for run, _ in picked], [len(at) for _, at in picked])
        places[:, 1] = np.concatenate([at for _, at in picked])
    return places


def _decode_arrow(
    topic: str, fetched: Sequence[Fetched], records: list[_Record], schema: EventSchema, rejects: list[SideRecord]
) -> Iterator[Undated]:
    def side(record: _Record, code: str, message: str) -> SideRecord:
        return side_record(topic, fetched[record[0]], record[1], "reject", code, message)

    found, broken = read_records([fetched[run].values[i] or b"" for run, i in records], schema.columns)
    aside = [(records[at], counted(side(records[at], "broken_arrow", str(error)))) for at, error in broken]
    for read in found:
        table = texts_without_missing(read.table, schema.missing)
        try:
            rows, faults, wrong = conform(table, schema.columns, schema.lenient)
        except SchemaError as error:
            for at, events in zip(read.records.tolist(), read.events.tolist(), strict=True):
                foreign = side(records[at], "foreign_schema", str(error))
                aside.append((records[at], msgspec.structs.replace(foreign, events=max(1, events))))
            continue
        of_row, within = read.places()
        places = np.column_stack([np.array(records, dtype=np.int32)[of_row], within.astype(np.int32)])
        for run, i, own in by_record(places[[row for row, _, _ in faults], :2]):
            reasons = [(code, message, within[at].tolist()) for code, message, at in shared(faults[own])]
            aside += [((run, i), part) for part in parts_of(side((run, i), "", ""), reasons)]
        yield Undated(rows, places, wrong).without(faults)
    rejects.extend(record for _, record in sorted(aside, key=lambda one: one[0]))


def _joined(parts: list[Undated], schema: EventSchema) -> Undated:
    if not parts:
        return Undated(pa.RecordBatch.from_pylist([], schema=schema.columns), np.empty((0, 3), dtype=np.int32), {})
    if len(parts) == 1:
        return parts[0]
    rows = pa.concat_batches([part.rows for part in parts])
    places = np.concatenate([part.places for part in parts])
    wrong = joined([(part.rows.num_rows, part.wrong) for part in parts])
    others = any(part.others for part in parts)
    order = np.lexsort((places[:, 2], places[:, 1], places[:, 0]))
    if np.array_equal(order, np.arange(len(order))):
        return Undated(rows, places, wrong, others)
    return Undated(rows.take(pa.array(order)), places[order], taken(wrong, order, len(order)), others)


def looked_up(columns: list[np.ndarray], places: np.ndarray) -> np.ndarray:
    """What runs say of the record of each row, shape (n,).

    Args:
        columns: Of each run a value a record.
        places: Run, position and row of each row, shape (n, 3).
    """
    starts = np.cumsum([0, *map(len, columns)])
    flat = np.concatenate([np.empty(0, dtype=np.int64), *columns])
    looked_up: np.ndarray = flat[starts[places[:, 0]] + places[:, 1]]
    return looked_up


def _with_meta(
    rows: pa.RecordBatch, places: np.ndarray, times: np.ndarray, fetched: Sequence[Fetched]
) -> pa.RecordBatch:
    partitions = np.array([f.partition for f in fetched], dtype=np.int32)
    meta = [
        pa.array(partitions[places[:, 0]] if len(fetched) else places[:, 0]),
        pa.array(looked_up([f.offsets for f in fetched], places)),
        pa.array(places[:, 2]),
        pa.array(times),
    ]
    return pa.RecordBatch.from_arrays([*rows.columns, *meta], schema=pa.schema([*rows.schema, *META]))
