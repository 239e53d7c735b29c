"""The sample of files: the events as `sparsewatch publish` would write them to a topic."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sparsewatch.pipelines.init.sample import Column, Sample, unfit
from sparsewatch.pipelines.publish.event_files import TimeRule, open_events
from sparsewatch.pipelines.tables.blocks import head
from sparsewatch.pipelines.tables.settings import Reading
from sparsewatch.pipelines.tables.streams import OnBytes
from sparsewatch.pipelines.tables.table import Table
from sparsewatch.pipelines.tables.times import Written
from sparsewatch.schemas.errors import SchemaError
from sparsewatch.transforms.codecs.events import file_times_us

_US_PER_MS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTimes:
    """What a user says of the times of files, as to `sparsewatch publish`."""

    column: str | None = None
    #: How the column is written; found from the values if None.
    form: str | None = None


def sample_of_files(
    paths: Sequence[Path], most_events: int, reading: Reading, times: FileTimes, on_bytes: OnBytes | None = None
) -> Sample:
    """The first events of files.

    Args:
        paths: Files, folders or patterns.
        most_events: How many are wanted.
        reading: How texts are read.
        times: What is known of their times.
        on_bytes: Called with the bytes read so far and in all.

    Raises:
        ConfigError: If a file or a column is missing, or times have two readings.
        SchemaError: If a file is damaged, or there is no event.
    """
    rule = None if times.column is None else TimeRule(column=times.column, pattern=times.form)
    file = open_events(*paths, rule=rule, reading=reading, limit=most_events, on_bytes=on_bytes)
    rows = pa.Table.from_batches(list(head(file.table.pieces(), most_events)), file.schema)[:most_events]
    if not rows.num_rows:
        raise SchemaError(f"{file.name}: expected events, got none")
    n = rows.num_rows
    return Sample(
        name=file.name,
        columns={name: _column(name, rows.column(name), file.written) for name in rows.schema.names},
        partitions=np.zeros(n, np.int32),
        offsets=np.arange(n),
        timestamps_ms=np.full(n, -1),
        of_events=_events(file.table, n),
        is_topic=False,
    )


def _events(table: Table, read: int) -> int:
    return read if table.rows is None else table.rows


def _column(name: str, values: Any, written: Written | None) -> Column:
    values = values.combine_chunks()
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        times, usable = file_times_us(values, "epoch_us")
        values = pa.array(times // _US_PER_MS, mask=~usable)
    elif written is not None and written.column == name:
        times, usable = written.read(values)
        values = pa.array(times // _US_PER_MS, mask=~usable)
    values = values.cast(pa.string()) if pa.types.is_large_string(values.type) else values
    why = unfit(name, values.type)
    return Column(name, pa.nulls(len(values)) if why else values, unfit=why)
