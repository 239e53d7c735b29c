"""JSON records, one event each, to columns.

What is plain is read at once, by the part in C (`sparsewatch.transforms.codecs.plain_records`); each other record is
decided by msgspec, for itself. Without that part Arrow's reader parses whole blocks, and where one holds a record that
it refuses, msgspec finds which, and the others are parsed again.

Records that msgspec refuses are read value by value, and each value is held against its column
(`sparsewatch.transforms.codecs.cells`): the record is a fault only if it is no object, or a column that must be right
is not. A replay cuts blocks elsewhere, so what becomes of a record must not depend on its neighbours.
`make bench-json_readers` prints the cost of each way, and those of other libraries.
"""

import functools
import itertools
import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from sparsewatch.transforms.codecs.cells import is_finite
from sparsewatch.transforms.codecs.events import Fault
from sparsewatch.transforms.codecs.json_lines import DEEPEST, many_brackets, parse_lines
from sparsewatch.transforms.codecs.missing import nulls_for_missing
from sparsewatch.transforms.codecs.odd_cells import OddColumn, judge
from sparsewatch.transforms.codecs.plain_records import PlainRows, Run, read_plain
from sparsewatch.transforms.codecs.wrong_cells import WrongCells, WrongColumn, merged

_PYTHON_TYPES: dict[pa.DataType, Any] = {
    **{
        kind: Annotated[int, msgspec.Meta(ge=-(2 ** (kind.bit_width - 1)), le=2 ** (kind.bit_width - 1) - 1)]
        for kind in (pa.int8(), pa.int32(), pa.int64())
    },
    pa.float32(): float,
    pa.float64(): float,
    pa.string(): str,
    pa.bool_(): bool,
}
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
#: Digits of an integer that is above all floats; Python refuses to read much longer ones.
_LONGEST_INTEGER = 400


class JsonRows(NamedTuple):
    """Decoded records."""

    #: One a record; all null where it is a fault.
    rows: pa.RecordBatch
    #: At most one a record, sorted by position.
    faults: list[Fault]
    #: Cells of other rows that are null because their value does not fit.
    wrong: WrongCells
    #: False if no record has a field that is no column.
    others: bool = True


def decode_json(values: Sequence[bytes], columns: pa.Schema, lenient: Collection[str] = frozenset()) -> JsonRows:
    """Columns of JSON objects; fields that are not in `columns` are ignored.

    Args:
        values: One JSON object each.
        columns: Names and types; an absent or null field becomes null.
        lenient: Columns in which a value that does not fit costs only the cell. In others it is a fault.
    """
    return decode_runs([values], columns, lenient)


def decode_runs(
    runs: Sequence[Run], columns: pa.Schema, lenient: Collection[str] = frozenset(), missing: Sequence[str] = ()
) -> JsonRows:
    """As `decode_json`, of records in several runs.

    Args:
        runs: Runs of records, in order.
        columns: As there.
        lenient: As there.
        missing: Texts that stand for null in columns of other types than text, where they may stay as they are.
    """
    plain = read_plain(runs, columns, lenient, missing)
    if plain is None:
        return _decode_block(_values(runs, missing), columns, lenient)
    if not len(plain.odd):
        return JsonRows(plain.rows, plain.faults, plain.wrong, plain.others)
    return _with_doubtful(plain, _decode_doubtful(_values(runs, missing, plain.odd), columns, lenient))


def _values(runs: Sequence[Run], missing: Sequence[str], places: np.ndarray | None = None) -> list[bytes]:
    """Records at places, ascending, or all of them; null for texts that stand for the missing value."""
    if places is None:
        values = [value or b"" for run in runs for value in run]
    else:
        ends = np.cumsum([len(run) for run in runs])
        at = np.searchsorted(ends, places, side="right")
        inside = places - (ends - [len(run) for run in runs])[at]
        values = [runs[run][i] or b"" for run, i in zip(at.tolist(), inside.tolist(), strict=True)]
    return [nulls_for_missing(value, missing) for value in values] if missing else values


def _with_doubtful(plain: PlainRows, doubtful: JsonRows) -> JsonRows:
    """Plain records and, at the places of the others, what has become of these."""
    places = plain.odd
    own = [(int(places[row]), code, message) for row, code, message in doubtful.faults]
    faults = sorted([*plain.faults, *own])
    wrong = merged(plain.wrong, {n: WrongColumn(places[c.rows], c.values) for n, c in doubtful.wrong.items()})
    if len(own) == len(places):
        return JsonRows(plain.rows, faults, wrong)
    order = np.arange(plain.rows.num_rows)
    order[places] = len(order) + np.arange(len(places))
    return JsonRows(pa.concat_batches([plain.rows, doubtful.rows]).take(pa.array(order)), faults, wrong)


def _decode_block(values: Sequence[bytes], columns: pa.Schema, lenient: Collection[str]) -> JsonRows:
    """Rows of records most of which Arrow may read."""
    rows = parse_lines(values, columns, checked=False)
    if rows is not None and all(map(_is_finite, rows.columns)):
        return JsonRows(rows, [], {})
    return _decode_doubtful(values, columns, lenient)


def _is_finite(column: pa.Array) -> bool:
    return is_finite(column.flatten() if pa.types.is_list(column.type) else column)


def _decode_doubtful(values: Sequence[bytes], columns: pa.Schema, lenient: Collection[str]) -> JsonRows:
    """Rows of records, each of which msgspec looks at."""
    events, faults = _looked_through(values, columns)
    odd, wrong, wrong_types = _odd_rows(events, columns, lenient)
    faults = sorted([*faults, *wrong_types])
    aside = {*events, *(row for row, _, _ in faults)}
    if len(aside) == len(values):
        rows = pa.RecordBatch.from_arrays([pa.nulls(len(values), field.type) for field in columns], schema=columns)
        return JsonRows(_with_odd(rows, odd, list(events), faults), faults, wrong)
    patched = [b"{}" if i in aside else v for i, v in enumerate(values)]
    rows = parse_lines(patched, columns, checked=True)
    if rows is None:
        # Arrow refuses a few valid texts, such as a key given twice: msgspec decides.
        decoder = _decoder(columns)
        rows = _from_structs([decoder.decode(v) for v in patched], columns)
    return JsonRows(_with_odd(rows, odd, list(events), faults), faults, wrong)


def _too_deep(value: bytes) -> bool:
    if not many_brackets(value):
        return False
    codes = np.frombuffer(_STRINGS.sub(b"", value), dtype=np.uint8)
    steps = np.isin(codes, list(b"{[")).astype(np.int64) - np.isin(codes, list(b"}]"))
    return bool(np.cumsum(steps).max(initial=0) > DEEPEST)


def _looked_through(values: Sequence[bytes], columns: pa.Schema) -> tuple[dict[int, tuple[Any, ...]], list[Fault]]:
    """Values of the columns by position, of records that are not plainly of their types; and records that are none."""
    # Looked up once: a schema's hash costs more than reading a record.
    decoder, loose, names = _decoder(columns), _loose_decoder(columns), columns.names
    odd: dict[int, tuple[Any, ...]] = {}
    faults: list[Fault] = []
    for row, value in enumerate(values):
        if _too_deep(value):
            faults.append((row, "broken_json", f"expected at most {DEEPEST} levels of nesting, got more"))
            continue
        try:
            text = value.decode()
            decoder.decode(value)
        except UnicodeDecodeError as error:
            faults.append((row, "broken_json", f"expected one JSON object: {error}"))
        except msgspec.ValidationError as error:
            event = _loosely(value, text, loose, names)
            if event is None:
                faults.append((row, "wrong_type", str(error)))
            else:
                odd[row] = event
        except msgspec.DecodeError as error:
            event = _by_python(text, names) if _is_only_pythons(text) else None
            if event is None:
                faults.append((row, "broken_json", f"expected one JSON object: {error}"))
            else:
                odd[row] = event
    return odd, faults


def _loosely(
    value: bytes, text: str, decoder: "msgspec.json.Decoder[Any]", names: Sequence[str]
) -> tuple[Any, ...] | None:
    """Values of the columns, whatever their types; None if it is no object."""
    try:
        return msgspec.structs.astuple(decoder.decode(value))
    except msgspec.DecodeError:
        return _by_python(text, names)


def _is_only_pythons(text: str) -> bool:
    """Whether it holds what Python's writer makes of numbers that are none, or of half a surrogate pair."""
    return "NaN" in text or "Infinity" in text or ("\\" in text and ("\\ud" in text or "\\uD" in text))


def _by_python(text: str, names: Sequence[str]) -> tuple[Any, ...] | None:
    """As `_loosely`, with what msgspec holds in no type: numbers beyond all floats, and `_is_only_pythons`."""
    for decode in (_PYTHON.decode, _PYTHON_LONG.decode):
        try:
            event = decode(text)
        except (json.JSONDecodeError, RecursionError):
            return None
        except ValueError:
            # Python refuses to read integers of thousands of digits.
            continue
        return tuple(map(event.get, names)) if isinstance(event, dict) else None
    return None


def _integer(digits: str) -> float:
    return int(digits) if len(digits) < _LONGEST_INTEGER else float(digits)


_PYTHON, _PYTHON_LONG = json.JSONDecoder(), json.JSONDecoder(parse_int=_integer)


def _odd_rows(
    events: Mapping[int, tuple[Any, ...]], columns: pa.Schema, lenient: Collection[str]
) -> tuple[pa.RecordBatch, WrongCells, list[Fault]]:
    """Rows of events value by value, in their order; wrong cells and faults by position of the record."""
    rows = np.fromiter(events, dtype=np.int64, count=len(events))
    values = zip(*events.values(), strict=True) if events else [()] * len(columns)
    arrays, wrong, faults = judge(map(OddColumn, columns, itertools.repeat(rows), values), lenient)
    return pa.RecordBatch.from_arrays(arrays, schema=columns), wrong, faults


def _with_odd(rows: pa.RecordBatch, odd: pa.RecordBatch, places: Sequence[int], faults: Sequence[Fault]) -> Any:
    """The rows, with odd ones at their places unless they are faults."""
    if not places:
        return rows
    order = np.arange(rows.num_rows)
    order[places] = rows.num_rows + np.arange(len(places))
    bad = [row for row, _, _ in faults]
    order[bad] = bad
    return pa.concat_batches([rows, odd]).take(pa.array(order))


@functools.lru_cache(maxsize=16)
def _decoder(columns: pa.Schema) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(_struct(columns, [_python_type(field.type) | None for field in columns]))


@functools.lru_cache(maxsize=16)
def _loose_decoder(columns: pa.Schema) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(_struct(columns, [Any] * len(columns)))


def _struct(columns: pa.Schema, types: Sequence[Any]) -> type[msgspec.Struct]:
    rename = {f"c{i}": field.name for i, field in enumerate(columns)}
    return msgspec.defstruct("Event", [(f"c{i}", kind, None) for i, kind in enumerate(types)], rename=rename)


def _python_type(arrow_type: pa.DataType) -> Any:
    if pa.types.is_list(arrow_type):
        return list[_python_type(arrow_type.value_type) | None]  # type: ignore[misc]
    return _PYTHON_TYPES[arrow_type]


def _from_structs(events: list[Any], columns: pa.Schema) -> pa.RecordBatch:
    arrays = [
        pa.array([getattr(event, f"c{i}") for event in events], type=field.type) for i, field in enumerate(columns)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=columns)
