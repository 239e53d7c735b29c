"""Columns of text: the missing value, and bytes as text."""

import codecs
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

#: Handler of decoding errors: a byte that is not UTF-8 is read as latin-1.
LATIN1 = "sparsewatch-latin-1"


def _latin1(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error(LATIN1, _latin1)


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


def utf8(column: Any) -> Any:
    """Text of a column of bytes: bytes that are not UTF-8 are read as latin-1."""
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        encoded = column.cast(pa.binary()).dictionary_encode()
        texts = [None if value is None else value.decode("utf-8", LATIN1) for value in encoded.dictionary.to_pylist()]
        return pa.array(texts, pa.string()).take(encoded.indices)
