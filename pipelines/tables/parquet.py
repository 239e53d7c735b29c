"""Parquet files, row group by row group."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq


def read_row_groups(file: pq.ParquetFile, rows: int, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Batches of at most `rows` rows in the order of the file; none spans two row groups.

    Args:
        file: An open file.
        rows: Rows of a batch.
        columns: Only these; all if None.
    """
    # Group by group: over the whole file the reader keeps the bytes of every group it has passed.
    for group in range(file.num_row_groups):
        yield from file.iter_batches(rows, row_groups=[group], columns=columns)
