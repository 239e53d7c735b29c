"""What a value of a file means: which type a column has that nobody declares, and how values become those of a type.

The types are those of the stream: integers, numbers, booleans, text, and lists of them. Texts of CSV and of Parquet
follow the same rule. A value that does not fit raises Arrow's error, which the caller names; nothing is guessed.
"""

from collections import Counter
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from sparsewatch.pipelines.tables.text import decoded, is_text
from sparsewatch.schemas.jobs import TimeFormat

_INTEGER = r"^[-+]?\d+(\.0*)?$"
_NAN = r"^[-+]?(?i:nan)$"
#: Whole numbers up to this size are exact as floats.
_EXACT = 1 << 53
_SECOND_US = 1_000_000
#: Units as Arrow names them.
_UNITS = {"epoch_s": ("second", "s"), "epoch_ms": ("millisecond", "ms"), "epoch_us": ("microsecond", "us")}


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type of a column of a file whose type is not declared; times stay times, structures stay what they are."""
    is_ = pa.types
    if is_.is_dictionary(kind):
        return plain_type(kind.value_type)
    if is_.is_integer(kind):
        return pa.int64()
    if is_.is_floating(kind) or is_.is_decimal(kind) or is_.is_duration(kind):
        return pa.float64()
    if is_text(kind) or is_.is_string_view(kind) or is_bytes(kind) or is_.is_date(kind) or is_.is_time(kind):
        return pa.string()
    return kind


def is_structure(kind: pa.DataType) -> bool:
    """Whether a column holds neither plain values nor lists of them."""
    while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    return bool(pa.types.is_nested(kind))


def is_sure(given: pa.DataType, kind: pa.DataType) -> bool:
    """Whether every value of one type is one of another."""
    is_ = pa.types
    if given == kind or (is_text(kind) and not is_bytes(given)):
        return True
    is_number = is_.is_integer(given) or is_.is_floating(given) or is_.is_decimal(given)
    return bool(
        (kind == pa.float64() and is_number) or (kind == pa.int64() and is_.is_integer(given) and given != pa.uint64())
    )


def is_bytes(kind: pa.DataType) -> bool:
    """Whether a column holds bytes."""
    is_ = pa.types
    return bool(
        is_.is_binary(kind) or is_.is_large_binary(kind) or is_.is_fixed_size_binary(kind) or is_.is_binary_view(kind)
    )


def unpacked(column: Any, encoding: str | None = None) -> Any:
    """A column without a dictionary, and as text if it holds bytes or views of text.

    Args:
        column: As a file holds it.
        encoding: Of bytes; UTF-8 if None.

    Raises:
        pa.ArrowInvalid: If bytes are not of the encoding.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if is_bytes(column.type):
        return decoded(column, encoding)
    return column.cast(pa.string()) if pa.types.is_string_view(column.type) else column


def as_type(column: Any, kind: pa.DataType, moments: TimeFormat = "epoch_ms") -> Any:
    """A column as another type.

    Args:
        column: As a file holds it.
        kind: The type wanted.
        moments: How dates and times become integers; as milliseconds where it is text.

    Returns:
        The column; of floats with what is not finite, see `finite_rows`.

    Raises:
        pa.ArrowInvalid: If it does not hold all values.
        pa.ArrowNotImplementedError: If it holds none.
    """
    if column.type == kind:
        return column
    column = unpacked(column)
    if pa.types.is_null(kind) and column.null_count == len(column):
        return pa.nulls(len(column))
    if is_text(column.type):
        return _of_text(column, kind)
    if pa.types.is_temporal(column.type):
        return _of_time(column, kind, moments)
    return _of_number(column, kind)


def _of_text(column: Any, kind: pa.DataType) -> Any:
    """Values of texts: blanks around them do not count, "1.0" is an integer."""
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        return column.cast(kind)
    if pa.types.is_integer(kind):
        # Arrow takes 0x1F for 31 in a column of integers, and not in a column of numbers.
        if _may_hold(column, b"xX") and pc.any(pc.match_substring_regex(column, "^0[xX]")).as_py():
            raise pa.ArrowInvalid("hexadecimal")
        try:
            return column.cast(kind)
        except pa.ArrowInvalid:
            return _integers(_trimmed(column), kind)
    try:
        return column.cast(kind)
    except pa.ArrowInvalid:
        return _trimmed(column).cast(kind)


def _may_hold(column: Any, characters: bytes) -> bool:
    """Whether any of the characters is in the texts, or in the memory they share with others."""
    data = column.buffers()[2]
    text = b"" if data is None else data.to_pybytes()
    return any(text.find(character) >= 0 for character in characters)


def _trimmed(column: Any) -> Any:
    return pc.utf8_trim_whitespace(column)


def _integers(column: Any, kind: pa.DataType) -> Any:
    """Integers that are written with a sign, a fraction of zeros or an exponent."""
    column = pc.if_else(pc.match_substring_regex(column, _NAN), None, column)
    plain = pc.match_substring_regex(column, _INTEGER)
    digits = pc.replace_substring_regex(column, r"^\+|\.0*$", "")
    wholes = pc.if_else(plain, digits, None).cast(kind)
    # An exponent, or what is no number.
    others = pc.if_else(plain, None, column).cast(pa.float64())
    if not pc.all(pc.less_equal(pc.abs(others), float(_EXACT)), min_count=0).as_py():
        raise pa.ArrowInvalid("too large")
    return pc.coalesce(wholes, others.cast(kind))


def _of_time(column: Any, kind: pa.DataType, moments: TimeFormat) -> Any:
    if pa.types.is_duration(column.type) and pa.types.is_floating(kind):
        us = column.cast(pa.duration("us"), safe=False).cast(pa.int64())
        return pc.divide(us.cast(pa.float64(), safe=False), float(_SECOND_US)).cast(kind)
    if pa.types.is_integer(kind) and (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
        name, unit = _UNITS.get(moments, _UNITS["epoch_ms"])
        whole = pc.floor_temporal(column.cast(pa.timestamp("us"), safe=False), unit=name)
        return whole.cast(pa.timestamp(unit)).cast(kind)
    return column.cast(kind)


def _of_number(column: Any, kind: pa.DataType) -> Any:
    given = column.type
    if pa.types.is_floating(kind):
        # As in JSON, a number becomes the nearest that the type holds.
        return column.cast(kind, safe=False)
    if pa.types.is_boolean(kind) and not pa.types.is_null(given):
        numbers = column.cast(pa.float64(), safe=False)
        if not pc.all(pc.is_in(numbers.drop_null(), pa.array([0.0, 1.0])), min_count=0).as_py():
            raise pa.ArrowInvalid("numbers that are neither 0 nor 1")
        return column.cast(kind)
    if pa.types.is_integer(kind) and pa.types.is_floating(given):
        column = pc.if_else(pc.is_nan(column), None, column)
    return column.cast(kind)


class Finite(NamedTuple):
    """Rows without infinite values."""

    rows: pa.RecordBatch
    #: How many values were infinite, by column.
    infinite: Counter[str]


def finite_rows(rows: pa.RecordBatch) -> Finite:
    """Rows in whose columns of floats what is not finite is null.

    A stream sends null for a missing number, and nothing for an infinite number.
    """
    infinite: Counter[str] = Counter()
    for place, field in enumerate(rows.schema):
        if not pa.types.is_floating(field.type):
            continue
        column = rows.column(place)
        if not pc.all(finite := pc.is_finite(column), min_count=0).as_py():
            rows = rows.set_column(place, field, pc.if_else(finite, column, None))
            infinite[field.name] += pc.sum(pc.is_inf(column)).as_py() or 0
    return Finite(rows, +infinite)
