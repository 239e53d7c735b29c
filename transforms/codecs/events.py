"""What an event must look like, the checks that all codecs share, and event times.

A codec turns records into an Arrow table with exactly the columns of an `EventSchema`; `settle` then parses event
times, applies the checks that are the same for all codecs and returns which rows are rejects and why.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparsewatch.schemas.errors import SchemaError
from sparsewatch.schemas.jobs import RECORD_TIME, ColumnType, SourceSettings, TimeFormat
from sparsewatch.schemas.settings import parse_duration_us, parse_size
from sparsewatch.schemas.units import US_PER_EPOCH_UNIT

_ARROW_TYPES = {"int": pa.int64(), "float": pa.float64(), "str": pa.string(), "bool": pa.bool_()}
#: Formats of ISO 8601, tried in turn: if one were guessed from a batch, a time would depend on its neighbours.
_ISO_FORMATS = (
    "%+",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M%#z",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
)
_DIGITS = r"^\s*-?\d{1,18}(\.0*)?\s*$"
#: A fault of one row: (row, code, message).
Fault = tuple[int, str, str]
#: Extra checks of a kind of event: columns in, faults out.
EventCheck = Callable[[pa.RecordBatch], list[Fault]]


def no_check(_rows: pa.RecordBatch) -> list[Fault]:
    """The check of events that need no further checks."""
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
    #: Columns in which a value of another type is a missing cell; in others it makes the event a reject.
    lenient: tuple[str, ...] = ()


def named_fields(columns: Mapping[str, ColumnType]) -> list[pa.Field]:
    """Arrow fields of columns typed by name."""
    return [pa.field(name, _ARROW_TYPES[kind]) for name, kind in columns.items()]


@dataclass(frozen=True, slots=True)
class EventSchema:
    """Columns of an event, which of them must have a value, and where its time is."""

    #: All columns, the time column first, if it is one.
    columns: pa.Schema
    #: Its name; `RECORD_TIME` where the time is the Kafka timestamp of the record.
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
    #: Texts that stand for a missing value.
    missing: tuple[str, ...] = ()
    #: Columns in which a value that does not fit costs only the cell; in others it makes the event a reject.
    lenient: frozenset[str] = frozenset()


def event_schema(source: SourceSettings, columns: EventColumns) -> EventSchema:
    """What the events of a source must look like."""
    time_type = pa.string() if source.time_format == "iso8601" else pa.int64()
    time = [] if source.time_column == RECORD_TIME else [pa.field(source.time_column, time_type)]
    return EventSchema(
        columns=pa.schema([*time, *columns.fields]),
        time_column=source.time_column,
        time_format=source.time_format,
        required=columns.required,
        label=columns.label,
        max_ahead_us=parse_duration_us(source.max_ahead),
        max_record_bytes=parse_size(source.max_record_bytes),
        default_format=source.format,
        check=columns.check,
        missing=tuple(source.missing),
        lenient=frozenset(columns.lenient if source.wrong_cells == "missing" else ()),
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
    written, form = _written_times(rows, timestamps_ms, schema)
    times, usable = event_times_us(written, form)
    faults: dict[int, Fault] = {}
    for row, code, message in (
        *_bad_times(written, usable, times, timestamps_ms, schema),
        *_missing(rows, schema),
        *_bad_labels(rows, schema),
        *schema.check(rows),
    ):
        faults.setdefault(row, (row, code, message))
    return times, [faults[row] for row in sorted(faults)]


def event_times_us(times: pa.Array, time_format: TimeFormat) -> tuple[np.ndarray, np.ndarray]:
    """Event times in microseconds since the epoch, and which of them are usable.

    Args:
        times: Integers in the format's unit, or ISO-8601 strings; strings without an offset are UTC.
        time_format: As in the job's settings.

    Returns:
        int64 array of shape (n,) and bool array of shape (n,): False where a time is null, cannot be
        parsed or lies before 1970.
    """
    if time_format == "iso8601":
        return _iso_times_us(times)
    unit = US_PER_EPOCH_UNIT[time_format]
    raw = pc.fill_null(times, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    good = (raw >= 0) & (raw <= np.iinfo(np.int64).max // unit // 2)
    return np.where(good, raw, 0) * unit, good


def file_times_us(times: pa.Array, time_format: TimeFormat) -> tuple[np.ndarray, np.ndarray]:
    """As `event_times_us`, for a column as files hold it.

    Args:
        times: Timestamps or dates, which need no format; numbers in the format's unit; texts of such numbers or of
            ISO 8601, as CSV has them.
        time_format: As in the job's settings.

    Raises:
        SchemaError: If the column is of another type, or holds texts none of which is a time.
    """
    if pa.types.is_timestamp(times.type) or pa.types.is_date(times.type):
        return event_times_us(times.cast(pa.timestamp("us"), safe=False).cast(pa.int64()), "epoch_us")
    try:
        if time_format == "iso8601":
            return event_times_us(times.cast(pa.string()), time_format)
        if pa.types.is_string(times.type) or pa.types.is_large_string(times.type):
            return _texts_us(times.cast(pa.string()), time_format)
        return event_times_us(times.cast(pa.int64()), time_format)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaError(f"expected event times in the format {time_format}, got {times.type}: {error}") from error


def _texts_us(texts: Any, time_format: TimeFormat) -> tuple[np.ndarray, np.ndarray]:
    numbers = pc.replace_substring_regex(texts, r"\.0*\s*$", "")
    numbers = pc.if_else(pc.match_substring_regex(texts, _DIGITS), pc.utf8_trim_whitespace(numbers), None)
    if numbers.null_count < len(texts) or texts.null_count == len(texts):
        return event_times_us(numbers.cast(pa.int64()), time_format)
    times, good = _iso_times_us(texts)
    if not good.any():
        shown = texts.drop_null()[0].as_py()
        raise SchemaError(f"expected event times in the format {time_format}, got {shown!r}")
    return times, good


def _iso_times_us(times: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    import polars as pl

    text = pl.Series(values=times, dtype=pl.String)
    parsed = pl.Series([None], dtype=pl.Datetime("us", "UTC")).new_from_index(0, len(text))
    for form in _ISO_FORMATS:
        left = parsed.is_null() & text.is_not_null()
        if not left.any():
            break
        parsed = parsed.zip_with(~left, text.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False))
    raw = parsed.cast(pl.Int64).fill_null(-1).to_numpy()
    return raw, raw >= 0


def _written_times(rows: pa.RecordBatch, timestamps_ms: np.ndarray, schema: EventSchema) -> tuple[pa.Array, TimeFormat]:
    """The event times as they came, and their format."""
    if schema.time_column == RECORD_TIME:
        return pa.array(timestamps_ms, pa.int64()), "epoch_ms"
    return rows.column(schema.time_column), schema.time_format


def _bad_times(
    column: pa.Array, usable: np.ndarray, times: np.ndarray, timestamps_ms: np.ndarray, schema: EventSchema
) -> list[Fault]:
    # Compared with the record's own timestamp, not the clock: a replay decides the same.
    ahead = usable & (timestamps_ms >= 0) & (times > timestamps_ms * 1000 + schema.max_ahead_us)
    name, expected = schema.time_column, schema.time_format
    return [
        (int(i), "bad_time", f"column {name!r}: expected a time as {expected}, got {_shown(column, i)}")
        for i in np.flatnonzero(~usable)
    ] + [
        (
            int(i),
            "time_ahead",
            f"column {name!r}: {_shown(column, i)} is more than source.max_ahead after the record's own timestamp",
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


def _shown(column: pa.Array, row: np.integer[Any]) -> str:
    return repr(column[int(row)].as_py())[:80]
