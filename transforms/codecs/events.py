"""What an event must look like, and the checks every codec shares.

A codec turns records into an Arrow table with exactly the columns of an `EventSchema`; `settle` then parses event
times, applies the checks that are the same for all codecs and says which rows are rejects and why.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparsewatch.schemas.jobs import ColumnType, SourceSettings, TimeFormat
from sparsewatch.schemas.units import parse_duration_us, parse_size
from sparsewatch.transforms.codecs.event_times import event_times_us

_ARROW_TYPES = {"int": pa.int64(), "float": pa.float64(), "str": pa.string(), "bool": pa.bool_()}

#: A fault of one row: (row, code, message).
Fault = tuple[int, str, str]
#: Extra checks of a kind of event: columns in, faults out.
EventCheck = Callable[[pa.RecordBatch], list[Fault]]


def no_check(_rows: pa.RecordBatch) -> list[Fault]:
    """The check of events that need no further one."""
    return []


@dataclass(frozen=True, slots=True)
class EventColumns:
    """What a kind of event holds, besides its time."""

    fields: Sequence[pa.Field]
    #: Columns that must not be null.
    required: tuple[str, ...] = ()
    #: Column that must hold 0 or 1, if any.
    label: str | None = None
    check: EventCheck = no_check


def named_fields(columns: Mapping[str, ColumnType]) -> list[pa.Field]:
    """Arrow fields of columns typed by name."""
    return [pa.field(name, _ARROW_TYPES[kind]) for name, kind in columns.items()]


@dataclass(frozen=True, slots=True)
class EventSchema:
    """Columns of an event, which of them must have a value, and where its time is."""

    #: All columns, the time column first.
    columns: pa.Schema
    time_column: str
    time_format: TimeFormat
    #: Columns that must not be null, besides the time.
    required: tuple[str, ...]
    #: Column that must hold 0 or 1, if any.
    label: str | None
    max_ahead_us: int
    max_record_bytes: int
    #: Format of records without a `content-type` header.
    default_format: str
    check: EventCheck = no_check


def event_schema(source: SourceSettings, columns: EventColumns) -> EventSchema:
    """What the events of a source must look like."""
    time_type = pa.string() if source.time_format == "iso8601" else pa.int64()
    return EventSchema(
        columns=pa.schema([pa.field(source.time_column, time_type), *columns.fields]),
        time_column=source.time_column,
        time_format=source.time_format,
        required=columns.required,
        label=columns.label,
        max_ahead_us=parse_duration_us(source.max_ahead),
        max_record_bytes=parse_size(source.max_record_bytes),
        default_format=source.format,
        check=columns.check,
    )


def settle(rows: pa.RecordBatch, timestamps_ms: np.ndarray, schema: EventSchema) -> tuple[np.ndarray, list[Fault]]:
    """Event times of decoded rows, and the faults that all codecs look for.

    Args:
        rows: n rows with the columns of `schema`.
        timestamps_ms: Shape (n,), Kafka timestamp of the record each row came in.
        schema: What an event must look like.

    Returns:
        Event times in microseconds, shape (n,), and at most one fault a row, sorted by row.
    """
    times, usable = event_times_us(rows.column(schema.time_column), schema.time_format)
    faults: dict[int, Fault] = {}
    for row, code, message in (
        *_bad_times(rows, usable, times, timestamps_ms, schema),
        *_missing(rows, schema),
        *_bad_labels(rows, schema),
        *_not_finite(rows),
        *schema.check(rows),
    ):
        faults.setdefault(row, (row, code, message))
    return times, [faults[row] for row in sorted(faults)]


def _bad_times(
    rows: pa.RecordBatch, usable: np.ndarray, times: np.ndarray, timestamps_ms: np.ndarray, schema: EventSchema
) -> list[Fault]:
    # Compared with the record's own timestamp, not the clock: a replay decides the same.
    ahead = usable & (timestamps_ms >= 0) & (times > timestamps_ms * 1000 + schema.max_ahead_us)
    column = rows.column(schema.time_column)
    name, expected = schema.time_column, schema.time_format
    return [
        (int(i), "bad_time", f"column {name!r}: expected a time as {expected}, got {_shown(column, i)}")
        for i in np.flatnonzero(~usable)
    ] + [
        (
            int(i),
            "time_ahead",
            f"column {name!r}: {_shown(column, i)} is more than source.max_ahead past the record's own timestamp",
        )
        for i in np.flatnonzero(ahead)
    ]


def _missing(rows: pa.RecordBatch, schema: EventSchema) -> list[Fault]:
    return [
        (int(i), "missing_value", f"column {name!r}: expected a value, got null or nothing")
        for name in schema.required
        if rows.column(name).null_count
        for i in np.flatnonzero(rows.column(name).is_null().to_numpy(zero_copy_only=False))
    ]


def _bad_labels(rows: pa.RecordBatch, schema: EventSchema) -> list[Fault]:
    if schema.label is None:
        return []
    labels = rows.column(schema.label)
    values = pc.fill_null(labels, 0).to_numpy(zero_copy_only=False)
    return [
        (int(i), "bad_label", f"column {schema.label!r}: expected 0 or 1, got {_shown(labels, i)}")
        for i in np.flatnonzero((values != 0) & (values != 1))
    ]


def _not_finite(rows: pa.RecordBatch) -> list[Fault]:
    faults: list[Fault] = []
    for name, column in zip(rows.schema.names, rows.columns, strict=True):
        if pa.types.is_floating(column.type):
            finite = pc.fill_null(pc.is_finite(column), True).to_numpy(zero_copy_only=False)
            faults += [
                (int(i), "not_finite", f"column {name!r}: expected a finite number, got {_shown(column, i)}")
                for i in np.flatnonzero(~finite)
            ]
    return faults


def _shown(column: pa.Array, row: np.integer[Any]) -> str:
    return repr(column[int(row)].as_py())[:80]
