"""Columns of text: the missing value, and bytes as text."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def is_text(arrow_type: Any) -> bool:
    """Whether a column of this type holds text that stays unchanged."""
    return bool(pa.types.is_string(arrow_type) or pa.types.is_large_string(arrow_type))


def missing_as_null(column: Any, symbols: Sequence[str]) -> Any:
    """A column of text, or a dictionary of it, in which texts that stand for the missing value are null."""
    if not symbols:
        return column
    if pa.types.is_dictionary(column.type):
        if not pc.any(missing := _is_missing(column.dictionary, symbols)).as_py():
            return column
        indices = pc.if_else(missing.take(column.indices), None, column.indices)
        return pa.DictionaryArray.from_arrays(indices, column.dictionary)
    missing = _is_missing(column, symbols)
    return pc.if_else(missing, None, column) if pc.any(missing).as_py() else column


def _is_missing(values: Any, symbols: Sequence[str]) -> Any:
    missing = pa.scalar(False)
    for symbol in symbols:
        missing = pc.or_(missing, pc.equal(values, symbol))
    return missing


def decoded(column: Any, encoding: str | None) -> Any:
    """Text of a column of bytes.

    Args:
        column: The column.
        encoding: Of its bytes; UTF-8 if None.

    Raises:
        pa.ArrowInvalid: If bytes are not of the encoding.
    """
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        encoded = column.cast(pa.binary()).dictionary_encode()
        texts = [_text(value, encoding or "utf-8") for value in encoded.dictionary.to_pylist()]
        return pa.array(texts, pa.string()).take(encoded.indices)


def _text(value: bytes | None, encoding: str) -> str | None:
    try:
        return None if value is None else value.decode(encoding)
    except UnicodeDecodeError as error:
        raise pa.ArrowInvalid(f"bytes that are no text in {encoding}; --encoding takes another encoding") from error
