"""Plain JSON records to columns, by the part in C.

`_plain_json.c` says what is plain. Measured on 41 columns, 487 bytes a record, one core: 0.4 µs a record, where Arrow's
reader takes 2.9 µs. Without the part, as where no compiler was, and for other types, the callers take that one.
"""

import functools
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from sparsewatch.transforms.records import Packed

try:
    from sparsewatch.transforms.codecs import _plain_json
except ImportError:
    _plain_json = None  # type: ignore[assignment]

_logger = logging.getLogger(__name__)

#: As Arrow's C data interface names them.
_KINDS = {
    pa.int8(): b"c",
    pa.int32(): b"i",
    pa.int64(): b"l",
    pa.float32(): b"f",
    pa.float64(): b"g",
    pa.bool_(): b"b",
    pa.string(): b"u",
}
#: Records that follow each other: one each, or places in one buffer.
Run = Sequence[bytes] | Packed


class PlainRows(NamedTuple):
    """What could be read at once."""

    #: One a record; null where it is not plain.
    rows: pa.RecordBatch
    #: Positions of records that are not plain, ascending, shape (m,).
    odd: np.ndarray


def is_built() -> bool:
    """Whether the part in C is here."""
    return _plain_json is not None


def read_plain(runs: Sequence[Run], columns: pa.Schema) -> PlainRows | None:
    """Rows of plain records.

    Args:
        runs: Runs of records, in order.
        columns: Names and types; an absent or null field becomes null.

    Returns:
        None where the part in C is not here, or does not read such columns.
    """
    if not is_built():
        _say_that_it_is_missing()
        return None
    layout = _layout(columns)
    if layout is None:
        return None
    decoder = _plain_json.Decoder(*layout)
    for run in runs:
        if isinstance(run, Packed):
            decoder.decode_spans(run.buffer, run.starts, run.lengths)
        else:
            decoder.decode(run)
    found, odd = decoder.finish()
    arrays = [_array(field.type, *column) for field, column in zip(columns, found, strict=True)]
    return PlainRows(pa.RecordBatch.from_arrays(arrays, schema=columns), np.frombuffer(odd, dtype=np.int64))


@functools.cache
def _say_that_it_is_missing() -> None:
    """Once a process: workers of a cluster have installations of their own."""
    _logger.info("JSON is read at about a seventh of the speed: this installation has no part in C (docs/json.md)")


def _array(kind: pa.DataType, rows: int, nulls: int, buffers: Sequence[Any]) -> Any:
    if not pa.types.is_list(kind):
        return pa.Array.from_buffers(kind, rows, list(map(_shared, buffers)), nulls)
    validity, offsets, items = buffers
    inner = _array(kind.value_type, *items)
    return pa.Array.from_buffers(kind, rows, [_shared(validity), _shared(offsets)], nulls, children=[inner])


def _shared(buffer: Any) -> Any:
    return None if buffer is None else pa.py_buffer(buffer)


@functools.lru_cache(maxsize=16)
def _layout(columns: pa.Schema) -> tuple[tuple[bytes, ...], tuple[bytes, ...]] | None:
    """Names and kinds of the columns, None if the part in C does not read such."""
    kinds = [_kind(field.type) for field in columns]
    names = columns.names
    if not names or len(set(names)) < len(names) or None in kinds or not all(map(_stands_as_it_is, names)):
        return None
    return tuple(name.encode() for name in names), tuple(kind for kind in kinds if kind)


def _kind(arrow_type: pa.DataType) -> bytes | None:
    if not pa.types.is_list(arrow_type):
        return _KINDS.get(arrow_type)
    inner = _KINDS.get(arrow_type.value_type)
    return None if inner in (None, b"u") else b"+l" + (inner or b"")


def _stands_as_it_is(name: str) -> bool:
    """Whether JSON may hold the name without escapes."""
    return not any(c in '"\\' or c < " " or "\ud800" <= c <= "\udfff" for c in name)
