"""Statistics from which an encoder is fitted, gathered part by part: over files and workers, without moving rows."""

from collections.abc import Sequence
from typing import Any, Self

import msgspec
import numpy as np
import pyarrow as pa

from sparsewatch.detectors.rows.encoding.column_statistics import CategoryStatistics, Moments, NumericStatistics
from sparsewatch.detectors.rows.encoding.columns import (
    as_type,
    category_type,
    is_number,
    numbers,
    value_type,
    values_from_bytes,
    values_to_bytes,
)
from sparsewatch.schemas.errors import ConfigError, SchemaError, StateError
from sparsewatch.schemas.settings import Count, check_range
from sparsewatch.schemas.stored import Format

FORMAT = Format("encoder statistics")
#: Default of the most distinct values counted of a column of categories.
MOST_VALUES = 65_536

ColumnStatistics = NumericStatistics | CategoryStatistics


class _Numbers(msgspec.Struct, frozen=True, tag="numbers"):
    moments: Moments
    nulls: int
    infinite: int
    sketch: bytes


class _Categories(msgspec.Struct, frozen=True, tag="categories"):
    #: Arrow IPC stream of the values, and int64 of the same length.
    values: bytes
    counts: bytes
    nulls: int
    error: int
    lost_values: int
    lost_rows: int
    rows: int


class _State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: int = FORMAT.version
    rows: int
    most_values: int
    categorical: tuple[str, ...]
    columns: dict[str, _Numbers | _Categories | None]


class EncoderStatistics:
    """Statistics of the columns of rows; see `column_statistics` for what is exact.

    Args:
        columns: Columns to encode, in the order of the encoder.
        categorical: Columns of numbers that are categories; strings and booleans always are.
        most_values: Most distinct values counted of a column of categories.
    """

    def __init__(
        self, columns: Sequence[str], *, categorical: Sequence[str] = (), most_values: int = MOST_VALUES
    ) -> None:
        if not columns or len(set(columns)) != len(columns):
            raise ConfigError(f"columns: expected distinct names, got {list(columns)}")
        if unknown := sorted(set(categorical) - set(columns)):
            raise ConfigError(f"categorical: expected some of {list(columns)}, got {unknown}")
        check_range(Count, most_values, "most_values")
        self.categorical = tuple(sorted(categorical))
        self.most_values = most_values
        self.rows = 0
        #: None while a column has held only nulls without a type.
        self._columns: dict[str, ColumnStatistics | None] = dict.fromkeys(columns)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns."""
        return tuple(self._columns)

    @property
    def columns(self) -> dict[str, ColumnStatistics]:
        """Statistics by column; a column of nulls without a type counts as categories, with none seen."""
        return {name: self._known(name, pa.string()) for name in self._columns}

    def update(self, rows: pa.RecordBatch) -> None:
        """Add rows; other columns are ignored.

        Raises:
            ConfigError: If a column is neither numbers, strings nor booleans.
            SchemaError: If a column is missing, or of another kind than before. Then no row is added.
        """
        if missing := set(self._columns) - set(rows.schema.names):
            raise SchemaError(f"expected columns {sorted(missing)}, got only {sorted(rows.schema.names)}")
        given = {name: self._given(name, rows.column(name)) for name in self._columns}
        for name, (statistics, column) in given.items():
            if statistics is not None:
                statistics.add(column)
            self._columns[name] = statistics
        self.rows += rows.num_rows

    def merge(self, other: "EncoderStatistics") -> None:
        """Add the rows of `other`, which is not changed.

        Raises:
            StateError: If `other` has other columns, categories or cap, or a column is of another kind there.
        """
        if self._settings != other._settings:
            raise StateError(f"expected statistics of {self._settings} to merge, got {other._settings}")
        pairs = {name: self._pair(name, other) for name in self._columns}
        for name, (own, others) in pairs.items():
            if own is not None:
                own.merge(others)
            self._columns[name] = own
        self.rows += other.rows

    def to_bytes(self) -> bytes:
        """The state as MessagePack, without values above the cap; quantiles differ from run to run."""
        columns = {name: None if column is None else _stored(column) for name, column in self._columns.items()}
        return msgspec.msgpack.encode(
            _State(rows=self.rows, most_values=self.most_values, categorical=self.categorical, columns=columns)
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The state that `to_bytes` wrote.

        Raises:
            StateError: If the bytes are damaged or of another version.
        """
        with FORMAT.reading(data):
            state = FORMAT.unpack(data, _State)
            statistics = cls(tuple(state.columns), categorical=state.categorical, most_values=state.most_values)
            statistics.rows = state.rows
            for name, column in state.columns.items():
                statistics._columns[name] = None if column is None else _restored(column, state.most_values)
        return statistics

    @property
    def _settings(self) -> tuple[tuple[str, ...], tuple[str, ...], int]:
        return (self.names, self.categorical, self.most_values)

    def _known(self, name: str, kind: pa.DataType) -> ColumnStatistics:
        """The column's statistics; new statistics for `kind` if all rows so far were null without a type."""
        if (known := self._columns[name]) is not None:
            return known
        numeric = is_number(kind) and name not in self.categorical
        new = NumericStatistics() if numeric else CategoryStatistics(category_type(name, kind), self.most_values)
        new.nulls = self.rows
        return new

    def _given(self, name: str, column: pa.Array) -> tuple[ColumnStatistics | None, Any]:
        """A column's statistics and the rows to add to them."""
        kind = value_type(column.type)
        if self._columns[name] is None and pa.types.is_null(kind):
            return None, column
        statistics = self._known(name, kind)
        if isinstance(statistics, NumericStatistics):
            return statistics, numbers(column, name)
        return statistics, as_type(column, statistics.kind, name)

    def _pair(self, name: str, other: "EncoderStatistics") -> tuple[ColumnStatistics | None, Any]:
        """Both statistics, of the same kind, or None if both have seen nulls only."""
        own, others = self._columns[name], other._columns[name]
        if own is None and others is None:
            return None, None
        kind = _kind(others if own is None else own)
        own, others = self._known(name, kind), other._known(name, kind)
        if _kind(own) != _kind(others):
            raise StateError(f"column {name!r}: expected {_kind(own)} to merge, got {_kind(others)}")
        return own, others


def _kind(statistics: ColumnStatistics | None) -> pa.DataType:
    """Type of the categories; float64 for numbers."""
    return statistics.kind if isinstance(statistics, CategoryStatistics) else pa.float64()


def _stored(column: ColumnStatistics) -> _Numbers | _Categories:
    if isinstance(column, NumericStatistics):
        return _Numbers(column.moments, column.nulls, column.infinite, column.sketch_bytes())
    bounded = CategoryStatistics(column.kind, column.most)
    bounded.merge(column)
    bounded.bound()
    return _Categories(
        values=values_to_bytes(bounded.values).tobytes(),
        counts=bounded.counts.tobytes(),
        nulls=bounded.nulls,
        error=bounded.error,
        lost_values=bounded.lost_values,
        lost_rows=bounded.lost_rows,
        rows=bounded.rows,
    )


def _restored(column: _Numbers | _Categories, most: int) -> ColumnStatistics:
    if isinstance(column, _Numbers):
        return NumericStatistics.restored(column.moments, column.nulls, column.infinite, column.sketch)
    values = values_from_bytes(np.frombuffer(column.values, np.uint8))
    statistics = CategoryStatistics(values.type, most)
    statistics.values, statistics.counts = values, np.frombuffer(column.counts, np.int64)
    if values.null_count:
        raise ValueError(f"expected values, {values.null_count} of {len(values)} are missing")
    if len(values) != len(statistics.counts):
        raise ValueError(f"expected {len(values)} counts, got {len(statistics.counts)}")
    for what in ("nulls", "error", "lost_values", "lost_rows", "rows"):
        setattr(statistics, what, getattr(column, what))
    return statistics
