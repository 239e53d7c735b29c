"""Columns of text, and bytes as text."""

from typing import Any

import pyarrow as pa


def is_text(arrow_type: Any) -> bool:
    """Whether a column of this type holds text that stays unchanged."""
    return bool(pa.types.is_string(arrow_type) or pa.types.is_large_string(arrow_type))


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
