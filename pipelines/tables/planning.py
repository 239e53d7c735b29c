"""The files of a table: their columns, and the type of each column in the table."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from sparsewatch.pipelines.tables.columns import expect_columns, expect_names
from sparsewatch.pipelines.tables.csv_files import CsvPart, csv_part
from sparsewatch.pipelines.tables.formats import format_of
from sparsewatch.pipelines.tables.json_files import JsonTypes, find_json_types
from sparsewatch.pipelines.tables.parquet_files import Footer, read_footer
from sparsewatch.pipelines.tables.settings import EMPTY, TableSettings
from sparsewatch.pipelines.tables.streams import OnBytes
from sparsewatch.pipelines.tables.values import is_structure, plain_type
from sparsewatch.schemas.errors import ConfigError, SchemaError


@dataclass(slots=True)
class FileColumns:
    """One file and the columns it has."""

    path: Path
    names: Sequence[str]
    #: Of Parquet.
    footer: Footer | None = None
    #: Of CSV; None as well for an empty one.
    csv: CsvPart | None = None
    #: Of JSON lines: those of all such files.
    json: JsonTypes | None = None
    #: Types in the file, or found in its values, by column.
    types: dict[str, pa.DataType] = field(default_factory=dict)


def look_at(paths: Sequence[Path], settings: TableSettings, on_bytes: OnBytes | None = None) -> list[FileColumns]:
    """The columns of files.

    Args:
        paths: The files.
        settings: How they are read.
        on_bytes: Called with the bytes of JSON lines read so far and in all.

    Raises:
        ConfigError: If a file, or a requested column, is missing.
        SchemaError: If a file is damaged or of no known format, or has other columns than the first.
    """
    formats = [format_of(path, settings.reading.encoding) for path in paths]
    lines = [path for path, kind in zip(paths, formats, strict=True) if kind == "jsonl"]
    json = find_json_types(lines, settings.reading, settings.most_rows, on_bytes) if lines else None
    files: list[FileColumns] = []
    for path, kind in zip(paths, formats, strict=True):
        if kind == "parquet":
            file = _of_footer(read_footer(path))
        elif kind == "jsonl" and json is not None:
            schema = json.schema
            file = FileColumns(path, schema.names, json=json, types=dict(zip(schema.names, schema.types, strict=True)))
        else:
            csv = csv_part(path, (EMPTY, *settings.reading.missing), settings.reading.encoding)
            file = FileColumns(path, csv.names if csv else (), csv=csv)
        _expect(file, files[0] if files else file, settings)
        files.append(file)
    return files


def _of_footer(footer: Footer) -> FileColumns:
    schema = footer.schema
    return FileColumns(
        footer.path, schema.names, footer=footer, types=dict(zip(schema.names, schema.types, strict=True))
    )


def _expect(file: FileColumns, first: FileColumns, settings: TableSettings) -> None:
    if missing := [name for name in settings.columns or () if name not in file.names]:
        raise ConfigError(f"{file.path} lacks the columns {missing}; it has {list(file.names)}")
    expect_names(file.path, file.names)
    if settings.columns is None:
        expect_columns(file.path, file.names, first.path, first.names)
    if file.json is not None:
        file.json.expect_sound(settings.columns or file.names)
    for name in settings.columns or file.names:
        if is_structure(kind := file.types.get(name, pa.null())):
            raise SchemaError(f"{file.path}: column {name!r}: expected numbers, text, times or lists, got {kind}")


def schema_of(files: Sequence[FileColumns], settings: TableSettings) -> pa.Schema:
    """The types of the table's columns: the declared types, else types wide enough for all files.

    Raises:
        SchemaError: If files have values of different kinds in a column.
    """
    names = files[0].names if settings.columns is None else settings.columns
    return pa.schema([(name, _type_of(name, files, settings)) for name in names])


def _type_of(name: str, files: Sequence[FileColumns], settings: TableSettings) -> pa.DataType:
    declared = settings.types.get(name)
    if declared is None:
        return _common(name, files, settings)
    if settings.texts_only and declared == pa.string():
        for file in files:
            kind = plain_type(file.types.get(name, declared))
            if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
                raise SchemaError(f"{file.path}: column {name!r}: expected text, got {kind}")
    return declared


def _common(name: str, files: Sequence[FileColumns], settings: TableSettings) -> pa.DataType:
    common = _plain(name, files[0].types[name], settings)
    for file in files[1:]:
        kind = _plain(name, file.types[name], settings)
        if name in settings.times and pa.string() in (common, kind):
            # CSV has text where other formats have numbers.
            common = pa.string()
            continue
        try:
            wide = [pa.schema([(name, one)]) for one in (common, kind)]
            common = pa.unify_schemas(wide, promote_options="permissive").field(name).type
        except pa.ArrowException as error:
            expected = f"expected {common} as in {files[0].path}, got {kind}"
            raise SchemaError(f"{file.path}: column {name!r}: {expected}") from error
    return common


def _plain(name: str, kind: pa.DataType, settings: TableSettings) -> pa.DataType:
    if pa.types.is_timestamp(kind):
        return kind if settings.own_times or name in settings.times else pa.int64()
    return kind if pa.types.is_date(kind) and name in settings.times else plain_type(kind)
