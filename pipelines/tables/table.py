"""Tables with types: the rows of Parquet, CSV and JSON lines, of one file or many, in pieces of one schema.

Parquet has its own types, those of text are found by reading all rows first, and the caller may declare some, which
take precedence. The empty field of a CSV is a missing value, as is null in Parquet and JSON, and as are `nan` and
infinite values among numbers; `NA`, `null` or `-` are texts like any other unless they are declared missing.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from sparsewatch.pipelines.tables.text_types import FoundTypes
from sparsewatch.pipelines.tables.typed import TypedPart, converter
from sparsewatch.pipelines.tables.values import finite_rows, is_sure


class Table:
    """Rows of one or more files, in pieces of one schema.

    Args:
        parts: The files, in the order they are read.
        schema: Of all pieces.
        rows: Number of rows; None if it is known only after reading.
        found: Remarks on what was found before the rows are read.
        unsure: Files in which a value may not be of its column's type.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        schema: pa.Schema,
        rows: int | None = None,
        found: Sequence[str] = (),
        unsure: Collection[Path] = (),
    ) -> None:
        self.parts = tuple(parts)
        self.schema = schema
        self.rows = rows
        self.found = tuple(found)
        #: Filled while pieces are read.
        self.rejected = Rejected()
        self._unsure = frozenset(unsure)
        self._progress = Progress([part.path for part in parts])

    def remarks(self) -> list[str]:
        """All remarks for the user, once the rows are read."""
        return [*self.found, *self.rejected.summary()]

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
            finite = finite_rows(piece)
            self.rejected.infinite += finite.infinite
            yield finite.rows
            if on_bytes is not None:
                on_bytes(self._progress.done, self._progress.total)

    def look_over(
        self,
        check: Callable[[pa.RecordBatch], Any] | None = None,
        most_rows: int | None = None,
        on_bytes: OnBytes | None = None,
    ) -> None:
        """Read the files in which a value may not be of its column's type, all files if there is a further check.

        Args:
            check: Called with each piece.
            most_rows: Most rows of each file; all if None.
            on_bytes: Called with the bytes read so far and in all.

        Raises:
            SchemaError: As for `pieces`.
        """
        looked = Table([part for part in self.parts if check or part.path in self._unsure], self.schema)
        for part in looked.parts:
            for piece in head(looked.pieces_of(part, on_bytes), most_rows):
                if check is not None:
                    check(piece)

    def unread(self) -> "Table":
        """The same table, without what was counted while it was read."""
        return Table(self.parts, self.schema, self.rows, self.found, self._unsure)


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
    found = _find_csv_types(files, settings, on_bytes)
    schema = schema_of(files, settings)
    rows = max(1, min(settings.piece_rows, settings.piece_cells // max(1, len(schema))))
    parts = [_part(file, schema, rows, settings) for file in files if file.csv or file.footer or file.json]
    known = [file.footer.metadata.num_rows if file.footer else None for file in files]
    unsure = [file.path for file in files if _is_unsure(file, schema)]
    return Table(parts, schema, sum(n or 0 for n in known) if None not in known else None, found, unsure)


def _find_csv_types(files: Sequence[FileColumns], settings: TableSettings, on_bytes: OnBytes | None) -> list[str]:
    """Put the types of the CSVs' undeclared columns into `files`; returns remarks on them."""
    parts = [file.csv for file in files if file.csv]
    unknown: list[str] = []
    for file in files:
        if file.footer is None and file.json is None:
            file.types |= dict.fromkeys(settings.times, pa.string())
            wanted = file.names if settings.columns is None else settings.columns
            unknown += [name for name in wanted if name not in {*settings.types, *settings.times, *unknown}]
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
    return [f"{', '.join(part.path.name for part in parts[:3])}: {text}" for text in found.remarks]


def _part(file: FileColumns, schema: pa.Schema, rows: int, settings: TableSettings) -> Part:
    if file.footer is not None:
        return ParquetPart(file.path, schema, (), rows, converter(file.path, settings.reading, settings.moments))
    if file.csv is not None:
        return TypedPart(replace(file.csv, chosen=schema.names), schema, rows, settings.most_rows)
    # Other files may have widened undeclared types.
    lines = pa.schema([(name, settings.types.get(name, file.types[name])) for name in schema.names])
    return JsonPart(file.path, schema, settings.reading, None if lines == schema else lines)


def _is_unsure(file: FileColumns, schema: pa.Schema) -> bool:
    return any(not is_sure(file.types.get(field.name, pa.string()), field.type) for field in schema)
