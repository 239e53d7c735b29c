"""Files of events, batch by batch, with event times as a stream wants them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from pipelines.wafer_files import read_wafer_npz
from schemas.errors import ConfigError
from schemas.jobs import TimeFormat

#: Rows read at once; a wafer has hundreds of values, so fewer of them.
BATCH_ROWS = 32_768
WAFER_BATCH_ROWS = 512
_CSV_BLOCK_BYTES = 8 << 20
_UNITS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}


@dataclass(frozen=True, slots=True)
class EventFile:
    """A file of events."""

    path: Path
    columns: tuple[str, ...]
    #: None where only reading tells.
    rows: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRule:
    """Where event times come from, and how they are written."""

    column: str
    output: TimeFormat = "epoch_ms"
    #: strptime pattern of the file's integers or text; None if they are times already.
    pattern: str | None = None
    #: Made times: the first one and the step, for files that hold none. Microseconds.
    start_us: int | None = None
    interval_us: int = 0


def open_events(path: Path) -> EventFile:
    """Look at a file.

    Raises:
        ConfigError: If it is missing, or neither Parquet, CSV nor npz.
    """
    if not path.is_file():
        raise ConfigError(f"no such file: {path}")
    try:
        if path.suffix == ".npz":
            rows = read_wafer_npz(path).rows
            return EventFile(path, tuple(rows.schema.names), rows.num_rows)
        if path.suffix == ".csv":
            with pa_csv.open_csv(path, _csv_options()) as reader:
                return EventFile(path, tuple(reader.schema.names), None)
        with pq.ParquetFile(path) as file:
            return EventFile(path, tuple(file.schema_arrow.names), file.metadata.num_rows)
    except (pa.ArrowInvalid, OSError) as error:
        raise ConfigError(f"{path}: expected Parquet, CSV (.csv) or wafers (.npz): {error}") from error


def _csv_options() -> pa_csv.ReadOptions:
    return pa_csv.ReadOptions(block_size=_CSV_BLOCK_BYTES)


def read_events(file: EventFile, rule: TimeRule, *, sort: bool = False) -> Iterator[pl.DataFrame]:
    """Batches with the time column as `rule` says.

    Args:
        file: As from `open_events`.
        rule: What to do about event times.
        sort: Read the file whole and order it by time.

    Raises:
        ConfigError: If the time column is missing or cannot be read as times.
    """
    if rule.start_us is None and rule.column not in file.columns:
        raise ConfigError(f"--time-column {rule.column!r}: {file.path} has the columns {', '.join(file.columns)}")
    first = 0
    batches = _whole(file, rule) if sort else _batches(file)
    for batch in batches:
        yield _timed(batch, rule, first, file.path)
        first += batch.height


def _batches(file: EventFile) -> Iterator[pl.DataFrame]:
    try:
        for batch in _arrow_batches(file):
            if batch.num_rows:
                yield pl.DataFrame(batch)
    except (pa.ArrowInvalid, OSError) as error:
        raise ConfigError(f"{file.path} cannot be read on: {error}") from error


def _arrow_batches(file: EventFile) -> Iterator[pa.RecordBatch]:
    if file.path.suffix == ".npz":
        rows = read_wafer_npz(file.path).rows
        yield from (rows.slice(i, WAFER_BATCH_ROWS) for i in range(0, rows.num_rows, WAFER_BATCH_ROWS))
    elif file.path.suffix == ".csv":
        with pa_csv.open_csv(file.path, _csv_options()) as reader:
            yield from reader
    else:
        with pq.ParquetFile(file.path) as parquet:
            yield from parquet.iter_batches(BATCH_ROWS)


def _whole(file: EventFile, rule: TimeRule) -> Iterator[pl.DataFrame]:
    rows = pl.concat(_batches(file))
    ordered = rows if rule.start_us is not None else rows.sort(rule.column, maintain_order=True)
    step = WAFER_BATCH_ROWS if file.path.suffix == ".npz" else BATCH_ROWS
    yield from ordered.iter_slices(step)


def _timed(batch: pl.DataFrame, rule: TimeRule, first: int, path: Path) -> pl.DataFrame:
    if rule.start_us is not None:
        times = pl.int_range(first, first + batch.height, eager=True) * rule.interval_us + rule.start_us
        return batch.with_columns(_written(times, rule.output).alias(rule.column))
    column = batch[rule.column]
    if rule.pattern is not None:
        column = _parsed(column, rule.pattern, path)
    if isinstance(column.dtype, pl.Datetime | pl.Date):
        column = _written(column.cast(pl.Datetime("us")).dt.epoch("us"), rule.output)
    return batch.with_columns(column.alias(rule.column))


def _parsed(column: pl.Series, pattern: str, path: Path) -> pl.Series:
    text = column.cast(pl.String)
    if "%H" in pattern and "%M" not in pattern:
        # polars takes an hour only together with a minute.
        text, pattern = text + ":00", pattern + ":%M"
    try:
        return text.str.to_datetime(pattern, time_unit="us")
    except (pl.exceptions.InvalidOperationError, pl.exceptions.ComputeError) as error:
        shown = column.head(1).to_list()
        raise ConfigError(f"--input-time-format: values such as {shown} of {path} do not follow it: {error}") from error


def _written(times_us: pl.Series, output: TimeFormat) -> pl.Series:
    if output == "iso8601":
        return times_us.cast(pl.Datetime("us")).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    return times_us // _UNITS[output]


def parse_moment_us(text: str) -> int:
    """Microseconds of an ISO-8601 time; without an offset it is UTC.

    >>> parse_moment_us("1970-01-01T00:00:01")
    1000000

    Raises:
        ConfigError: If the text is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"expected a time such as 2026-01-31T12:00Z, got {text!r}") from error
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1e6)
