"""Tables with types: the rows of Parquet, CSV and JSON lines, of one file or many, in pieces of one schema.

Parquet has its own types, those of text are found by reading all rows first, and the caller may declare some, which
take precedence. The empty field of a CSV is a missing value, as is null in Parquet and JSON; `NA`, `null` or `-` are
texts like any other unless they are declared missing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from sparsewatch.pipelines.tables.blocks import head
from sparsewatch.pipelines.tables.formats import files_of
from sparsewatch.pipelines.tables.json_files import JsonPart
from sparsewatch.pipelines.tables.parquet_files import ParquetPart
from sparsewatch.pipelines.tables.parts import Part
from sparsewatch.pipelines.tables.planning import FileColumns, look_at, schema_of
from sparsewatch.pipelines.tables.rejects import Rejected
from sparsewatch.pipelines.tables.settings import TableSettings
from sparsewatch.pipelines.tables.streams import OnBytes, Progress
from sparsewatch.pipelines.tables.text import is_text
from sparsewatch.pipelines.tables.text_types import FoundTypes
from sparsewatch.pipelines.tables.typed import TypedPart, converter


class Table:
    """Rows of one or more files, in pieces of one schema.

    Args:
        parts: The files, in the order they are read.
        schema: Of all pieces.
        rows: Number of rows; None if it is known only after reading.
        mixed: Remarks on columns of numbers that hold other texts.
    """

    def __init__(
        self, parts: Sequence[Part], schema: pa.Schema, rows: int | None = None, mixed: Sequence[str] = ()
    ) -> None:
        self.parts = tuple(parts)
        self.schema = schema
        self.rows = rows
        self.mixed = tuple(mixed)
        #: Filled while pieces are read.
        self.rejected = Rejected()
        self._progress = Progress([part.path for part in parts])

    def remarks(self) -> list[str]:
        """Remarks for the user on columns and rejected rows, once the rows are read."""
        return [*self.mixed, *self.rejected.summary()]

    def pieces(self, on_bytes: OnBytes | None = None) -> Iterator[pa.RecordBatch]:
        """All rows, file after file.

        Raises:
            SchemaError: If a file is damaged, or a value is not of its column's type.
        """
        for part in self.parts:
            yield from self.pieces_of(part, on_bytes)

    def pieces_of(self, part: Part, on_bytes: OnBytes | None = None) -> Iterator[pa.RecordBatch]:
        """The rows of one file.

        Raises:
            SchemaError: As for `pieces`.
        """
        for piece in part.pieces(self.rejected, self._progress):
            yield piece
            if on_bytes is not None:
                on_bytes(self._progress.done, self._progress.total)


def open_table(paths: Sequence[Path], settings: TableSettings, on_bytes: OnBytes | None = None) -> Table:
    """Open files, folders and patterns such as `day*.csv`.

    Args:
        paths: What to read, in this order; the files of a folder in the order of their names.
        settings: How it is read.
        on_bytes: Called with the bytes read so far and in all, where all rows must be read to open the files.

    Raises:
        ConfigError: If a file or a column is missing, or a folder holds files of several formats.
        SchemaError: If a file is of none of the formats, damaged, or its columns or values do not fit.
    """
    files = look_at([file for path in paths for file in files_of(path)], settings, on_bytes)
    mixed = _find_csv_types(files, settings, on_bytes)
    schema = schema_of(files, settings)
    rows = max(1, min(settings.piece_rows, settings.piece_cells // max(1, len(schema))))
    parts = [_part(file, schema, rows, settings) for file in files if file.csv or file.footer or file.json]
    known = [file.footer.metadata.num_rows if file.footer else None for file in files]
    table = Table(parts, schema, sum(n or 0 for n in known) if None not in known else None, mixed)
    if settings.look_over:
        _look_over(files, table, settings, on_bytes)
    return table


def _find_csv_types(files: Sequence[FileColumns], settings: TableSettings, on_bytes: OnBytes | None) -> list[str]:
    """Put the types of the CSVs' undeclared columns into `files`; returns remarks on them."""
    parts = [file.csv for file in files if file.csv]
    unknown: list[str] = []
    for file in files:
        if file.footer is None and file.json is None:
            file.types |= dict.fromkeys(settings.as_text, pa.string())
            wanted = file.names if settings.columns is None else settings.columns
            unknown += [name for name in wanted if name not in {*settings.types, *settings.as_text, *unknown}]
    if not unknown:
        return []
    found = FoundTypes(unknown)
    looked = Table([replace(part, chosen=unknown) for part in parts], pa.schema([]))
    for part in looked.parts:
        for piece in head(looked.pieces_of(part, on_bytes), settings.most_rows):
            found.add(piece)
    for file in files:
        if file.footer is None and file.json is None:
            file.types |= found.types
    return [f"{', '.join(part.path.name for part in parts[:3])}: {text}" for text in found.mixed]


def _part(file: FileColumns, schema: pa.Schema, rows: int, settings: TableSettings) -> Part:
    if file.footer is not None:
        return ParquetPart(file.path, schema, (), rows, converter(file.path, settings.reading.missing))
    if file.csv is not None:
        return TypedPart(replace(file.csv, chosen=schema.names), schema, rows, settings.most_rows)
    # Other files may have widened undeclared types.
    lines = pa.schema([(name, settings.types.get(name, file.types[name])) for name in schema.names])
    return JsonPart(
        file.path, schema, settings.reading.missing, None if lines == schema else lines, settings.reading.encoding
    )


def _look_over(files: Sequence[FileColumns], table: Table, settings: TableSettings, on_bytes: OnBytes | None) -> None:
    """Read the files in which a value may not be of its column's type."""
    unsure = {
        file.path
        for file in files
        if any(file.types.get(f.name) != f.type and not is_text(f.type) for f in table.schema)
    }
    looked = Table([part for part in table.parts if part.path in unsure], table.schema)
    for part in looked.parts:
        for _ in head(looked.pieces_of(part, on_bytes), settings.most_rows):
            pass
