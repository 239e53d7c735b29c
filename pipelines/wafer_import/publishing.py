"""Wafers of files into a topic."""

from dataclasses import dataclass, field

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.pipelines.publish.command import Plan, records_of
from sparsewatch.pipelines.publish.event_files import written_times
from sparsewatch.pipelines.wafer_files.formats import ReadOptions, read_wafers
from sparsewatch.pipelines.wafer_files.inspections import NO_TIME, Inspections
from sparsewatch.pipelines.wafer_import.survey import Defaults, Survey
from sparsewatch.schemas.errors import SinkError
from sparsewatch.transforms.kafka.client import Writer
from sparsewatch.transforms.records import Headers

#: A larger record is flushed alone, so that a refusal is known to be of this record.
_ALONE_BYTES = 1 << 18


@dataclass(slots=True)
class Times:
    """Event times: those of the files, generated where they have none."""

    column: str
    output: str
    start_us: int | None = None
    interval_us: int = 1_000_000
    _made: int = 0

    def fill(self, times_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """Times with `NO_TIME` replaced by the next times of the series."""
        missing = times_us == NO_TIME
        number = self._made + np.cumsum(missing) - 1
        self._made += int(missing.sum())
        return np.where(missing, (self.start_us or 0) + number * self.interval_us, times_us)


@dataclass(slots=True)
class Sent:
    """What became of the wafers of one file."""

    wafers: int = 0
    #: Wafers the topic does not take, by id, and why.
    refused: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class WaferPublisher:
    """Sends files of wafers, one after the other.

    Args:
        writer: Sends the records.
        plan: How wafers become records.
        most_bytes: Largest record the job takes.
        times: Event times.
        label_column: Column for the classes of labelled files; they are left out if None.
    """

    writer: Writer
    plan: Plan
    most_bytes: int
    times: Times
    label_column: str | None = None
    _records: int = 0
    _events: int = 0

    def send_file(
        self, found: Survey, counts: NDArray[np.bool_], options: ReadOptions, defaults: Defaults, sent: Sent
    ) -> None:
        """Send the wafers of a file that count; returns when they are durable.

        Args:
            found: The file.
            counts: Which of its wafers to send, shape (wafers,).
            options: The options of the survey.
            defaults: The defaults of the survey.
            sent: Updated as wafers are sent, even if this fails.

        Raises:
            SchemaError: If the file has changed since the survey.
            SinkError: If the broker cannot be reached.
        """
        at = 0
        for part in read_wafers(found.path, options):
            wanted = counts[at : at + part.rows.num_rows]
            at += part.rows.num_rows
            if wanted.any():
                self._send(self._frame(part, wanted, defaults), sent)
        self.writer.flush()

    def _frame(self, part: Inspections, wanted: NDArray[np.bool_], defaults: Defaults) -> pl.DataFrame:
        rows = defaults.fill(part.rows.filter(pa.array(wanted)))
        times = written_times(pl.Series(self.times.fill(part.times_us[wanted])), self.times.output)  # type: ignore[arg-type]
        frame = pl.DataFrame(rows).insert_column(0, times.alias(self.times.column))
        if self.label_column is not None and part.labels is not None:
            labels = pl.Series(self.label_column, part.labels).filter(pl.Series(wanted))
            frame = frame.with_columns(labels)
        return frame

    def _send(self, frame: pl.DataFrame, sent: Sent) -> None:
        for piece in frame.iter_slices(self._rows_per_record(frame)):
            for i, (partition, key, value, headers) in enumerate(
                records_of(piece, self.plan, self._records, self._events)
            ):
                wafers = piece if self.plan.format == "arrow" else piece[i]
                refusal = self._refusal(partition, key, value, headers)
                if refusal is None:
                    sent.wafers += wafers.height
                else:
                    sent.refused += [(wafer, refusal) for wafer in wafers["wafer_id"].to_list()]
                self._records += 1
            self._events += piece.height

    def _rows_per_record(self, frame: pl.DataFrame) -> int:
        """Of Arrow records: as many as stay small; a large wafer is a record alone."""
        if self.plan.format == "json":
            return max(1, frame.height)
        bytes_a_wafer = max(1, int(frame.estimated_size() / max(1, frame.height)))
        return max(1, min(self.plan.rows_per_record, _ALONE_BYTES // bytes_a_wafer))

    def _refusal(self, partition: int, key: bytes | None, value: bytes, headers: Headers) -> str | None:
        """Send one record; returns why it was refused, None if it was not."""
        if len(value) > self.most_bytes:
            return f"expected records of at most {self.most_bytes} bytes, as the job takes, got {len(value)}"
        alone = len(value) > _ALONE_BYTES
        if alone:
            self.writer.flush()
        try:
            self.writer.send(self.plan.topic, key, value, headers, partition=partition)
            if alone:
                self.writer.flush()
        except SinkError as error:
            if not alone:
                raise
            return str(error)
        return None
