"""Files of events, batch by batch, with event times as the stream expects them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.pipelines.tables.blocks import head
from sparsewatch.pipelines.tables.rejects import Rejected
from sparsewatch.pipelines.tables.settings import PLAIN, Reading, TableSettings
from sparsewatch.pipelines.tables.streams import OnBytes, Progress
from sparsewatch.pipelines.tables.table import Table, open_table
from sparsewatch.pipelines.tables.times import Written, find_written, times_of
from sparsewatch.pipelines.wafer_files.labelled import read_wafer_npz
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import TimeFormat
from sparsewatch.schemas.units import US_PER_EPOCH_UNIT

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
    #: How the event times are written; None where that is not known yet, or they are generated.
    written: Written | None = None
    #: Most events that are read; all if None.
    limit: int | None = None

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
    #: How the file writes them: one of `TimeFormat`, `epoch_ns` or a strptime pattern; found from the values if None.
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
    settings = TableSettings(
        types={} if job is None else _types(job),
        times=frozenset() if rule is None else frozenset({rule.column}),
        reading=reading,
        own_times=True,
        moments="epoch_ms" if rule is None else rule.output,
        most_rows=limit,
        piece_rows=BATCH_ROWS,
    )
    settings = settings if job is None else settings.for_source(job.source)
    file = EventFile(name, open_table(paths, settings, on_bytes), limit=limit)
    if rule is not None:
        file = replace(file, written=find_times(file, rule))
    file.table.look_over(_time_check(file, rule), limit, on_bytes)
    return file


def _time_check(file: EventFile, rule: TimeRule | None) -> Callable[[pa.RecordBatch], Any] | None:
    """A check of the time column, where a value may be no time."""
    written = file.written
    if written is None or rule is None or _is_time(file.schema.field(written.column).type, written, rule):
        return None
    return lambda piece: written.every(piece.column(written.column), file.name)


def _is_time(kind: pa.DataType, written: Written, rule: TimeRule) -> bool:
    """Whether every value of a column is a time, and as the stream expects it if it is a number."""
    return bool(pa.types.is_temporal(kind) or (pa.types.is_integer(kind) and written.form == rule.output))


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


def find_times(file: EventFile, rule: TimeRule) -> Written | None:
    """How a file writes its event times; None if they are generated.

    Raises:
        ConfigError: If the time column is missing, exists although it is to be generated, or has two readings.
        SchemaError: If its values are no times.
    """
    columns = f"{file.name} has the columns {', '.join(file.columns)}"
    if rule.start_us is not None:
        if rule.column in file.columns:
            raise ConfigError(f"--start generates the column {rule.column!r}, but it exists: {columns}")
        if rule.pattern is not None:
            raise ConfigError(
                "--start generates event times, --input-time-format reads them: expected only one of the two"
            )
        return None
    if rule.column not in file.columns:
        raise ConfigError(f"--time-column {rule.column!r}: {columns}; --start and --interval generate event times")
    kind = file.schema.field(rule.column).type
    if pa.types.is_nested(kind) or pa.types.is_boolean(kind):
        raise ConfigError(f"--time-column {rule.column!r} of {file.name} is {kind}: expected times, numbers or text")
    return find_written(file.name, times_of(file.table, rule.column), rule.column, rule.output, rule.pattern)


def read_events(
    file: EventFile, rule: TimeRule, *, sort: bool = False, on_bytes: OnBytes | None = None
) -> Iterator[pl.DataFrame]:
    """Batches with event times as `rule` says; other columns of times are written alike.

    Args:
        file: As from `open_events`.
        rule: How event times are read and written.
        sort: Read all files whole and order it by time.
        on_bytes: Called with the bytes read so far and in all.

    Raises:
        ConfigError: As `find_times` does.
        SchemaError: If a file is damaged, or a value is no time or not of its column's type.
    """
    written = file.written or find_times(file, rule)
    if sort:
        rows = _timed(pl.concat([*_batches(file, on_bytes), _empty(file)]), rule, written, 0, file.name)
        yield from rows.sort(rule.column, maintain_order=True).iter_slices(file.batch_rows)
        return
    first = 0
    for batch in _batches(file, on_bytes):
        yield _timed(batch, rule, written, first, file.name)
        first += batch.height


def _empty(file: EventFile) -> pl.DataFrame:
    return pl.DataFrame(file.schema.empty_table())


def _batches(file: EventFile, on_bytes: OnBytes | None) -> Iterator[pl.DataFrame]:
    return (pl.DataFrame(batch) for batch in head(file.table.pieces(on_bytes), file.limit) if batch.num_rows)


def _timed(batch: pl.DataFrame, rule: TimeRule, written: Written | None, first: int, name: str) -> pl.DataFrame:
    if rule.start_us is not None:
        times = pl.int_range(first, first + batch.height, eager=True) * rule.interval_us + rule.start_us
        batch = batch.with_columns(written_times(times, rule.output).alias(rule.column))
    elif written is not None:
        column = batch[rule.column].to_arrow(compat_level=_ARROW)
        if not _is_time(column.type, written, rule):
            times = written.every(column, name)
            batch = batch.with_columns(written_times(times, rule.output).alias(rule.column))
    moments = [column for column in batch if isinstance(column.dtype, pl.Datetime | pl.Date)]
    return batch.with_columns(
        written_times(column.cast(pl.Datetime("us")).dt.epoch("us"), rule.output) for column in moments
    )


def written_times(times_us: pl.Series, output: TimeFormat) -> pl.Series:
    """Times in microseconds since the epoch, as the stream expects them."""
    if output == "iso8601":
        return times_us.cast(pl.Datetime("us")).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    return times_us // US_PER_EPOCH_UNIT[output]
