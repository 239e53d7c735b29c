"""Plain JSON records to columns, by the part in C.

`_plain_json.c` says what is plain. A value of a plain record that does not plainly fit its column, such as `7.0` or
`"7"` where integers are wanted, is held against it as in any other record.

Without the part, as where no compiler was, and for other types, the callers take Arrow's reader, which is several times
slower (`make bench-json_readers`).
"""

import functools
import logging
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparsewatch.detectors.native import is_current
from sparsewatch.transforms.codecs.events import Fault
from sparsewatch.transforms.codecs.missing import nulls_for_missing
from sparsewatch.transforms.codecs.odd_cells import OddColumn, judge
from sparsewatch.transforms.codecs.wrong_cells import WrongCells
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
#: Of the part in C.
_INTERFACE = 3
_ANY = msgspec.json.Decoder()
#: Records that follow each other: one each, or places in one buffer.
Run = Sequence[bytes] | Packed


class PlainRows(NamedTuple):
    """What could be read at once."""

    #: One a record; null where it is not plain, or a fault.
    rows: pa.RecordBatch
    #: Positions of records that are not plain, ascending, shape (m,).
    odd: np.ndarray
    #: Of plain records, at most one each, sorted by position.
    faults: list[Fault]
    #: Cells of plain records that are null because their value does not fit.
    wrong: WrongCells
    #: Whether a plain record has a field that is no column.
    others: bool


def is_built() -> bool:
    """Whether the part in C is here, and built from these sources."""
    return is_current(_plain_json, _INTERFACE)


def read_plain(
    runs: Sequence[Run], columns: pa.Schema, lenient: Collection[str] = frozenset(), missing: Sequence[str] = ()
) -> PlainRows | None:
    """Rows of plain records.

    Args:
        runs: Runs of records, in order.
        columns: Names and types; an absent or null field becomes null.
        lenient: Columns in which a value that does not fit costs only the cell. In others it is a fault.
        missing: Texts that stand for null in columns of other types than text, where they may stay as they are.

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
            decoder.decode_spans(run.buffer, np.ascontiguousarray(run.starts), np.ascontiguousarray(run.lengths))
        else:
            decoder.decode(run)
    places, odd_columns = _set_aside(decoder.aside(), columns, missing)
    held, wrong, faults = judge(odd_columns, lenient)
    gone, others = np.array([row for row, _, _ in faults], dtype=np.int64), decoder.others()
    decoder.clear(gone)
    found, odd = decoder.finish()
    arrays = [_array(field.type, *column) for field, column in zip(columns, found, strict=True)]
    for place, column, values in zip(places, odd_columns, held, strict=True):
        if values.null_count < len(values):
            stays = ~np.isin(column.rows, gone)
            arrays[place] = _patched(arrays[place], column.rows[stays], values.filter(pa.array(stays)))
    rows = pa.RecordBatch.from_arrays(arrays, schema=columns)
    return PlainRows(rows, np.frombuffer(odd, dtype=np.int64), sorted(faults), wrong, others)


def _set_aside(found: Sequence[Any], columns: pa.Schema, missing: Sequence[str]) -> tuple[list[int], list[OddColumn]]:
    """Values that do not plainly fit, of each column that has any; and the places of these columns, ascending."""
    rows, places, ends = (np.frombuffer(numbers, dtype=np.int64) for numbers in found[:3])
    text, starts = bytes(found[3]), [0, *ends[:-1].tolist()]
    texts = [text[start:end] for start, end in zip(starts, ends.tolist(), strict=False)]
    # A producer that writes `-` for nothing writes it often.
    known = {one: _value(one, missing) for one in set(texts)}
    by_place = [(place, np.flatnonzero(places == place)) for place in np.unique(places).tolist()]
    return [place for place, _ in by_place], [
        OddColumn(columns.field(place), rows[at], [known[texts[i]] for i in at.tolist()]) for place, at in by_place
    ]


def _value(text: bytes, missing: Sequence[str]) -> Any:
    # What stands for a missing value is known by what is around it.
    return _ANY.decode(nulls_for_missing(b":%s," % text, missing)[1:-1] if missing else text)


def _patched(array: Any, rows: np.ndarray, values: Any) -> Any:
    """The column, with values in place of nulls at some rows."""
    mask = np.zeros(len(array), dtype=bool)
    mask[rows] = True
    return pc.replace_with_mask(array, pa.array(mask), values)


@functools.cache
def _say_that_it_is_missing() -> None:
    """Once a process: workers of a cluster have installations of their own."""
    _logger.info("JSON is read at a seventh of the speed: there is no part in C here, or an old one (docs/json.md)")


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
