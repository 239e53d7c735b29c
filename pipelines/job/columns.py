"""Columns of events that a job file types by name, for the kinds of jobs that have such a table."""

from collections.abc import Collection, Mapping

import pyarrow as pa

from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import ColumnType

_ARROW_TYPES = {"int": pa.int64(), "float": pa.float64(), "str": pa.string(), "bool": pa.bool_()}


def check_columns(time_column: str, columns: Collection[str]) -> None:
    """Whether columns may be named so.

    Raises:
        ConfigError: If one is the time column, or has a name that is reserved.
    """
    if time_column in columns:
        raise ConfigError(f"columns: {time_column!r} is the time column; its type is source.time_format")
    if reserved := sorted(name for name in columns if name.startswith("_")):
        raise ConfigError(f"columns: names that begin with '_' are reserved, got {reserved}")


def named_fields(columns: Mapping[str, ColumnType]) -> list[pa.Field]:
    """Arrow fields of columns typed by name."""
    return [pa.field(name, _ARROW_TYPES[kind]) for name, kind in columns.items()]
