"""Files of events, batch by batch, with event times as a stream wants them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from sparsewatch.pipelines.tables.parquet import read_row_groups
from sparsewatch.pipelines.wafer_files.labelled import read_wafer_npz
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import TimeFormat
from sparsewatch.transforms.codecs.events import event_times_us

#: Rows read at once; a wafer has hundreds of values, so fewer of them.
BATCH_ROWS = 32_768
WAFER_BATCH_ROWS = 512
_CSV_BLOCK_BYTES = 8 << 20
#: Arrow types every reader knows, rather than the newest.
_ARROW = pl.CompatLevel.oldest()
_UNITS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}


@dataclass(frozen=True, slots=True)
class EventFile:
    """A file of events."""

    path: Path
    #: Columns and their types.
    schema: pa.Schema
    #: None where only reading tells.
    rows: int | None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.schema.names)

    @property
    def batch_rows(self) -> int:
        """Rows of a batch."""
        return WAFER_BATCH_ROWS if self.path.suffix == ".npz" else BATCH_ROWS


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRule:
    """Where event times come from, and how they are written."""

    column: str
    output: TimeFormat = "epoch_ms"
    #: How the file writes them: one of `TimeFormat` or a strptime pattern; None if they are times already.
    pattern: str | None = None
    #: Made times: the first one and the step, for files that hold none. Microseconds.
    start_us: int | None = None
    interval_us: int = 0


def open_events(path: Path) -> EventFile:
    """Look at a file.

    Raises:
        ConfigError: If it is missing, or neither Parquet, CSV nor npz.
        SchemaError: If an npz file holds no wafers.
    """
    if not path.is_file():
        raise ConfigError(f"no such file: {path}")
    try:
        if path.suffix == ".npz":
            rows = read_wafer_npz(path).rows
            return EventFile(path, rows.schema, rows.num_rows)
        if path.suffix == ".csv":
            with pa_csv.open_csv(path, _csv_options()) as reader:
                return EventFile(path, reader.schema, None)
        with pq.ParquetFile(path) as file:
            return EventFile(path, file.schema_arrow, file.metadata.num_rows)
    except (pa.ArrowInvalid, OSError) as error:
        raise ConfigError(f"{path}: expected Parquet, CSV (.csv) or wafers (.npz): {error}") from error


def check_times(file: EventFile, rule: TimeRule) -> None:
    """Whether a file's times can be read as `rule` says, as far as its columns tell.

    Raises:
        ConfigError: If the time column is missing, is there although it shall be made, or needs a format.
    """
    columns = f"{file.path} has the columns {', '.join(file.columns)}"
    if rule.start_us is not None:
        if rule.column in file.columns:
            raise ConfigError(f"--start makes a column, but {rule.column!r} is there: {columns}")
        if rule.pattern is not None:
            raise ConfigError("--start makes event times, --input-time-format reads them: expected one of both")
        return
    if rule.column not in file.columns:
        raise ConfigError(f"--time-column {rule.column!r}: {columns}; --start and --interval make event times")
    kind = file.schema.field(rule.column).type
    written = pa.types.is_integer(kind) if rule.output in _UNITS else _is_text(kind)
    if rule.pattern is None and not (pa.types.is_timestamp(kind) or pa.types.is_date(kind) or written):
        raise ConfigError(
            f"--time-column {rule.column!r} of {file.path} is {kind}, not {rule.output}: --input-time-format says what "
            "it is"
        )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _csv_options() -> pa_csv.ReadOptions:
    return pa_csv.ReadOptions(block_size=_CSV_BLOCK_BYTES)


def read_events(file: EventFile, rule: TimeRule, *, sort: bool = False) -> Iterator[pl.DataFrame]:
    """Batches with event times as `rule` says; other columns of times are written alike.

    Args:
        file: As from `open_events`.
        rule: What to do about event times.
        sort: Read the file whole and order it by time.

    Raises:
        ConfigError: If a value of the time column cannot be read, or the file cannot be read on.
    """
    check_times(file, rule)
    if sort:
        rows = _timed(pl.concat([*_batches(file), _empty(file)]), rule, 0, file.path)
        yield from rows.sort(rule.column, maintain_order=True).iter_slices(file.batch_rows)
        return
    first = 0
    for batch in _batches(file):
        yield _timed(batch, rule, first, file.path)
        first += batch.height


def _empty(file: EventFile) -> pl.DataFrame:
    return pl.DataFrame(file.schema.empty_table())


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
            yield from read_row_groups(parquet, BATCH_ROWS)


def _timed(batch: pl.DataFrame, rule: TimeRule, first: int, path: Path) -> pl.DataFrame:
    if rule.start_us is not None:
        times = pl.int_range(first, first + batch.height, eager=True) * rule.interval_us + rule.start_us
        batch = batch.with_columns(written_times(times, rule.output).alias(rule.column))
    elif rule.pattern is not None:
        times = _parsed(batch[rule.column], rule.pattern, path)
        batch = batch.with_columns(written_times(times, rule.output).alias(rule.column))
    moments = [column for column in batch if isinstance(column.dtype, pl.Datetime | pl.Date)]
    return batch.with_columns(
        written_times(column.cast(pl.Datetime("us")).dt.epoch("us"), rule.output) for column in moments
    )


def _parsed(column: pl.Series, pattern: str, path: Path) -> pl.Series:
    """Microseconds of values that follow a pattern; null stays null."""
    try:
        if pattern not in get_args(TimeFormat):
            return _strptime(column.cast(pl.String), pattern).dt.epoch("us")
        if pattern in _UNITS and column.dtype.is_float():
            return (column * _UNITS[pattern]).round().cast(pl.Int64)
        raw = column.cast(pl.String if pattern == "iso8601" else pl.Int64)
        times, good = event_times_us(raw.to_arrow(compat_level=_ARROW), pattern)  # type: ignore[arg-type]
    except pl.exceptions.PolarsError as error:
        shown = column.drop_nulls().head(1).to_list()
        raise ConfigError(
            f"--input-time-format {pattern}: values such as {shown} of {path} do not follow it"
        ) from error
    read = pl.Series(column.name, times).set(pl.Series(~good), None)
    if len(wrong := column.filter(read.is_null() & column.is_not_null())):
        raise ConfigError(f"--input-time-format {pattern}: {wrong[0]!r} of {path} does not follow it")
    return read


def _strptime(text: pl.Series, pattern: str) -> pl.Series:
    if "%H" in pattern and "%M" not in pattern:
        # polars takes an hour only together with a minute.
        text, pattern = text + ":00", pattern + ":%M"
    return text.str.to_datetime(pattern, time_unit="us")


def written_times(times_us: pl.Series, output: TimeFormat) -> pl.Series:
    """Times in microseconds since the epoch, as a stream wants them."""
    if output == "iso8601":
        return times_us.cast(pl.Datetime("us")).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    return times_us // _UNITS[output]
