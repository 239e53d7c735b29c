"""Files of wafer events: JSON lines, Parquet, Arrow IPC. Their wafers must be valid wafer events of a job."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sparsewatch.detectors.sparse_net.outside import COLLAPSED, OUTSIDE
from sparsewatch.detectors.sparse_net.points import validate_wafers
from sparsewatch.pipelines.tables.parquet_files import read_row_groups
from sparsewatch.pipelines.tables.times import doubt
from sparsewatch.pipelines.wafer_files.faults import FaultCode, WaferFileError
from sparsewatch.pipelines.wafer_files.inspections import NO_TIME, Inspections
from sparsewatch.pipelines.wafer_files.labelled import LABEL, wafer_columns
from sparsewatch.pipelines.wafer_files.text_files import read_pieces
from sparsewatch.schemas.errors import SchemaError
from sparsewatch.schemas.jobs import TimeFormat
from sparsewatch.schemas.wafers import WAFER_COLUMNS
from sparsewatch.transforms.codecs.events import file_times_us
from sparsewatch.transforms.codecs.json import decode_json

#: Wafers of a batch: each has hundreds to millions of values.
BATCH_WAFERS = 512
#: Longest JSON event.
_LONGEST_EVENT = 64 << 20
#: Faults of wafers that lie elsewhere than on their disc.
_PLACE: dict[str, FaultCode] = {OUTSIDE: "outside_wafer", COLLAPSED: "collapsed_wafer"}
_DAMAGED = (OSError, pa.ArrowException, UnicodeDecodeError)


def read_json_events(path: Path, time_column: str, time_format: TimeFormat) -> Iterator[Inspections]:
    """Wafers of a file with a JSON object a line; it may be packed with gzip or zstd.

    Raises:
        WaferFileError: With the name of the fault and its line.
    """
    kind = pa.string() if time_format == "iso8601" else pa.int64()
    columns = pa.schema([pa.field(time_column, kind), pa.field(LABEL, pa.string()), *_nullable()])
    for first, piece in read_pieces(path, _LONGEST_EVENT):
        lines = piece.splitlines()
        filled = [(number, line) for number, line in enumerate(lines, first) if line.strip()]
        rows, faults, *_ = decode_json([line for _, line in filled], columns)
        if faults:
            row, _, message = faults[0]
            raise WaferFileError("bad_event", path, message, filled[row][0])
        if rows.num_rows:
            given = [name for name in rows.schema.names if rows[name].null_count < rows.num_rows]
            yield inspections_of(pa.Table.from_batches([rows]).select(given), path, time_column, time_format)


def read_arrow_events(path: Path, time_column: str, time_format: TimeFormat) -> Iterator[Inspections]:
    """Wafers of a Parquet file or of an Arrow IPC file or stream.

    Raises:
        WaferFileError: With the name of the fault.
    """
    try:
        for batch in _batches(path):
            for part in (batch.slice(i, BATCH_WAFERS) for i in range(0, batch.num_rows, BATCH_WAFERS)):
                yield inspections_of(pa.Table.from_batches([part]), path, time_column, time_format)
    except _DAMAGED as error:
        raise WaferFileError("unreadable", path, f"expected Parquet or Arrow IPC: {error}") from error


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    with path.open("rb") as stream:
        magic = stream.read(6)
    if magic[:4] == b"PAR1":
        with pq.ParquetFile(path) as parquet:
            yield from read_row_groups(parquet, BATCH_WAFERS)
        return
    with pa.OSFile(str(path)) as source:
        if magic != b"ARROW1":
            yield from pa.ipc.open_stream(source)
            return
        reader = pa.ipc.open_file(source)
        yield from (reader.get_batch(i) for i in range(reader.num_record_batches))


def inspections_of(table: pa.Table, path: Path, time_column: str, time_format: TimeFormat) -> Inspections:
    """Wafers of a table; columns left out get their defaults, wafer and lot must be there.

    Raises:
        WaferFileError: `bad_event` if a row is no wafer, or its time is invalid.
    """
    if missing := [name for name in ("wafer_id", "lot") if name not in table.column_names]:
        raise WaferFileError("bad_event", path, f"expected a column {missing[0]!r}, got {table.column_names}")
    try:
        table.validate(full=True)
        rows = wafer_columns(table, path)
    except (SchemaError, pa.ArrowInvalid) as error:
        raise WaferFileError("bad_event", path, str(error)) from error
    times = _times_us(table, path, time_column, time_format)
    labels = None
    if LABEL in table.column_names and not table[LABEL].null_count:
        labels = table[LABEL].cast(pa.string()).to_pylist()
    return Inspections(rows, times, labels=labels)


def check_wafers(rows: pa.RecordBatch, path: Path) -> None:
    """Refuse rows that are no wafers.

    Raises:
        WaferFileError: `bad_event`, `outside_wafer` or `collapsed_wafer`, about the first such row.
    """
    nulls = [field.name for field in WAFER_COLUMNS if not field.nullable and rows[field.name].null_count]
    if nulls:
        raise WaferFileError("bad_event", path, f"expected a value in column {nulls[0]!r} of each wafer, got null")
    if faults := validate_wafers(rows):
        _, code, message = faults[0]
        raise WaferFileError(_PLACE.get(code, "bad_event"), path, message)


def _times_us(table: pa.Table, path: Path, time_column: str, time_format: TimeFormat) -> NDArray[np.int64]:
    if time_column not in table.column_names or table[time_column].null_count == table.num_rows:
        return np.full(table.num_rows, NO_TIME)
    column = table[time_column].combine_chunks()
    try:
        times, good = file_times_us(column, time_format)
    except SchemaError as error:
        raise WaferFileError("bad_event", path, f"column {time_column!r} is not {time_format}: {error}") from error
    if good.any() and (text := doubt(column, times[good], time_format)):
        raise WaferFileError("bad_event", path, f"column {time_column!r}: expected {time_format}: {text}")
    # A wafer without a time is that, among others, too.
    missing = column.is_null().to_numpy(zero_copy_only=False)
    if not (good | missing).all():
        shown = column[int(np.argmin(good | missing))]
        raise WaferFileError("bad_event", path, f"column {time_column!r}: expected {time_format}, got {shown}")
    return np.where(missing, NO_TIME, np.asarray(times, dtype=np.int64))


def _nullable() -> list[pa.Field]:
    return [field.with_nullable(True) for field in WAFER_COLUMNS]
