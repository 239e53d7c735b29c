"""How a column of rows becomes features: numbers as they are, categories by the frequency of their value.

A category is encoded as ln(rows with its value / rows fitted). Values above the cap share the mean frequency of
that tail; a value never seen has half a row. A missing category is one more value, with the frequency of nulls.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparsewatch.schemas.errors import ConfigError, ModelError, SchemaError
from sparsewatch.schemas.stored import UNREADABLE, table_from_bytes, table_to_bytes

#: Rows credited to a value that was never seen.
UNSEEN_ROWS = 0.5
#: Larger numbers are replaced by this: its square still fits a float64.
LARGEST = 1e100


@dataclass(frozen=True, slots=True)
class NumericColumn:
    """A column of numbers; NaN counts as null."""

    name: str
    #: Whether nulls occurred in fitting; then nulls have an indicator feature.
    nullable: bool

    @property
    def n_features(self) -> int:
        """Features of this column."""
        return 2 if self.nullable else 1

    def expect(self, kind: pa.DataType) -> None:
        """Check that a column of a type holds numbers.

        Raises:
            SchemaError: If not.
        """
        if not (is_number(value_type(kind)) or pa.types.is_null(kind)):
            raise SchemaError(f"column {self.name!r}: expected numbers, got {kind}")

    def values(self, column: pa.Array) -> np.ndarray:
        """See `numbers`."""
        return numbers(column, self.name)


@dataclass(frozen=True, slots=True)
class CategoricalColumn:
    """A column of categories with the rows of each value."""

    name: str
    #: Distinct values, most frequent first; no null.
    categories: pa.Array
    #: Rows of each value, int64, same length.
    counts: np.ndarray
    null_rows: int
    #: Mean rows of the values that were seen but are not in `categories`; 0 if there are none.
    tail_rows: float
    #: Rows fitted.
    total_rows: int
    n_features: int = 1

    def expect(self, kind: pa.DataType) -> None:
        """Check that a column of a type holds categories as they were fitted: `1` is not the text "1".

        Raises:
            SchemaError: If not.
        """
        known, given = self.categories.type, category_type(self.name, value_type(kind))
        if given != known and not pa.types.is_null(kind):
            raise SchemaError(f"column {self.name!r}: expected {known}, a category in the training, got {kind}")

    def values(self, column: pa.Array) -> np.ndarray:
        """Log-frequency of each row's value, float64 of shape (n,)."""
        column = as_type(column, self.categories.type, self.name)
        index = pc.fill_null(pc.index_in(column, value_set=self.categories), len(self.categories))
        index = index.to_numpy(zero_copy_only=False)
        if column.null_count:
            nulls = pc.is_null(column).to_numpy(zero_copy_only=False)
            index = np.where(nulls, len(self.categories) + 1, index)
        found: np.ndarray = self.log_frequencies()[index]
        return found

    def log_frequencies(self) -> np.ndarray:
        """Log-frequency of each category, of any other value, and of null."""
        # If most values occurred once, a new value is to be expected (Good, "The population frequencies of species",
        # Biometrika 40, 1953: the probability of a new value is about the share of rows with values that came once).
        once = np.count_nonzero(self.counts == 1) / self.total_rows
        unseen = max(self.tail_rows, UNSEEN_ROWS + (1 - UNSEEN_ROWS) * once)
        rows = np.concatenate([self.counts, [unseen, max(self.tail_rows, self.null_rows, UNSEEN_ROWS)]])
        frequencies: np.ndarray = np.log(rows / self.total_rows)
        return frequencies


Column = NumericColumn | CategoricalColumn


def values_to_bytes(values: pa.Array) -> np.ndarray:
    """Arrow IPC stream of the values, as a uint8 array."""
    return np.frombuffer(table_to_bytes(pa.record_batch([values], names=["values"])), dtype=np.uint8)


def values_from_bytes(stream: np.ndarray) -> pa.Array:
    """Inverse of `values_to_bytes`.

    Raises:
        ModelError: If the bytes are not such a stream.
    """
    try:
        return one_array(table_from_bytes(stream.tobytes()).column("values"))
    except UNREADABLE as error:
        raise ModelError(f"expected an Arrow stream of values, got: {error}") from error


def is_number(kind: pa.DataType) -> bool:
    """Whether values of a type are numbers; booleans are not."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def value_type(kind: pa.DataType) -> pa.DataType:
    """The type of the values of a dictionary; any other type itself."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def category_type(name: str, kind: pa.DataType) -> pa.DataType:
    """The type in which categories are compared.

    Raises:
        ConfigError: If the type is neither number, string nor boolean.
    """
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_boolean(kind):
        return pa.bool_()
    if is_number(kind):
        return pa.float64()
    if any(is_text(kind) for is_text in (pa.types.is_string, pa.types.is_large_string, pa.types.is_null)):
        return pa.string()
    raise ConfigError(f"column {name!r}: expected numbers, strings or booleans, got {kind}")


def as_type(column: pa.Array, kind: pa.DataType, name: str) -> pa.Array:
    """A column of categories in the type in which they are compared.

    Raises:
        SchemaError: If its type does not fit.
    """
    column = _decoded(column)
    if pa.types.is_floating(column.type):
        # Files may hold NaN where a stream can only send null.
        column = pc.if_else(pc.is_nan(column), None, column)
    if column.type == kind:
        return column
    try:
        return pc.cast(column, kind, safe=not pa.types.is_integer(column.type))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaError(f"column {name!r}: expected {kind}, got {column.type}") from error


def numbers(column: pa.Array, name: str) -> np.ndarray:
    """Numbers of shape (n,), NaN for null; of any numeric type, since a cast would cost more than the rest.

    Raises:
        SchemaError: If the column holds no numbers.
    """
    column = _decoded(column)
    if pa.types.is_decimal(column.type) or pa.types.is_null(column.type):
        column = pc.cast(column, pa.float64(), safe=False)
    if not is_number(column.type):
        raise SchemaError(f"column {name!r}: expected numbers, got {column.type}")
    found: np.ndarray = column.to_numpy(zero_copy_only=False)
    return found


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array."""
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _decoded(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
