"""A column as text: its distinct values and which row holds which."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sparsewatch.detectors.counts.value_hashes import kind_of
from sparsewatch.schemas.errors import SchemaError
from sparsewatch.schemas.settings import Count, check_range


class TextValues(NamedTuple):
    """A column whose values are texts."""

    #: Distinct values, none of them null, in the order they first appear.
    distinct: pl.Series
    #: Position in `distinct` of each row's value, -1 where it is missing; shape (n_rows,).
    codes: NDArray[np.int64]

    def rows(self) -> NDArray[np.int64]:
        """Rows of each distinct value."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.distinct))


def text_values(rows: pa.RecordBatch | pa.Table, feature: str) -> TextValues:
    """A feature's values as text; null and NaN are missing, empty text is a value.

    Raises:
        SchemaError: If there is no such column or its type is not counted.
    """
    if feature not in rows.schema.names:
        raise SchemaError(f"expected a column {feature!r}, got only {sorted(rows.schema.names)}")
    column = rows.column(feature)
    kind = kind_of(feature, column.type)
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if kind == "float":
        column = pc.if_else(pc.is_nan(column), None, column)
    encoded = column.cast(pa.large_string()).dictionary_encode()
    codes = encoded.indices.cast(pa.int64()).fill_null(-1).to_numpy()
    return TextValues(pl.Series(encoded.dictionary, dtype=pl.String), codes)


def most_frequent(counts: Sequence[pl.DataFrame], most: int, what: str) -> list[tuple[str, ...]]:
    """Values, or combinations of values, of most rows, by descending rows; ties by value.

    Args:
        counts: Of each block, in any order: a column `rows`, the others together name what was counted.
        most: How many at most.
        what: What they are, for the error.

    Raises:
        ConfigError: If `most` is below 1.
    """
    check_range(Count, most, what)
    if not counts:
        return []
    names = [name for name in counts[0].columns if name != "rows"]
    total = pl.concat(counts).group_by(names).agg(pl.col("rows").sum())
    return total.sort("rows", *names, descending=[True, *[False] * len(names)]).select(names).head(most).rows()
