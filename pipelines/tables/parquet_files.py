"""Parquet files: their footers, and their rows, row group by row group."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from sparsewatch.pipelines.tables.blocks import BLOCK_BYTES
from sparsewatch.pipelines.tables.rejects import Rejected
from sparsewatch.pipelines.tables.streams import Progress, codec_of, named_errors

#: Rows read to learn how many bytes a row has.
PROBE_ROWS = 256
_COPY_BYTES = 1 << 20

#: Converts a column of a file to a field of the table.
Convert = Callable[[Any, pa.Field], Any]


class Footer(NamedTuple):
    """Schema and metadata of a file."""

    path: Path
    schema: pa.Schema
    metadata: Any


def read_footer(path: Path, *, probe: bool = False) -> Footer:
    """Read the footer of a file.

    Args:
        path: The file.
        probe: Whether a first row is read as well, so that a damaged footer is an error: Arrow ends the process where
            it is asked for the metadata of a damaged column.

    Raises:
        ConfigError: If there is none.
        SchemaError: If it is no Parquet, or damaged.
    """
    with named_errors(path), open_parquet(path) as file:
        # Arrow itself accepts names that are not UTF-8.
        _ = file.schema_arrow.names
        if probe:
            next(read_row_groups(file, 1), None)
        return Footer(path, file.schema_arrow, file.metadata)


@contextmanager
def open_parquet(path: Path, **options: Any) -> Iterator[pq.ParquetFile]:
    """A Parquet file, plain or packed (gzip, zstd): a packed file is unpacked to disk, as its footer comes last."""
    codec = codec_of(path)
    if codec is None:
        with pq.ParquetFile(path, **options) as file:
            yield file
        return
    with tempfile.TemporaryFile() as unpacked:
        with pa.OSFile(str(path)) as packed, pa.CompressedInputStream(packed, codec) as stream:
            while data := stream.read(_COPY_BYTES):
                unpacked.write(data)
        unpacked.seek(0)
        with pq.ParquetFile(unpacked, **options) as file:
            yield file


def read_row_groups(file: pq.ParquetFile, rows: int, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Batches of at most `rows` rows in the order of the file; none spans two row groups.

    Args:
        file: An open file.
        rows: Rows of a batch.
        columns: Only these; all if None.
    """
    grouped = sum(file.metadata.row_group(group).num_rows for group in range(file.num_row_groups))
    if grouped != file.metadata.num_rows:
        raise pa.ArrowInvalid(f"expected {file.metadata.num_rows} rows in its row groups, got {grouped}: it is damaged")
    # Group by group: over the whole file the reader keeps the bytes of every group it has passed.
    for group in range(file.num_row_groups):
        read = 0
        for batch in file.iter_batches(rows, row_groups=[group], columns=columns):
            read += batch.num_rows
            yield batch
        # Of columns that are damaged alike, Arrow gives the rows that it finds.
        if columns != [] and read != (stated := file.metadata.row_group(group).num_rows):
            raise pa.ArrowInvalid(f"expected {stated} rows in row group {group}, got {read}: it is damaged")


@dataclass(frozen=True, slots=True)
class ParquetPart:
    """One file, read as `schema` says."""

    path: Path
    #: Columns and types that all files have once they are read.
    schema: pa.Schema
    #: Columns that are read as dictionaries.
    dictionaries: Sequence[str]
    #: Most rows of a batch.
    rows: int
    convert: Convert

    def pieces(self, rejected: Rejected, progress: Progress) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        """Batches of at most `rows` rows; no row is rejected.

        Raises:
            SchemaError: If the file is damaged.
        """
        size, done, counted = self.path.stat().st_size, 0, 0
        with named_errors(self.path), open_parquet(self.path, read_dictionary=list(self.dictionaries)) as file:
            for batch in read_row_groups(file, self._step(file), self.schema.names):
                columns = [self.convert(batch.column(field.name), field) for field in self.schema]
                yield pa.RecordBatch.from_arrays(columns, schema=self.schema)
                done += batch.num_rows
                share = size * done // file.metadata.num_rows
                progress.add(share - counted)
                counted = share

    def _step(self, file: pq.ParquetFile) -> int:
        """Rows of a batch of about `BLOCK_BYTES` bytes."""
        probe = next(read_row_groups(file, PROBE_ROWS, self.schema.names), None)
        if probe is None or not probe.num_rows:
            return self.rows
        fitting = int(BLOCK_BYTES * probe.num_rows // max(1, probe.nbytes))
        return max(1, min(self.rows, fitting))
