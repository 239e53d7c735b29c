"""Summaries of numeric columns: least and greatest value, mean, and quantiles in bounded memory.

Quantiles come from KLL sketches (Karnin, Lang and Liberty, FOCS 2016) of Apache DataSketches. A sketch draws random
bits, so quantiles, unlike counts, differ within their error from run to run and between orders of merging: nothing that
must be equal to the byte may depend on them. State: about 9 KiB a column.
"""

from collections.abc import Sequence
from typing import Any, Self

import msgspec
import numpy as np
import pyarrow as pa
from datasketches import kll_doubles_sketch

from sparsewatch.schemas.errors import ConfigError, SchemaError, StateError
from sparsewatch.schemas.stored import Format

FORMAT = Format("the bytes of sketches")
#: Size of a sketch: a quantile's rank is right to 0.7 % of the rows, with 99 % confidence.
SKETCH_SIZE = 400
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


class NumericSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of the finite values of a column."""

    #: Rows with a finite value.
    rows: int
    #: Rows with an infinite value, which is in no other figure; null and NaN are missing.
    infinite: int
    min: float
    max: float
    mean: float
    #: Value by approximate share of the rows that are at most as great.
    quantiles: dict[float, float]


class _ColumnState(msgspec.Struct, frozen=True):
    total: float
    infinite: int
    sketch: bytes


class _State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: int = FORMAT.version
    columns: dict[str, _ColumnState]


class _Column:
    def __init__(self) -> None:
        self.total = 0.0
        self.infinite = 0
        self.sketch = kll_doubles_sketch(SKETCH_SIZE)

    def add(self, values: np.ndarray) -> None:
        finite = values[np.isfinite(values)]
        self.infinite += int(np.count_nonzero(np.isinf(values)))
        self.total += float(finite.sum())
        self.sketch.update(finite)

    def merge(self, other: "_Column") -> None:
        self.infinite += other.infinite
        self.total += other.total
        self.sketch.merge(other.sketch)


class ColumnSketches:
    """Quantiles and bounds of columns.

    Args:
        columns: Columns to measure; a column of texts has no summary.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        if not columns or len(set(columns)) != len(columns):
            raise ConfigError(f"columns: expected distinct names, got {list(columns)}")
        self._columns = {name: _Column() for name in columns}

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that are measured."""
        return tuple(self._columns)

    def update(self, rows: pa.RecordBatch) -> None:
        """Add rows; columns that hold no numbers add nothing.

        Raises:
            SchemaError: If a column is missing.
        """
        if missing := self._columns.keys() - set(rows.schema.names):
            raise SchemaError(f"expected columns {sorted(missing)}, got only {sorted(rows.schema.names)}")
        for name, column in self._columns.items():
            values = _numbers(rows.column(name))
            if values is not None:
                column.add(values)

    def merge(self, other: "ColumnSketches") -> None:
        """Add the rows of `other`, which is not changed.

        Raises:
            StateError: If `other` measures other columns.
        """
        if self.columns != other.columns:
            raise StateError(f"expected sketches of {self.columns} to merge, got {other.columns}")
        for name, column in self._columns.items():
            column.merge(other._columns[name])

    def summary(self, column: str) -> NumericSummary | None:
        """Figures of a column; None without a finite number.

        Raises:
            ConfigError: If the column is not measured.
        """
        if column not in self._columns:
            raise ConfigError(f"expected one of the columns {self.columns}, got {column!r}")
        state = self._columns[column]
        sketch = state.sketch
        if sketch.is_empty():
            return None
        return NumericSummary(
            rows=sketch.n,
            infinite=state.infinite,
            min=sketch.get_min_value(),
            max=sketch.get_max_value(),
            mean=state.total / sketch.n,
            quantiles=dict(zip(QUANTILES, map(float, sketch.get_quantiles(list(QUANTILES))), strict=True)),
        )

    def to_bytes(self) -> bytes:
        """The state as MessagePack."""
        states = {
            name: _ColumnState(column.total, column.infinite, column.sketch.serialize())
            for name, column in self._columns.items()
        }
        return msgspec.msgpack.encode(_State(columns=states))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The state that `to_bytes` wrote.

        Raises:
            StateError: If the bytes are damaged or of another version.
        """
        with FORMAT.reading(data):
            state = FORMAT.unpack(data, _State)
            sketches = cls(tuple(state.columns))
            for name, column in sketches._columns.items():
                column.total, column.infinite = state.columns[name].total, state.columns[name].infinite
                column.sketch = kll_doubles_sketch.deserialize(state.columns[name].sketch)
        return sketches


def _numbers(values: Any) -> np.ndarray | None:
    """Values of a column of numbers as floats, without the missing ones; None for any other column."""
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        return None
    numbers = values.drop_null().cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.asarray(numbers[~np.isnan(numbers)])
