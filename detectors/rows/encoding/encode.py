"""Rows to a matrix: every feature z-scored by the rows it was fitted on.

(x - centre) / (spread + 1e-5), after the published code of arXiv 2304.00709: a column that was constant gives 0, and
a later change of it gives a large number. Below a spread of 1 we add 1e-5 times the spread instead, since the result
must not depend on the unit of a column. We clip, which the paper does not, so that an absurd value does not overflow.

Special cases:

* a column constant in the fit, or with nulls only: 0, and the clip for any other value later;
* a null, if the fit had nulls: the centre, and an indicator, the larger the rarer nulls were; if the fit had none: the
  clip. A missing category has the frequency of nulls, and no indicator;
* a number that is infinite or above 1e100 in size: the clip; the fit leaves it out;
* a missing column: `SchemaError` if it is not there, and null, as above, if it holds nulls only;
* a column that was not in the fit: ignored.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from sparsewatch.detectors.rows.encoding.column_statistics import NumericStatistics, Scale
from sparsewatch.detectors.rows.encoding.columns import (
    LARGEST,
    CategoricalColumn,
    Column,
    NumericColumn,
    values_from_bytes,
    values_to_bytes,
)
from sparsewatch.detectors.rows.encoding.statistics import MOST_VALUES, ColumnStatistics, EncoderStatistics
from sparsewatch.schemas.errors import ConfigError, ModelError, SchemaError
from sparsewatch.schemas.settings import Count, Positive, check_ranges

#: Layout of a stored encoder.
FORMAT = 1
#: Added to every spread; from the authors' code.
SPREAD_EPSILON = 1e-5
#: Floats scaled at once: so many fit a core's cache.
_CHUNK_FLOATS = 262_144


def scale_of(spread: np.ndarray) -> np.ndarray:
    """Divisor for numbers of each spread, of the same shape; above 0."""
    return np.where(spread > 0, spread + SPREAD_EPSILON * np.minimum(spread, 1), SPREAD_EPSILON)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """Which columns are categories, and how numbers are scaled."""

    #: Columns of numbers that are categories; strings and booleans always are.
    categorical: tuple[str, ...] = ()
    #: `plain`: mean and unbiased standard deviation. `robust`: median and interquartile range over 1.349,
    #: and the standard deviation if that range is 0. Indicators of nulls are always scaled plainly.
    scaling: Literal["plain", "robust"] = "plain"
    #: Most distinct values of a column that are encoded apart.
    max_values: Count = 10_000
    #: Largest encoded number, either sign; also the code of a null if the fit had none.
    clip: Positive = 30.0

    def __post_init__(self) -> None:
        if self.scaling not in ("plain", "robust"):
            raise ConfigError(f"scaling: expected 'plain' or 'robust', got {self.scaling!r}")
        check_ranges(self)


@dataclass(frozen=True, slots=True, eq=False)
class RowEncoder:
    """Encoder fitted on a table. State: about 60 bytes per category, 16 per feature."""

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
        given = [column.values(_find(rows, column.name)) for column in self.columns]
        X = np.empty((rows.num_rows, self.n_features), dtype=np.float32)
        step = max(1, _CHUNK_FLOATS // self.n_features)
        raw = np.empty((self.n_features, min(step, rows.num_rows)))
        scaled = self._scaling()
        for start in range(0, rows.num_rows, step):
            part = raw[:, : rows.num_rows - start]
            for first, values in zip(self.first_features, given, strict=True):
                part[first] = values[start : start + step]
            X[start : start + step] = scaled(part).T
        return X

    def numbers(self, rows: pa.RecordBatch) -> list[np.ndarray | None]:
        """Values of each column of numbers as they are, float64 with NaN for nulls; None for a column of categories.

        Raises:
            SchemaError: As `transform`.
        """
        return [
            column.values(_find(rows, column.name)).astype(np.float64, copy=False)
            if isinstance(column, NumericColumn)
            else None
            for column in self.columns
        ]

    def check_schema(self, schema: pa.Schema) -> None:
        """Apply the encoder to zero rows of `schema`, whose types must be those of the fit.

        Raises:
            SchemaError: As `transform` would, or if a column of numbers was a category in the fit, or the reverse.
        """
        for column in self.columns:
            if column.name in schema.names:
                column.expect(schema.field(column.name).type)
        self.transform(pa.RecordBatch.from_pylist([], schema=schema))

    @property
    def constant(self) -> tuple[str, ...]:
        """Columns that held at most one value in the fit, nulls aside."""
        spread = self.spread[self.first_features]
        return tuple(name for name, wide in zip(self.names, spread, strict=True) if wide == 0)

    def _scaling(self) -> Callable[[np.ndarray], np.ndarray]:
        """Function that encodes raw features, float64 of shape (n_features, n), in place."""
        nullable = np.array([isinstance(column, NumericColumn) and column.nullable for column in self.columns])
        indicators = self.first_features[nullable] + 1
        # A null of a nullable column is at the centre and has its indicator; any other null is an extreme.
        null_codes = np.full((self.n_features, 1), self.clip)
        null_codes[indicators - 1] = 0.0
        centre, spread = self.centre[:, None], scale_of(self.spread)[:, None]

        def scaled(raw: np.ndarray) -> np.ndarray:
            raw[indicators] = np.isnan(raw[indicators - 1])
            np.clip(raw, -LARGEST, LARGEST, out=raw)
            raw -= centre
            # A tiny spread may overflow: to an infinity, which is clipped.
            with np.errstate(over="ignore"):
                raw /= spread
            np.copyto(raw, null_codes, where=np.isnan(raw))
            clipped: np.ndarray = np.clip(raw, -self.clip, self.clip, out=raw)
            return clipped

        return scaled

    def to_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and JSON from which `from_state` builds the same encoder."""
        arrays = {"centre": self.centre, "spread": self.spread}
        described = []
        for i, column in enumerate(self.columns):
            if isinstance(column, NumericColumn):
                described.append({"name": column.name, "nullable": column.nullable})
                continue
            arrays |= {f"values.{i}": values_to_bytes(column.categories), f"counts.{i}": column.counts}
            keys = ("name", "null_rows", "tail_rows", "total_rows")
            described.append({key: getattr(column, key) for key in keys})
        return arrays, {"format": FORMAT, "clip": self.clip, "columns": described}

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> "RowEncoder":
        """Inverse of `to_state`.

        Raises:
            ModelError: If the layout is of another format or an entry is missing.
        """
        if meta.get("format") != FORMAT:
            raise ModelError(f"expected an encoder of format {FORMAT}, got {meta.get('format')!r}")
        try:
            columns = tuple(
                NumericColumn(**described)
                if "nullable" in described
                else CategoricalColumn(
                    **described,
                    categories=values_from_bytes(arrays[f"values.{i}"]),
                    counts=arrays[f"counts.{i}"],
                )
                for i, described in enumerate(meta["columns"])
            )
            return cls(columns, arrays["centre"], arrays["spread"], float(meta["clip"]))
        except (KeyError, TypeError) as error:
            raise ModelError(f"an encoder's state is incomplete: {error}") from error


def fit_encoder(table: pa.Table, config: EncoderConfig) -> RowEncoder:
    """Learn categories, centres and spreads from all columns of `table`; exact, and the same each time.

    Raises:
        ConfigError: If there is no row or no column, a categorical column is unknown, or a type is
            neither number, string nor boolean.
    """
    if table.num_rows == 0 or table.num_columns == 0:
        raise ConfigError(f"expected rows to fit, got {table.num_rows} of {table.num_columns} columns")
    most_values = max(MOST_VALUES, config.max_values)
    statistics = EncoderStatistics(table.column_names, categorical=config.categorical, most_values=most_values)
    statistics.update(one_batch(table))
    return encoder_of(statistics, config)


def encoder_of(statistics: EncoderStatistics, config: EncoderConfig) -> RowEncoder:
    """The encoder of statistics gathered part by part, over files or workers.

    Raises:
        ConfigError: If there are no rows, or `config` names other categories than were gathered.
    """
    if not statistics.rows:
        raise ConfigError("expected rows to fit, got statistics of no rows")
    if (wanted := tuple(sorted(config.categorical))) != statistics.categorical:
        raise ConfigError(f"categorical: expected {statistics.categorical}, as in the statistics, got {wanted}")
    fitted = [_fitted(name, column, config) for name, column in statistics.columns.items()]
    centre, spread = np.array([scale for _, scales in fitted for scale in scales]).T
    return RowEncoder(tuple(column for column, _ in fitted), centre.copy(), spread.copy(), config.clip)


def _fitted(name: str, statistics: ColumnStatistics, config: EncoderConfig) -> tuple[Column, list[Scale]]:
    """The column, and centre and spread of each of its features."""
    if isinstance(statistics, NumericStatistics):
        numbers = statistics.scale(config.scaling)
        nullable = statistics.nulls > 0
        return NumericColumn(name, nullable), [numbers, statistics.null_scale()] if nullable else [numbers]
    column = statistics.column(name, config.max_values)
    return column, [statistics.scale(column, config.scaling)]


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
