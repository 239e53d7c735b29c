"""Kinds of values that are counted, hashed and sampled, by the Arrow type of their column."""

from typing import Any

import pyarrow as pa

from sparsewatch.schemas.errors import SchemaError

#: Type a column is taken in, by kind. Booleans count as integers.
ARROW_TYPES: dict[str, Any] = {"int": pa.int64(), "float": pa.float64(), "str": pa.large_string()}


def kind_of(column: str, arrow_type: Any) -> str | None:
    """Kind a column of this type is counted in; None for a column of nulls without a type.

    Raises:
        SchemaError: If the type is not counted.
    """
    if pa.types.is_dictionary(arrow_type):
        arrow_type = arrow_type.value_type
    if pa.types.is_null(arrow_type):
        return None
    if pa.types.is_boolean(arrow_type) or (pa.types.is_integer(arrow_type) and arrow_type != pa.uint64()):
        return "int"
    if pa.types.is_floating(arrow_type):
        return "float"
    if is_text(arrow_type) or pa.types.is_string_view(arrow_type):
        return "str"
    raise SchemaError(
        f"feature {column!r}: expected integers (up to 64 bits with sign), booleans, floats or "
        f"strings, got {arrow_type}"
    )


def is_text(arrow_type: Any) -> bool:
    """Whether a type is text whose values are contiguous in memory."""
    return any(is_kind(arrow_type) for is_kind in (pa.types.is_string, pa.types.is_large_string))
