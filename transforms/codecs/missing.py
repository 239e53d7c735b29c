"""Texts that stand for a missing value, such as `NA` or `-`: the same rule for files and for the records of a stream.

In JSON such a text is null whatever the type of its column, so that a number may be `"-"`, too.
"""

import functools
import json
import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

#: What may follow the quote that ends a text: a symbol that begins so cannot be found by its place.
_STRUCTURE = (",", "}", "]", ":")


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


def without_missing_texts(rows: pa.RecordBatch, symbols: Sequence[str]) -> pa.RecordBatch:
    """Rows in whose columns of text the symbols are null."""
    if not symbols:
        return rows
    columns = [
        missing_as_null(column, symbols) if pa.types.is_string(column.type) else column for column in rows.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=rows.schema)


def texts_without_missing(table: pa.Table, symbols: Sequence[str]) -> pa.Table:
    """A table in whose columns of text the symbols are null, whatever type a job wants of them."""
    if not symbols:
        return table
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            table = table.set_column(place, field, missing_as_null(table.column(place), symbols))
    return table


def nulls_for_missing(text: bytes, symbols: Sequence[str]) -> bytes:
    """JSON in which the values of fields that stand for the missing value are null; within lists they stay."""
    pattern = _in_json(tuple(symbols))
    return text if pattern is None else pattern.sub(rb"\1null", text)


@functools.lru_cache(maxsize=16)
def _in_json(symbols: tuple[str, ...]) -> re.Pattern[bytes] | None:
    # Quotes within a text are escaped, so one behind a colon begins a value, or ends a text, which a comma follows.
    texts = [
        json.dumps(symbol, ensure_ascii=coded)[1:-1].encode()
        for symbol in symbols
        for coded in (True, False)
        if not symbol.lstrip().startswith(_STRUCTURE)
    ]
    if not texts:
        return None
    return re.compile(rb'(:[ \t\r\n]*)"(?:' + b"|".join(map(re.escape, texts)) + rb')"(?=[ \t\r\n]*[,}])')


def _is_missing(values: Any, symbols: Sequence[str]) -> Any:
    missing = pa.scalar(False)
    for symbol in symbols:
        missing = pc.or_(missing, pc.equal(values, symbol))
    return missing
