"""What a feature costs: bytes, coverage and nulls, beside its score.

Sums over rows, so they add up over batches in any order, and no cap on distinct values makes them estimates.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from sparsewatch.detectors.outrank.ranking import ScoredFeature
from sparsewatch.schemas.errors import ConfigError, SchemaError

Sizes = dict[str, "ColumnSize"]


class ColumnSize(msgspec.Struct, frozen=True):
    """Sums over the rows of one column; a missing value is null or NaN."""

    rows: int = 0
    nulls: int = 0
    #: UTF-8 bytes of texts, width of numbers (1 for a boolean); a missing value has none.
    bytes: int = 0

    def plus(self, other: "ColumnSize") -> "ColumnSize":
        """Sum of both."""
        return ColumnSize(self.rows + other.rows, self.nulls + other.nulls, self.bytes + other.bytes)


class FeatureCost(msgspec.Struct, frozen=True, kw_only=True):
    """What a feature costs, and what that buys."""

    feature: str
    score: float
    #: Shares of rows with and without a value, in [0, 1]; 0 without rows.
    coverage: float
    null_share: float
    #: Mean over rows with a value, and over all rows; 0 without any.
    bytes_a_value: float
    bytes_a_row: float
    #: Score over bytes a row, in the unit of the score; 0 where there are no bytes.
    score_a_byte: float


def column_sizes(rows: pa.RecordBatch, features: Sequence[str]) -> Sizes:
    """Sizes of columns of a batch.

    Args:
        rows: Columns of numbers, booleans, texts or dictionaries of them.
        features: Names of columns.

    Raises:
        SchemaError: If a column is missing or of another type.
    """
    if missing := sorted(set(features) - set(rows.schema.names)):
        raise SchemaError(f"expected columns {missing}, got only {sorted(rows.schema.names)}")
    return {name: _size(name, rows.column(name)) for name in features}


def add_sizes(parts: Iterable[Mapping[str, ColumnSize]]) -> Sizes:
    """Sums of sizes of several batches; a column may be missing in some."""
    sums: Sizes = {}
    for part in parts:
        for name, size in part.items():
            sums[name] = sums.get(name, ColumnSize()).plus(size)
    return sums


def feature_costs(ranking: Sequence[ScoredFeature], sizes: Mapping[str, ColumnSize]) -> list[FeatureCost]:
    """Costs of the features of a ranking, in its order.

    Raises:
        ConfigError: If the size of a feature is missing.
    """
    if missing := [ranked.feature for ranked in ranking if ranked.feature not in sizes]:
        raise ConfigError(f"expected a size of every ranked feature, got none of {missing[:5]}")
    return [_cost(ranked, sizes[ranked.feature]) for ranked in ranking]


def _cost(ranked: ScoredFeature, size: ColumnSize) -> FeatureCost:
    a_row = _over(size.bytes, size.rows)
    return FeatureCost(
        feature=ranked.feature,
        score=ranked.score,
        coverage=_over(size.rows - size.nulls, size.rows),
        null_share=_over(size.nulls, size.rows),
        bytes_a_value=_over(size.bytes, size.rows - size.nulls),
        bytes_a_row=a_row,
        score_a_byte=_over(ranked.score, a_row),
    )


def _over(x: float, y: float) -> float:
    return x / y if y else 0.0


def _size(name: str, column: Any) -> ColumnSize:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    nulls = column.null_count
    if pa.types.is_null(column.type):
        return ColumnSize(len(column), nulls)
    if pa.types.is_floating(column.type):
        nulls += pc.sum(pc.is_nan(column)).as_py() or 0
    elif any(is_text(column.type) for is_text in (pa.types.is_string, pa.types.is_large_string)):
        return ColumnSize(len(column), nulls, pc.sum(pc.binary_length(column)).as_py() or 0)
    elif pa.types.is_string_view(column.type):
        return _size(name, column.cast(pa.large_string()))
    elif not (pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)):
        raise SchemaError(f"feature {name!r}: expected numbers, booleans or strings, got {column.type}")
    return ColumnSize(len(column), nulls, (len(column) - nulls) * max(column.type.bit_width // 8, 1))
