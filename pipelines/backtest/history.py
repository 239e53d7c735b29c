"""Files as the records that `sparsewatch publish` would write to a topic of one partition, a run at a time.

Lines of JSON whose times are written as the job reads them are records as they stand, so what is broken or mistyped in
them is what it would be in the topic. All else is read as `publish --job` reads it, which refuses what does not fit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
import pyarrow as pa

from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.publish.command import Plan, records_of
from sparsewatch.pipelines.publish.event_files import EventFile, TimeRule, open_events, read_events
from sparsewatch.pipelines.tables.formats import files_of, format_of
from sparsewatch.pipelines.tables.json_files import read_lines
from sparsewatch.pipelines.tables.settings import Reading, TableSettings
from sparsewatch.pipelines.tables.streams import OnBytes, Progress
from sparsewatch.pipelines.tables.table import open_table
from sparsewatch.pipelines.tables.times import find_written, times_of
from sparsewatch.schemas.jobs import RECORD_TIME
from sparsewatch.transforms.records import Fetched

#: The partition that the events are of.
PARTITION = 0
#: Rows of each file by which is seen how its lines write times.
_LOOKED_AT = 10_000
_WAFERS = ".npz"


class History(Protocol):
    """Events in the order in which a job would read them."""

    @property
    def name(self) -> str:
        """What they come from, for messages."""

    def remarks(self) -> Sequence[str]:
        """What a person should know, once the events are read."""

    def runs(self, most: int, on_bytes: OnBytes) -> Iterator[Fetched]:
        """Records of one partition, of each run at most so many.

        Raises:
            SchemaError: If a file is damaged, or a value is not of the job's type.
        """


@dataclass(frozen=True, slots=True)
class LineHistory:
    """See `History`: each line of these files is a record."""

    name: str
    files: Sequence[Path]
    reading: Reading

    def remarks(self) -> Sequence[str]:
        """See `History`: what is wrong with a line is the job's to say."""
        return ()

    def runs(self, most: int, on_bytes: OnBytes) -> Iterator[Fetched]:
        """See `History`."""
        progress, first = Progress(self.files), 0
        for path in self.files:
            for lines in read_lines(path, self.reading, progress):
                for at in range(0, len(lines.texts), most):
                    yield _run(first, lines.texts[at : at + most])
                    first += len(lines.texts[at : at + most])
                on_bytes(progress.done, progress.total)


@dataclass(frozen=True, slots=True)
class TableHistory:
    """See `History`: tables of any format."""

    file: EventFile
    rule: TimeRule
    topic: str
    #: Whether its times are the timestamps of the records.
    stamped: bool

    @property
    def name(self) -> str:
        """See `History`."""
        return self.file.name

    def remarks(self) -> Sequence[str]:
        """See `History`."""
        written = () if self.file.written is None else self.file.written.remarks
        return [*self.file.table.remarks(), *written]

    def runs(self, most: int, on_bytes: OnBytes) -> Iterator[Fetched]:
        """See `History`."""
        plan, first = Plan(topic=self.topic, partitions=1), 0
        for batch in read_events(self.file, self.rule, on_bytes=on_bytes):
            for piece in batch.iter_slices(most):
                values = [value for _, _, value, _ in records_of(piece, plan, first, first)]
                yield _run(first, values, piece[self.rule.column] if self.stamped else None)
                first += piece.height


def _run(first: int, values: Sequence[bytes], times_ms: pl.Series | None = None) -> Fetched:
    n = len(values)
    stamps = np.full(n, -1) if times_ms is None else times_ms.cast(pl.Int64).fill_null(-1).to_numpy()
    return Fetched(PARTITION, np.arange(first, first + n), stamps, values, (), lambda _: None, first + n)


def open_history(job: Job, paths: Sequence[Path], rule: TimeRule, reading: Reading, on_bytes: OnBytes) -> History:
    """Open files, folders or patterns.

    Args:
        job: Says what their events hold.
        paths: What to read, in the order of its events.
        rule: How event times are read.
        reading: How texts are read.
        on_bytes: Called with the bytes read so far and in all, where all rows must be read to open the files.

    Raises:
        ConfigError: If a file or the time column is missing, or times have two readings.
        SchemaError: If a file is damaged, or a value of a table is not of the job's type.
    """
    stamped = job.source.time_column == RECORD_TIME
    if not stamped and _are_records(job, paths, rule, reading):
        files = [file for path in paths for file in files_of(path)]
        name = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
        return LineHistory(name, files, reading)
    file = open_events(*paths, job=job, rule=rule, reading=reading, on_bytes=on_bytes)
    return TableHistory(file, rule, job.source.topic, stamped)


def _are_records(job: Job, paths: Sequence[Path], rule: TimeRule, reading: Reading) -> bool:
    """Whether files are JSON lines that write event times as the job reads them."""
    if rule.start_us is not None or any(path.suffix == _WAFERS for path in paths):
        return False
    if not all(format_of(file, reading.encoding) == "jsonl" for path in paths for file in files_of(path)):
        return False
    settings = TableSettings(
        columns=(rule.column,), times=frozenset({rule.column}), reading=reading, most_rows=_LOOKED_AT
    )
    table = open_table(paths, settings.for_source(job.source))
    written = find_written(str(paths[0]), times_of(table, rule.column), rule.column, rule.output, rule.pattern)
    kind = table.schema.field(rule.column).type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return written.form == rule.output and (is_text if rule.output == "iso8601" else pa.types.is_integer(kind))


def time_rule(job: Job, pattern: str | None, start_us: int | None, interval_us: int) -> TimeRule:
    """How the event times of files are read for a job: files name the timestamps of records as jobs do.

    Args:
        job: The job.
        pattern: How they are written; found from the values if None.
        start_us: Generated times: the first.
        interval_us: Generated times: the step.
    """
    source = job.source
    output = "epoch_ms" if source.time_column == RECORD_TIME else source.time_format
    return TimeRule(
        column=source.time_column, output=output, pattern=pattern, start_us=start_us, interval_us=interval_us
    )
