"""Rows to a matrix: every feature z-scored with the figures of the rows it was fitted on.

(x - centre) / (spread + 1e-5), after the published code of arXiv 2304.00709: a column that was constant gives 0, and
a later change of it gives a large number. We clip what the paper leaves alone, so that one absurd value neither
overflows nor rules the training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from detectors.rows.columns import (
    CategoricalColumn,
    Column,
    NumericColumn,
    fit_column,
    values_from_bytes,
    values_to_bytes,
)
from schemas.errors import ConfigError, ModelError, SchemaError

#: Layout of a stored encoder.
FORMAT = 1
#: Added to every spread; from the authors' code.
SPREAD_EPSILON = 1e-5
#: Interquartile range of a standard normal.
_NORMAL_IQR = 1.3489795003921634


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """What is a category, and how numbers are scaled."""

    #: Columns of numbers that are categories; strings and booleans always are.
    categorical: tuple[str, ...] = ()
    #: `plain`: mean and unbiased standard deviation. `robust`: median and interquartile range over 1.349,
    #: and the standard deviation where that range is 0.
    scaling: Literal["plain", "robust"] = "plain"
    #: Distinct values kept of a column.
    max_values: int = 10_000
    #: Largest encoded number, either sign; also the code of a null where fitting saw none.
    clip: float = 30.0

    def __post_init__(self) -> None:
        if self.scaling not in ("plain", "robust"):
            raise ConfigError(f"scaling: expected 'plain' or 'robust', got {self.scaling!r}")
        if self.max_values < 1:
            raise ConfigError(f"max_values: expected at least 1, got {self.max_values}")
        if not self.clip > 0:
            raise ConfigError(f"clip: expected a positive number, got {self.clip}")


@dataclass(frozen=True, slots=True, eq=False)
class RowEncoder:
    """Encoder fitted on a table. State: about 60 bytes per kept category, 16 per feature."""

    columns: tuple[Column, ...]
    #: Centre and spread of each feature, float64 of shape (n_features,).
    centre: np.ndarray
    spread: np.ndarray
    clip: float

    @property
    def names(self) -> tuple[str, ...]:
        """Columns in the order of fitting."""
        return tuple(column.name for column in self.columns)

    @property
    def n_features(self) -> int:
        """Width of the encoded matrix."""
        return len(self.centre)

    @property
    def first_features(self) -> np.ndarray:
        """Index of each column's first feature, int64 of shape (columns,); they lie side by side."""
        return np.cumsum([0, *(column.n_features for column in self.columns[:-1])])

    def transform(self, rows: pa.RecordBatch) -> np.ndarray:
        """Encode rows; columns are found by name, others are ignored.

        Args:
            rows: Rows with at least the columns fitted.

        Returns:
            Finite float32 of shape (n, n_features), C-contiguous.

        Raises:
            SchemaError: If a column is missing or its type does not fit.
        """
        X = np.empty((rows.num_rows, self.n_features), dtype=np.float32)
        for column, first in zip(self.columns, self.first_features, strict=True):
            for step, raw in enumerate(column.features(_find(rows, column.name))):
                X[:, first + step] = self._scaled(column, raw, first + step)
        return X

    def check_schema(self, schema: pa.Schema) -> None:
        """Try the encoder on no rows of `schema`.

        Raises:
            SchemaError: As `transform` would.
        """
        self.transform(pa.RecordBatch.from_pylist([], schema=schema))

    def _scaled(self, column: Column, raw: np.ndarray, feature: int) -> np.ndarray:
        scaled = (raw - self.centre[feature]) / (self.spread[feature] + SPREAD_EPSILON)
        # A known kind of null sits at the centre and has its indicator; any other null is an extreme.
        null = 0.0 if isinstance(column, NumericColumn) and column.nullable else self.clip
        np.nan_to_num(scaled, copy=False, nan=null)
        clipped: np.ndarray = np.clip(scaled, -self.clip, self.clip, out=scaled)
        return clipped

    def to_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and JSON from which `from_state` builds the same encoder."""
        arrays = {"centre": self.centre, "spread": self.spread}
        described = []
        for i, column in enumerate(self.columns):
            if isinstance(column, NumericColumn):
                described.append({"name": column.name, "nullable": column.nullable})
                continue
            arrays |= {f"values.{i}": values_to_bytes(column.values), f"counts.{i}": column.counts}
            kept = ("name", "null_rows", "tail_rows", "total_rows")
            described.append({key: getattr(column, key) for key in kept})
        return arrays, {"format": FORMAT, "clip": self.clip, "columns": described}

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> "RowEncoder":
        """Inverse of `to_state`.

        Raises:
            ModelError: If the layout is another one or an entry is missing.
        """
        if meta.get("format") != FORMAT:
            raise ModelError(f"expected an encoder of format {FORMAT}, got {meta.get('format')!r}")
        try:
            columns = tuple(
                NumericColumn(**described)
                if "nullable" in described
                else CategoricalColumn(
                    **described,
                    values=values_from_bytes(arrays[f"values.{i}"]),
                    counts=arrays[f"counts.{i}"],
                )
                for i, described in enumerate(meta["columns"])
            )
            return cls(columns, arrays["centre"], arrays["spread"], float(meta["clip"]))
        except (KeyError, TypeError) as error:
            raise ModelError(f"an encoder's state is incomplete: {error}") from error


def fit_encoder(table: pa.Table, config: EncoderConfig) -> RowEncoder:
    """Learn categories, centres and spreads from all columns of `table`.

    Raises:
        ConfigError: If there is no row or no column, a categorical column is unknown, or a type is
            neither number, string nor boolean.
    """
    if table.num_rows == 0 or table.num_columns == 0:
        raise ConfigError(f"expected rows to fit, got {table.num_rows} of {table.num_columns} columns")
    if unknown := sorted(set(config.categorical) - set(table.column_names)):
        raise ConfigError(f"categorical: expected some of {table.column_names}, got {unknown}")
    columns, centres, spreads = [], [], []
    for name in table.column_names:
        values = table.column(name).combine_chunks()
        categorical = name in config.categorical
        column = fit_column(name, values, categorical=categorical, max_values=config.max_values)
        columns.append(column)
        for raw in column.features(values):
            centre, spread = _centre_and_spread(raw, config.scaling)
            centres.append(centre)
            spreads.append(spread)
    return RowEncoder(tuple(columns), np.array(centres), np.array(spreads), config.clip)


def _centre_and_spread(raw: np.ndarray, scaling: str) -> tuple[float, float]:
    """Of the numbers that are not NaN; (0, 0) without any."""
    seen = raw[~np.isnan(raw)]
    if seen.size == 0:
        return 0.0, 0.0
    deviation = float(seen.std(ddof=1)) if seen.size > 1 else 0.0
    if scaling == "plain":
        return float(seen.mean()), deviation
    low, middle, high = np.quantile(seen, (0.25, 0.5, 0.75))
    return float(middle), float(high - low) / _NORMAL_IQR or deviation


def one_batch(table: pa.Table, columns: Sequence[str] | None = None) -> pa.RecordBatch:
    """A table, or some of its columns, as one record batch."""
    chosen = table if columns is None else table.select(list(columns))
    arrays = [column.combine_chunks() for column in chosen.columns]
    return pa.RecordBatch.from_arrays(arrays, schema=chosen.schema)


def _find(rows: pa.RecordBatch, name: str) -> pa.Array:
    index = rows.schema.get_field_index(name)
    if index < 0:
        raise SchemaError(f"expected a column {name!r}, got {rows.schema.names}")
    return rows.column(index)
