"""Types that columns of Parquet files and of JSON lines are converted to, so that their values can be counted."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from sparsewatch.detectors.counts.value_hashes import kind_of
from sparsewatch.pipelines.rank.inputs.settings import InputSettings
from sparsewatch.pipelines.tables.columns import expect_columns, expect_names
from sparsewatch.pipelines.tables.json_files import JsonPart, find_json_types
from sparsewatch.pipelines.tables.parquet_files import ParquetPart, read_footer
from sparsewatch.pipelines.tables.streams import named_errors
from sparsewatch.pipelines.tables.text import decoded, is_text
from sparsewatch.schemas.errors import SchemaError
from sparsewatch.transforms.codecs.missing import missing_as_null

#: Least bytes of a plain text value, those of its length: columns with fewer bytes per value are dictionaries.
_PLAIN_BYTES = 4
#: Bytes of a dictionary, as stored, above which its column is read as plain text.
_DICTIONARY_BYTES = 64 << 10


class ParquetPlan(NamedTuple):
    """What Parquet files hold."""

    parts: list[ParquetPart]
    #: Columns declared as numbers with a fraction.
    numeric: frozenset[str]


def plan_parquet(paths: Sequence[Path], settings: InputSettings) -> ParquetPlan:
    """Inspect the footers of files.

    Args:
        paths: The files, in the order they are read.
        settings: How they are read.

    Returns:
        Parts of one schema: integers, booleans, floats and text stay, text of few values as dictionaries; times and
        durations become integers in their own unit, dates, decimals, bytes and unsigned 64-bit integers text.

    Raises:
        ConfigError: If a chosen column is missing.
        SchemaError: If a file is damaged, has no column or a nested one, or other columns than the first.
    """
    footers = [_footer(path) for path in paths]
    first = footers[0]
    chosen = settings.chosen(first.schema.names, first.path)
    for footer in footers:
        expect_columns(footer.path, footer.schema.names, first.path, first.schema.names)
    dictionaries = [name for name in chosen if all(name in footer.small for footer in footers)]
    types = [_types(footer, chosen) for footer in footers]
    schema = _unified(footers, types)
    for name in dictionaries:
        place = schema.get_field_index(name)
        schema = schema.set(place, pa.field(name, pa.dictionary(pa.int32(), schema.field(name).type)))
    numeric = frozenset(name for name in chosen if _is_fraction(first.schema.field(name).type))
    convert = partial(_read, settings)
    parts = [ParquetPart(path, schema, dictionaries, settings.block_rows, convert) for path in paths]
    return ParquetPlan(parts, numeric)


class _Footer(NamedTuple):
    path: Path
    schema: pa.Schema
    #: Columns of text whose values are stored as small dictionaries.
    small: frozenset[str]


def _footer(path: Path) -> _Footer:
    _, schema, metadata = read_footer(path, probe=True)
    expect_names(path, schema.names)
    if not metadata.num_rows:
        raise SchemaError(f"{path}: expected rows, got none")
    large: set[str] = set()
    for group in range(metadata.num_row_groups):
        chunks = [metadata.row_group(group).column(i) for i in range(metadata.num_columns)]
        with named_errors(path):
            large.update(chunk.path_in_schema for chunk in chunks if not _is_small(chunk))
    small = {field.name for field in schema if is_text(field.type)} - large
    return _Footer(path, schema, frozenset(small))


def _is_small(chunk: Any) -> bool:
    if not chunk.has_dictionary_page or chunk.total_uncompressed_size > _PLAIN_BYTES * chunk.num_values:
        return False
    return bool(chunk.data_page_offset - chunk.dictionary_page_offset <= _DICTIONARY_BYTES)


def plan_json(paths: Sequence[Path], settings: InputSettings) -> list[JsonPart]:
    """Inspect all lines of files for their columns and types.

    Args:
        paths: Files of JSON lines, in the order they are read.
        settings: How they are read.

    Returns:
        Parts of one schema.

    Raises:
        ConfigError: If a chosen column is missing.
        SchemaError: If a file is damaged, without rows, or a column is nested or holds values of several kinds.
    """
    found = find_json_types(paths, settings.reading)
    expect_names(paths[0], found.schema.names)
    chosen = settings.chosen(found.schema.names, paths[0])
    found.expect_sound(chosen)
    schema = pa.schema([(name, _type_of(paths[0], found.schema.field(name))) for name in chosen])
    return [JsonPart(path, schema, settings.reading) for path in paths]


def _types(footer: _Footer, chosen: Sequence[str]) -> pa.Schema:
    return pa.schema([(name, _type_of(footer.path, footer.schema.field(name))) for name in chosen])


def _type_of(path: Path, field: Any) -> Any:
    """Type that a column of a file is read as."""
    kind, is_ = field.type, pa.types
    if is_.is_dictionary(kind):
        kind = kind.value_type
    if is_.is_timestamp(kind) or is_.is_time(kind) or is_.is_duration(kind):
        return pa.int64()
    if is_.is_float16(kind):
        return pa.float32()
    if is_text(kind) or is_.is_null(kind) or is_.is_boolean(kind) or is_.is_floating(kind):
        return kind
    if is_.is_integer(kind) and kind != pa.uint64():
        return kind
    if kind == pa.uint64() or is_.is_date(kind) or is_.is_decimal(kind) or is_.is_string_view(kind) or _is_bytes(kind):
        return pa.string()
    raise SchemaError(f"{path}: column {field.name!r}: expected numbers, text or times, got {field.type}")


def _is_bytes(kind: Any) -> bool:
    return any(
        test(kind)
        for test in (
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_fixed_size_binary,
            pa.types.is_binary_view,
        )
    )


def _is_fraction(kind: Any) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _unified(footers: Sequence[_Footer], types: Sequence[pa.Schema]) -> pa.Schema:
    """Types wide enough for all files."""
    known: dict[str, tuple[str, Path]] = {}
    for footer, schema in zip(footers, types, strict=True):
        for field in schema:
            kind = kind_of(field.name, field.type)
            before, where = known.get(field.name, (kind, footer.path))
            if None not in (before, kind) and before != kind:
                at = f"{footer.path}: column {field.name!r}"
                raise SchemaError(f"{at}: expected values of kind {before!r} as in {where}, got {kind!r}")
            if kind is not None:
                known.setdefault(field.name, (kind, footer.path))
    return pa.unify_schemas(list(types), promote_options="permissive")


def _read(settings: InputSettings, column: Any, field: pa.Field) -> Any:
    """A column of a file as the type it is read as."""
    kind, symbols = field.type, settings.reading.missing
    if pa.types.is_dictionary(kind):
        return missing_as_null(column.cast(kind), symbols)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if _is_bytes(column.type):
        column = decoded(column, settings.reading.encoding)
    if pa.types.is_time32(column.type):
        column = column.cast(pa.int32())
    column = column.cast(kind)
    return missing_as_null(column, symbols) if is_text(kind) else column
