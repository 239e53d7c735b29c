"""How one column of rows becomes features: numbers as they are, categories by the frequency of their value.

A category is encoded as ln(rows with its value / rows fitted). Values beyond the cap share the mean frequency of
that tail; a value never seen has half a row.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import ConfigError, ModelError, SchemaError

#: Rows credited to a value that was never seen.
UNSEEN_ROWS = 0.5
#: Numbers beyond are taken as this: their squares still fit a float64.
_LARGEST = 1e100


@dataclass(frozen=True, slots=True)
class NumericColumn:
    """A column of numbers; NaN counts as null."""

    name: str
    #: Whether nulls occurred in fitting; then they have an indicator feature of their own.
    nullable: bool

    @property
    def n_features(self) -> int:
        """Features of this column."""
        return 2 if self.nullable else 1

    def features(self, column: pa.Array) -> list[np.ndarray]:
        """Raw features, float64 of shape (n,) each: the numbers with NaN for null, the indicator."""
        numbers = _numbers(column, self.name)
        if not self.nullable:
            return [numbers]
        return [numbers, np.isnan(numbers).astype(np.float64)]


@dataclass(frozen=True, slots=True)
class CategoricalColumn:
    """A column of categories with the rows of each value."""

    name: str
    #: Distinct values, most frequent first; no null.
    values: pa.Array
    #: Rows of each value, int64, same length.
    counts: np.ndarray
    null_rows: int
    #: Mean rows of the values that were seen but not kept; 0 if all were kept.
    tail_rows: float
    #: Rows fitted.
    total_rows: int
    n_features: int = 1

    def features(self, column: pa.Array) -> list[np.ndarray]:
        """The raw feature, float64 of shape (n,): log-frequency of each value."""
        column = _cast(column, self.values.type, self.name)
        index = pc.fill_null(pc.index_in(column, value_set=self.values), len(self.values))
        index = index.to_numpy(zero_copy_only=False)
        if column.null_count:
            nulls = pc.is_null(column).to_numpy(zero_copy_only=False)
            index = np.where(nulls, len(self.values) + 1, index)
        return [self._log_frequencies()[index]]

    def _log_frequencies(self) -> np.ndarray:
        """Log-frequency of each kept value, of any other, and of null."""
        least = max(self.tail_rows, UNSEEN_ROWS)
        rows = np.concatenate([self.counts, [least, max(least, self.null_rows)]])
        frequencies: np.ndarray = np.log(rows / self.total_rows)
        return frequencies


Column = NumericColumn | CategoricalColumn


def fit_column(name: str, column: pa.Array, *, categorical: bool, max_values: int) -> Column:
    """Learn one column.

    Args:
        name: The column's name.
        column: Its values.
        categorical: Whether numbers are categories; strings and booleans always are.
        max_values: Distinct values kept.

    Raises:
        ConfigError: If the type is neither number, string nor boolean.
    """
    column = _decoded(column)
    if not categorical and _is_number(column.type):
        return NumericColumn(name, bool(np.isnan(_numbers(column, name)).any()))
    column = _cast(column, _category_type(name, column.type), name)
    counted = pa.Table.from_struct_array(pc.value_counts(column.drop_null()))
    counted = counted.sort_by([("counts", "descending"), ("values", "ascending")])
    tail = counted.column("counts").slice(max_values)
    kept = counted.slice(0, max_values).combine_chunks()
    return CategoricalColumn(
        name=name,
        values=_one_array(kept.column("values")),
        counts=kept.column("counts").to_numpy(),
        null_rows=column.null_count,
        tail_rows=pc.mean(tail).as_py() if len(tail) else 0.0,
        total_rows=len(column),
    )


def values_to_bytes(values: pa.Array) -> np.ndarray:
    """Arrow IPC stream of the values, as a uint8 array."""
    sink = pa.BufferOutputStream()
    batch = pa.record_batch([values], names=["values"])
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return np.frombuffer(sink.getvalue(), dtype=np.uint8)


def values_from_bytes(stream: np.ndarray) -> pa.Array:
    """Inverse of `values_to_bytes`.

    Raises:
        ModelError: If the bytes are no such stream.
    """
    try:
        with pa.ipc.open_stream(pa.py_buffer(stream.tobytes())) as reader:
            return _one_array(reader.read_all().column("values"))
    except (pa.ArrowException, KeyError) as error:
        raise ModelError(f"expected an Arrow stream of values, got: {error}") from error


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _category_type(name: str, kind: pa.DataType) -> pa.DataType:
    """The type in which categories are compared."""
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_boolean(kind):
        return pa.bool_()
    if _is_number(kind):
        return pa.float64()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return pa.string()
    raise ConfigError(f"column {name!r}: expected numbers, strings or booleans, got {kind}")


def _decoded(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _cast(column: pa.Array, kind: pa.DataType, name: str) -> pa.Array:
    column = _decoded(column)
    if column.type == kind:
        return column
    try:
        return pc.cast(column, kind, safe=not pa.types.is_integer(column.type))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaError(f"column {name!r}: expected {kind}, got {column.type}") from error


def _numbers(column: pa.Array, name: str) -> np.ndarray:
    """Numbers as float64 of shape (n,), NaN for null, within +-1e100."""
    column = _decoded(column)
    if not (_is_number(column.type) or pa.types.is_null(column.type)):
        raise SchemaError(f"column {name!r}: expected numbers, got {column.type}")
    numbers = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    clipped: np.ndarray = np.clip(numbers, -_LARGEST, _LARGEST)
    return clipped
