"""Which value fits a column of a type: the rule for a single cell, the same in every codec.

| declared | fits | does not fit |
|---|---|---|
| `int` | a whole number within 64 bits, also written `7.0` or `1e3` | `"7"`, `true`, `7.5`, `2**63` |
| `float` | a finite number, as the nearest float | `"7.5"`, `true`, `1e400`, NaN, an infinity |
| `str` | text | any number, `true` |
| `bool` | `true`, `false` | `0`, `1`, `"true"` |

A number that is written otherwise is the same number: nothing is lost and nothing has changed. A text is not a number,
even if it reads like one: that a producer now sends texts is what a monitor is for.
"""

import datetime as dt
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: Stands for a value that does not fit.
WRONG: Final = object()
_NONE = type(None)
#: Types whose values `pa.array` takes as they are, or refuses.
_PLAIN: tuple[tuple[Any, frozenset[type]], ...] = (
    (pa.types.is_boolean, frozenset({bool, _NONE})),
    (pa.types.is_string, frozenset({str, _NONE})),
    (pa.types.is_integer, frozenset({int, _NONE})),
    (pa.types.is_floating, frozenset({int, float, _NONE})),
)
_NAMES: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "bool"),
    (int, "int"),
    ((float, Decimal), "float"),
    (str, "str"),
    (bytes, "bytes"),
    (list, "list"),
    (dict, "object"),
    ((dt.date, dt.time, dt.timedelta), "time"),
)


@dataclass(frozen=True, slots=True)
class Unshown:
    """Stands for a value that Python cannot hold, or that is in doubt."""

    #: The type found.
    found: str
    text: str

    def __repr__(self) -> str:
        return self.text


NOT_FINITE = "not finite"
OUT_OF_RANGE = "int out of range"
BROKEN_TEXT = "broken text"


def declared(kind: pa.DataType) -> str:
    """Name of a column's type, as in job files."""
    if pa.types.is_list(kind):
        return f"list of {declared(kind.value_type)}"
    for is_kind, name in (
        (pa.types.is_boolean, "bool"),
        (pa.types.is_integer, "int"),
        (pa.types.is_floating, "float"),
        (pa.types.is_string, "str"),
    ):
        if is_kind(kind):
            return name
    return str(kind)


def to_column(values: Sequence[Any], kind: pa.DataType) -> tuple[pa.Array, list[int]]:
    """Values as a column of a type.

    Args:
        values: Values of any types; None is the missing value.
        kind: Booleans, integers, floats, strings or lists of them.

    Returns:
        The column, null where a value does not fit, and the positions of these.
    """
    array = _plainly(values, kind)
    if array is not None:
        return array, []
    held = [fitting(value, kind) for value in values]
    wrong = [i for i, value in enumerate(held) if value is WRONG]
    return pa.array([None if value is WRONG else value for value in held], kind), wrong


def fitting(value: Any, kind: pa.DataType) -> Any:
    """A value as a column of this type holds it, or `WRONG`."""
    types = pa.types
    if value is None:
        return None
    if types.is_list(kind):
        held = [fitting(item, kind.value_type) for item in value] if isinstance(value, list) else [WRONG]
        return WRONG if any(item is WRONG for item in held) else held
    if types.is_boolean(kind):
        return value if isinstance(value, bool) else WRONG
    if types.is_string(kind):
        return value if isinstance(value, str) and _is_unicode(value) else WRONG
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return WRONG
    return _whole(value, kind.bit_width) if types.is_integer(kind) else _finite(value)


def found_type(value: Any) -> str:
    """Name of the type of a value that does not fit its column."""
    if any(
        isinstance(one, float) and not math.isfinite(one) for one in (value if isinstance(value, list) else [value])
    ):
        return NOT_FINITE
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return OUT_OF_RANGE
    if isinstance(value, str) and not _is_unicode(value):
        return BROKEN_TEXT
    if isinstance(value, Unshown):
        return value.found
    return next((name for kind, name in _NAMES if isinstance(value, kind)), "other")


def found_types(values: Iterable[Any]) -> Counter[str]:
    """How many values are of each type, by the names of `found_type`."""
    by_type: dict[type, list[Any]] = {}
    for value in values:
        by_type.setdefault(type(value), []).append(value)
    found: Counter[str] = Counter()
    for kind, own in by_type.items():
        if kind in (bool, dict) or (kind is str and _is_unicode("".join(own))):
            found[found_type(own[0])] += len(own)
        else:
            found.update(map(found_type, own))
    return found


def _plainly(values: Sequence[Any], kind: pa.DataType) -> pa.Array | None:
    """The column, if each value clearly fits."""
    if not set(map(type, values)) <= (frozenset({list, _NONE}) if pa.types.is_list(kind) else _plain_types(kind)):
        return None
    inner = kind.value_type if pa.types.is_list(kind) else kind
    if inner is not kind and not set(map(type, chain.from_iterable(filter(None, values)))) <= _plain_types(inner):
        return None
    try:
        array = pa.array(values, kind)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        return None
    return array if is_finite(array.flatten() if inner is not kind else array) else None


def is_finite(column: pa.Array) -> bool:
    """Whether a column holds no NaN and no infinity; null is neither."""
    return not pa.types.is_floating(column.type) or bool(pc.all(pc.is_finite(column), min_count=0).as_py())


def _plain_types(kind: pa.DataType) -> frozenset[type]:
    return next((types for is_kind, types in _PLAIN if is_kind(kind)), frozenset())


def _whole(value: float | Decimal, bits: int) -> Any:
    try:
        number = int(value)
    except (OverflowError, ValueError):
        return WRONG
    return number if number == value and -(2 ** (bits - 1)) <= number < 2 ** (bits - 1) else WRONG


def _finite(value: float | Decimal) -> Any:
    try:
        number = float(value)
    except OverflowError:
        return WRONG
    return number if np.isfinite(number) else WRONG


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        # Half a surrogate pair.
        return False
    return True
