"""Rows of Parquet and CSV files, piece by piece, in memory that does not depend on the size of the file."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from sparsewatch.pipelines.tables.parquet import read_row_groups
from sparsewatch.schemas.errors import ConfigError, SchemaError

#: Rows read at once, and cells, where rows are wide.
PIECE_ROWS = 65_536
_PIECE_CELLS = 1 << 22
#: Bytes of CSV read at once; column types are guessed from the first such block.
_CSV_BLOCK_BYTES = 16 * 2**20


def read_pieces(path: Path, columns: tuple[str, ...], types: Mapping[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
    """Some columns of a Parquet or CSV file, piece by piece.

    Args:
        path: The file; `.csv` by its name, else Parquet.
        columns: Columns to read, in this order.
        types: Types to convert to, by column; what is not named keeps the file's.

    Raises:
        ConfigError: If the file is missing, of another format, or lacks a column.
        SchemaError: If a value cannot be converted.
    """
    read = _read_csv if path.suffix.lower() == ".csv" else _read_parquet
    try:
        for piece in read(path, columns, types):
            yield _converted(piece, types, path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaError(f"{path}: {error}") from error
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error


def _read_parquet(
    path: Path,
    columns: tuple[str, ...],
    types: Mapping[str, pa.DataType],  # noqa: ARG001
) -> Iterator[pa.RecordBatch]:
    rows = max(1, min(PIECE_ROWS, _PIECE_CELLS // max(1, len(columns))))
    with pa.parquet.ParquetFile(path) as file:
        _expect_columns(path, columns, file.schema_arrow.names)
        for piece in read_row_groups(file, rows, columns):
            yield piece.select(list(columns))


def _read_csv(path: Path, columns: tuple[str, ...], types: Mapping[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
    with path.open(newline="") as file:
        _expect_columns(path, columns, next(csv.reader(file), []))
    convert = pa.csv.ConvertOptions(include_columns=list(columns), column_types=dict(types), strings_can_be_null=True)
    read = pa.csv.ReadOptions(block_size=_CSV_BLOCK_BYTES)
    with pa.csv.open_csv(path, read_options=read, convert_options=convert) as reader:
        yield from reader


def _expect_columns(path: Path, columns: tuple[str, ...], present: list[str]) -> None:
    if missing := [name for name in columns if name not in present]:
        raise ConfigError(f"{path} lacks the columns {missing}; it has {present}")


def _converted(piece: pa.RecordBatch, types: Mapping[str, pa.DataType], path: Path) -> pa.RecordBatch:
    arrays = []
    for name, column in zip(piece.schema.names, piece.columns, strict=True):
        try:
            arrays.append(column.cast(types.get(name, column.type)))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise SchemaError(f"{path}: column {name!r} is no {types[name]}: {error}") from error
    return pa.RecordBatch.from_arrays(arrays, names=piece.schema.names)
