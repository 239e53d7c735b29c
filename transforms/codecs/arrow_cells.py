"""Arrow columns as columns of a job's types: cast whole where that loses nothing, else cell by cell."""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparsewatch.transforms.codecs.cells import is_finite, to_column
from sparsewatch.transforms.codecs.wrong_cells import wrong_values

_NO_ROWS = np.zeros(0, dtype=np.int64)


class Fitted(NamedTuple):
    """A column of the type wanted."""

    #: Null where a value does not fit.
    array: pa.Array
    #: Positions of these, ascending, shape (m,).
    wrong: np.ndarray
    #: The values that do not fit, as Python's.
    values: list[Any]


def fitted(column: pa.ChunkedArray, kind: pa.DataType) -> Fitted:
    """A column's values as one array of a type.

    Args:
        column: Of any type.
        kind: The type wanted.
    """
    given = _plain(column)
    if not fits(given.type, kind):
        return _none_fits(given, kind)
    array = _cast(given, kind)
    if array is not None:
        return Fitted(array, _NO_ROWS, []) if is_finite(array) else _only(pc.is_finite(array), array)
    if pa.types.is_integer(kind) and (pa.types.is_integer(given.type) or given.type in (pa.float32(), pa.float64())):
        kept = _only(_whole_within(given, kind.bit_width), given)
        return kept._replace(array=kept.array.cast(kind))
    array, at = to_column(given.to_pylist(), kind)
    wrong = np.array(at, dtype=np.int64)
    return Fitted(array, wrong, wrong_values(given, wrong))


def fits(given: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a column of one type may hold values that fit another."""
    types = pa.types
    if types.is_null(given) or given == wanted:
        return True
    if isinstance(given, pa.BaseExtensionType):
        return fits(given.storage_type, wanted)
    if types.is_dictionary(given) or types.is_run_end_encoded(given):
        return fits(given.value_type, wanted)
    if types.is_list(wanted):
        is_list = types.is_list(given) or types.is_large_list(given)
        return is_list and fits(given.value_type, wanted.value_type)
    if types.is_integer(wanted) or types.is_floating(wanted):
        return bool(types.is_integer(given) or types.is_floating(given) or types.is_decimal(given))
    if types.is_string(wanted):
        return bool(types.is_large_string(given) or types.is_string_view(given))
    return False


def _plain(column: pa.ChunkedArray) -> pa.Array:
    """One array, without an extension's name, run ends or a dictionary."""
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    if pa.types.is_run_end_encoded(array.type):
        array = pc.run_end_decode(array)
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _cast(array: pa.Array, kind: pa.DataType) -> pa.Array | None:
    """The array as another type; None if a value would be lost, or no such cast is known."""
    if array.type == kind:
        return array
    # A number is held as the nearest float.
    loses = pa.types.is_floating(kind) and not pa.types.is_floating(array.type)
    try:
        return array.cast(kind, safe=not loses)
    except pa.ArrowException:
        return None


def _whole_within(numbers: pa.Array, bits: int) -> pa.Array:
    """Which numbers an integer of this size can be, null for null."""
    most, types = 2 ** (bits - 1), pa.types
    if types.is_floating(numbers.type):
        within = pc.and_(pc.greater_equal(numbers, float(-most)), pc.less(numbers, float(most)))
        return pc.and_(within, pc.equal(numbers, pc.trunc(numbers)))
    below = pc.less_equal(numbers, pa.scalar(most - 1, numbers.type))
    if types.is_unsigned_integer(numbers.type):
        return below
    return pc.and_(below, pc.greater_equal(numbers, pa.scalar(-most, numbers.type)))


def _only(fitting: pa.Array, array: pa.Array) -> Fitted:
    """The values that fit, given which of them do, null for null."""
    wrong = np.flatnonzero(~pc.fill_null(fitting, True).to_numpy(zero_copy_only=False))
    return Fitted(pc.if_else(fitting, array, pa.scalar(None, array.type)), wrong, wrong_values(array, wrong))


def _none_fits(array: pa.Array, kind: pa.DataType) -> Fitted:
    wrong = np.flatnonzero(array.is_valid().to_numpy(zero_copy_only=False))
    return Fitted(pa.nulls(len(array), kind), wrong, wrong_values(array, wrong))
