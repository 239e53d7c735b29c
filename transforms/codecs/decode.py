"""Fetched records of several partitions to one columnar batch, and to the rejects among them.

The format of a record is in its `content-type` header (`application/json` or `application/vnd.apache.arrow.stream`);
a record without that header has the source's `format`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import pyarrow as pa

from sparsewatch.schemas.block import META
from sparsewatch.schemas.errors import SchemaError
from sparsewatch.schemas.side_records import SideKind, SideRecord
from sparsewatch.transforms.codecs.arrow import conform, encode_arrow, pick_rows, read_arrow
from sparsewatch.transforms.codecs.events import EventSchema, Fault, settle
from sparsewatch.transforms.codecs.json import decode_json
from sparsewatch.transforms.codecs.missing import nulls_for_missing, without_missing_texts
from sparsewatch.transforms.records import Fetched

JSON_TYPE = b"application/json"
ARROW_TYPE = b"application/vnd.apache.arrow.stream"
_FORMATS = {JSON_TYPE: "json", ARROW_TYPE: "arrow"}

#: A record: (position in the list of fetched runs, position in the run).
_Record = tuple[int, int]


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

    def set_aside(self, rows: np.ndarray, kind: SideKind, code: str, message: str) -> list[SideRecord]:
        """Side records of some rows of the batch, one for each Kafka record.

        Args:
            rows: Positions in `self.rows`, ascending.
            kind: Reject or late.
            code: Reason in snake case.
            message: Reason for a person.
        """
        inside = self.rows.column("_row").to_numpy()
        groups: dict[_Record, list[int]] = {}
        for i in rows.tolist():
            run, position = self.records[i].tolist()
            groups.setdefault((run, position), []).append(int(inside[i]))
        return [
            _some_rows(self._whole(run, position, kind, code, message), members)
            if _format(self.fetched[run].headers[position], self.default_format) == "arrow"
            else self._whole(run, position, kind, code, message)
            for (run, position), members in groups.items()
        ]

    def _whole(self, run: int, position: int, kind: SideKind, code: str, message: str) -> SideRecord:
        return _side(self.topic, self.fetched[run], position, kind, code, message)


def decode(topic: str, fetched: Sequence[Fetched], schema: EventSchema) -> Decoded:
    """Columns of everything fetched; what cannot be used becomes a reject with its original bytes.

    Args:
        topic: Where the records come from.
        fetched: Runs of records; rows have the same order by partition.
        schema: What an event must look like.
    """
    rejects: list[SideRecord] = []
    by_format: dict[str, list[_Record]] = {"json": [], "arrow": []}
    for run, records in enumerate(fetched):
        _classify(topic, run, records, schema, by_format, rejects)
    parts = [
        _decode_json(topic, fetched, by_format["json"], schema, rejects),
        *_decode_arrow(topic, fetched, by_format["arrow"], schema, rejects),
    ]
    rows, places = _joined([p for p in parts if p[0].num_rows], schema)
    rows = without_missing_texts(rows, schema.missing)
    stamps = _timestamps(fetched, places)
    times, faults = settle(rows, stamps, schema)
    decoded = Decoded(
        topic, _with_meta(rows, places, times, fetched), rejects, fetched, places[:, :2], stamps, schema.default_format
    )
    return _without_faults(decoded, faults)


def _classify(
    topic: str,
    run: int,
    records: Fetched,
    schema: EventSchema,
    by_format: dict[str, list[_Record]],
    rejects: list[SideRecord],
) -> None:
    plain = not any(records.headers)
    for i, value in enumerate(records.values):
        if value is None:
            message = "expected an event, got a record without a value"
            rejects.append(_side(topic, records, i, "reject", "null_value", message))
        elif len(value) > schema.max_record_bytes:
            message = f"expected at most {schema.max_record_bytes} bytes, got {len(value)}"
            rejects.append(_side(topic, records, i, "reject", "too_large", message))
        else:
            form = schema.default_format if plain else _format(records.headers[i], schema.default_format)
            by_format[form].append((run, i))


def _format(headers: Iterable[tuple[str, bytes]], default_format: str) -> str:
    for name, value in headers:
        if name == "content-type":
            return _FORMATS.get(value, default_format)
    return default_format


#: Rows, and for each its (run, position, row inside the record).
_Part = tuple[pa.RecordBatch, np.ndarray]


def _decode_json(
    topic: str, fetched: Sequence[Fetched], records: list[_Record], schema: EventSchema, rejects: list[SideRecord]
) -> _Part:
    values = [nulls_for_missing(fetched[run].values[i] or b"", schema.missing) for run, i in records]
    rows, faults = decode_json(values, schema.columns)
    for row, code, message in faults:
        run, i = records[row]
        rejects.append(_side(topic, fetched[run], i, "reject", code, message))
    places = np.zeros((len(records), 3), dtype=np.int32)
    places[:, :2] = np.array(records, dtype=np.int32).reshape(-1, 2)
    if faults:
        keep = np.ones(len(records), dtype=bool)
        keep[[row for row, _, _ in faults]] = False
        rows, places = rows.filter(pa.array(keep)), places[keep]
    return rows, places


def _decode_arrow(
    topic: str, fetched: Sequence[Fetched], records: list[_Record], schema: EventSchema, rejects: list[SideRecord]
) -> list[_Part]:
    parts: list[_Part] = []
    for run, i in records:
        code = "broken_arrow"
        try:
            table = read_arrow(fetched[run].values[i] or b"")
            code = "foreign_schema"
            rows = conform(table, schema.columns)
        except SchemaError as error:
            rejects.append(_side(topic, fetched[run], i, "reject", code, str(error)))
            continue
        places = np.empty((rows.num_rows, 3), dtype=np.int32)
        places[:, 0], places[:, 1], places[:, 2] = run, i, np.arange(rows.num_rows)
        parts.append((rows, places))
    return parts


def _joined(parts: list[_Part], schema: EventSchema) -> _Part:
    if not parts:
        return pa.RecordBatch.from_pylist([], schema=schema.columns), np.empty((0, 3), dtype=np.int32)
    if len(parts) == 1:
        return parts[0]
    rows = pa.concat_batches([rows for rows, _ in parts])
    places = np.concatenate([places for _, places in parts])
    order = np.lexsort((places[:, 2], places[:, 1], places[:, 0]))
    if np.array_equal(order, np.arange(len(order))):
        return rows, places
    return rows.take(pa.array(order)), places[order]


def _timestamps(fetched: Sequence[Fetched], places: np.ndarray) -> np.ndarray:
    return _looked_up([f.timestamps_ms for f in fetched], places)


def _looked_up(columns: list[list[int]], places: np.ndarray) -> np.ndarray:
    starts = np.cumsum([0, *map(len, columns)])
    flat = np.array([x for column in columns for x in column], dtype=np.int64)
    looked_up: np.ndarray = flat[starts[places[:, 0]] + places[:, 1]]
    return looked_up


def _with_meta(
    rows: pa.RecordBatch, places: np.ndarray, times: np.ndarray, fetched: Sequence[Fetched]
) -> pa.RecordBatch:
    partitions = np.array([f.partition for f in fetched], dtype=np.int32)
    meta = [
        pa.array(partitions[places[:, 0]] if len(fetched) else places[:, 0]),
        pa.array(_looked_up([f.offsets for f in fetched], places)),
        pa.array(places[:, 2]),
        pa.array(times),
    ]
    return pa.RecordBatch.from_arrays([*rows.columns, *meta], schema=pa.schema([*rows.schema, *META]))


def _without_faults(decoded: Decoded, faults: list[Fault]) -> Decoded:
    if not faults:
        return decoded
    # One side record for the rows of a record that share a fault: each costs reading its record again.
    shared: dict[tuple[int, int, str], list[Fault]] = {}
    for fault in faults:
        run, position = decoded.records[fault[0]].tolist()
        shared.setdefault((run, position, fault[1]), []).append(fault)
    for (_, _, code), (first, *more) in shared.items():
        message = first[2] if not more else f"{first[2]} (rows with this fault: {1 + len(more)})"
        at = np.array([row for row, _, _ in (first, *more)])
        decoded.rejects.extend(decoded.set_aside(at, "reject", code, message))
    keep = np.ones(decoded.rows.num_rows, dtype=bool)
    keep[[row for row, _, _ in faults]] = False
    return replace(
        decoded,
        rows=decoded.rows.filter(pa.array(keep)),
        records=decoded.records[keep],
        timestamps_ms=decoded.timestamps_ms[keep],
    )


def _side(topic: str, records: Fetched, i: int, kind: SideKind, code: str, message: str) -> SideRecord:
    return SideRecord(
        kind=kind,
        topic=topic,
        partition=records.partition,
        offset=records.offsets[i],
        timestamp_ms=records.timestamps_ms[i],
        key=records.keys(i),
        value=records.values[i],
        headers=tuple((name, bytes(content or b"")) for name, content in records.headers[i]),
        code=code,
        message=message[:1000],
    )


def _some_rows(whole: SideRecord, rows: Sequence[int]) -> SideRecord:
    """Of a many-event record only these rows, encoded the same way."""
    value = encode_arrow(pick_rows(read_arrow(whole.value or b""), rows))
    return msgspec.structs.replace(whole, value=value, events=len(rows), row=rows[0])
