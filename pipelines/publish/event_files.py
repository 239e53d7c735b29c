"""Files of events, batch by batch, with event times as the stream expects them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import polars as pl
import pyarrow as pa

from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.pipelines.tables.rejects import Rejected
from sparsewatch.pipelines.tables.settings import PLAIN, Reading, TableSettings
from sparsewatch.pipelines.tables.streams import OnBytes, Progress
from sparsewatch.pipelines.tables.table import Table, open_table
from sparsewatch.pipelines.wafer_files.labelled import read_wafer_npz
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import TimeFormat
from sparsewatch.schemas.units import US_PER_EPOCH_UNIT
from sparsewatch.transforms.codecs.events import event_times_us

#: Rows read at once; a wafer has hundreds of values, so fewer of them.
BATCH_ROWS = 32_768
WAFER_BATCH_ROWS = 512
#: Arrow types every reader knows, rather than the newest.
_ARROW = pl.CompatLevel.oldest()
_WAFERS = ".npz"


@dataclass(frozen=True, slots=True)
class EventFile:
    """Events of one or more files."""

    #: The files as a person named them, for messages.
    name: str
    table: Table
    #: Rows of a batch.
    batch_rows: int = BATCH_ROWS

    @property
    def schema(self) -> pa.Schema:
        """Columns and their types."""
        return self.table.schema

    @property
    def rows(self) -> int | None:
        """Number of events; None if it is known only after reading."""
        return self.table.rows

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.schema.names)


@dataclass(frozen=True, slots=True)
class WaferPart:
    """Wafers of one npz file."""

    path: Path
    rows: pa.RecordBatch

    def pieces(self, rejected: Rejected, progress: Progress) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        """Batches of `WAFER_BATCH_ROWS` wafers."""
        yield from (self.rows.slice(i, WAFER_BATCH_ROWS) for i in range(0, self.rows.num_rows, WAFER_BATCH_ROWS))
        progress.add(self.path.stat().st_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRule:
    """Where event times come from, and how they are written."""

    column: str
    output: TimeFormat = "epoch_ms"
    #: How the file writes them: one of `TimeFormat` or a strptime pattern; None if they are times already.
    pattern: str | None = None
    #: Generated times: the first and the step, for files that hold none. Microseconds.
    start_us: int | None = None
    interval_us: int = 0


def open_events(
    *paths: Path,
    job: Job | None = None,
    rule: TimeRule | None = None,
    reading: Reading = PLAIN,
    limit: int | None = None,
    on_bytes: OnBytes | None = None,
) -> EventFile:
    """Look at files, folders or patterns.

    Args:
        paths: What to read.
        job: Its column types apply, and all values are checked against them; types are inferred if None.
        rule: How event times are read.
        reading: How texts are read.
        limit: Most events that are read.
        on_bytes: Called with the bytes read so far and in all, where all rows must be read to open the files.

    Raises:
        ConfigError: If a file is missing.
        SchemaError: If a file is neither a table nor holds wafers, or a value is not of the job's type.
    """
    name = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
    if any(path.suffix == _WAFERS for path in paths):
        return EventFile(name, _wafers(paths), WAFER_BATCH_ROWS)
    text = {rule.column} if rule is not None and rule.pattern not in (None, *get_args(TimeFormat)) else set()
    settings = TableSettings(
        types={} if job is None else _types(job),
        as_text=frozenset(text),
        reading=reading,
        own_times=True,
        look_over=job is not None,
        most_rows=limit,
        piece_rows=BATCH_ROWS,
    )
    return EventFile(name, open_table(paths, settings, on_bytes))


def _types(job: Job) -> dict[str, pa.DataType]:
    """Types of a job's columns; how event times are written is another matter."""
    return {field.name: field.type for field in ready(job).events.columns if field.name != job.source.time_column}


def _wafers(paths: Sequence[Path]) -> Table:
    parts = []
    for path in paths:
        if path.suffix != _WAFERS:
            raise ConfigError(f"{path}: expected only npz files, got another file beside them")
        if not path.is_file():
            raise ConfigError(f"no such file: {path}")
        parts.append(WaferPart(path, read_wafer_npz(path).rows))
    return Table(parts, parts[0].rows.schema, sum(part.rows.num_rows for part in parts))


def check_times(file: EventFile, rule: TimeRule) -> None:
    """Check from a file's columns that its times can be read as `rule` says.

    Raises:
        ConfigError: If the time column is missing, exists although it is to be generated, or needs a format.
    """
    columns = f"{file.name} has the columns {', '.join(file.columns)}"
    if rule.start_us is not None:
        if rule.column in file.columns:
            raise ConfigError(f"--start generates the column {rule.column!r}, but it exists: {columns}")
        if rule.pattern is not None:
            raise ConfigError(
                "--start generates event times, --input-time-format reads them: expected only one of the two"
            )
        return
    if rule.column not in file.columns:
        raise ConfigError(f"--time-column {rule.column!r}: {columns}; --start and --interval generate event times")
    kind = file.schema.field(rule.column).type
    written = pa.types.is_integer(kind) if rule.output in US_PER_EPOCH_UNIT else _is_text(kind)
    if rule.pattern is None and not (pa.types.is_timestamp(kind) or pa.types.is_date(kind) or written):
        raise ConfigError(
            f"--time-column {rule.column!r} of {file.name} is {kind}, not {rule.output}: name its format with "
            "--input-time-format"
        )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def read_events(file: EventFile, rule: TimeRule, *, sort: bool = False) -> Iterator[pl.DataFrame]:
    """Batches with event times as `rule` says; other columns of times are written alike.

    Args:
        file: As from `open_events`.
        rule: How event times are read and written.
        sort: Read all files whole and order it by time.

    Raises:
        ConfigError: If a value of the time column cannot be read.
        SchemaError: If a file is damaged, or a value is not of its column's type.
    """
    check_times(file, rule)
    if sort:
        rows = _timed(pl.concat([*_batches(file), _empty(file)]), rule, 0, file.name)
        yield from rows.sort(rule.column, maintain_order=True).iter_slices(file.batch_rows)
        return
    first = 0
    for batch in _batches(file):
        yield _timed(batch, rule, first, file.name)
        first += batch.height


def _empty(file: EventFile) -> pl.DataFrame:
    return pl.DataFrame(file.schema.empty_table())


def _batches(file: EventFile) -> Iterator[pl.DataFrame]:
    return (pl.DataFrame(batch) for batch in file.table.pieces() if batch.num_rows)


def _timed(batch: pl.DataFrame, rule: TimeRule, first: int, name: str) -> pl.DataFrame:
    if rule.start_us is not None:
        times = pl.int_range(first, first + batch.height, eager=True) * rule.interval_us + rule.start_us
        batch = batch.with_columns(written_times(times, rule.output).alias(rule.column))
    elif rule.pattern is not None:
        times = _parsed(batch[rule.column], rule.pattern, name)
        batch = batch.with_columns(written_times(times, rule.output).alias(rule.column))
    moments = [column for column in batch if isinstance(column.dtype, pl.Datetime | pl.Date)]
    return batch.with_columns(
        written_times(column.cast(pl.Datetime("us")).dt.epoch("us"), rule.output) for column in moments
    )


def _parsed(column: pl.Series, pattern: str, name: str) -> pl.Series:
    """Microseconds of values that follow a pattern; null stays null."""
    try:
        if pattern not in get_args(TimeFormat):
            return _strptime(column.cast(pl.String), pattern).dt.epoch("us")
        if pattern in US_PER_EPOCH_UNIT and column.dtype.is_float():
            return (column * US_PER_EPOCH_UNIT[pattern]).round().cast(pl.Int64)
        raw = column.cast(pl.String if pattern == "iso8601" else pl.Int64)
        times, good = event_times_us(raw.to_arrow(compat_level=_ARROW), pattern)  # type: ignore[arg-type]
    except pl.exceptions.PolarsError as error:
        shown = column.drop_nulls().head(1).to_list()
        raise ConfigError(f"--input-time-format {pattern}: values such as {shown} of {name} do not match it") from error
    read = pl.Series(column.name, times).set(pl.Series(~good), None)
    if len(wrong := column.filter(read.is_null() & column.is_not_null())):
        raise ConfigError(f"--input-time-format {pattern}: {wrong[0]!r} of {name} does not match it")
    return read


def _strptime(text: pl.Series, pattern: str) -> pl.Series:
    if "%H" in pattern and "%M" not in pattern:
        # polars takes an hour only together with a minute.
        text, pattern = text + ":00", pattern + ":%M"
    return text.str.to_datetime(pattern, time_unit="us")


def written_times(times_us: pl.Series, output: TimeFormat) -> pl.Series:
    """Times in microseconds since the epoch, as the stream expects them."""
    if output == "iso8601":
        return times_us.cast(pl.Datetime("us")).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    return times_us // US_PER_EPOCH_UNIT[output]
