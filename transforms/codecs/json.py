"""JSON records, one event each, to columns.

Arrow's reader parses a whole block at once and is strict about types. Where a block holds a bad record, msgspec finds
which (and says why, naming field and type) and the good records are parsed again. Measured on 41 columns, 633 bytes a
record, one core: Arrow 125 k records/s, msgspec's check 300 to 490 k; polars is faster (180 k) but turns a number
in a text column silently into text.

A replay cuts blocks elsewhere, so what becomes of a record must not depend on its neighbours: where Arrow is laxer
than msgspec (`NaN`, text that is no UTF-8, a line break inside a string, endless nesting), msgspec checks first.
"""

import functools
import re
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from sparsewatch.transforms.codecs.events import Fault

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
_BLOCK_BYTES = 1 << 20
_WHITE = b" \t\r\n"
#: Outside of strings a line break is white space and so is a tab; inside of them both are forbidden.
_BREAKS_TO_TABS = bytes.maketrans(b"\r\n", b"\t\t")
_NOT_A_NUMBER = re.compile(rb"[:,\[]\s*-?(?:NaN|Inf)")
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
#: Deepest nesting of a record, far below where msgspec gives up.
_DEEPEST = 256


def decode_json(values: Sequence[bytes], columns: pa.Schema) -> tuple[pa.RecordBatch, list[Fault]]:
    """Columns of JSON objects; fields that are not in `columns` are ignored.

    Args:
        values: One JSON object each.
        columns: Names and types; an absent or null field becomes null.

    Returns:
        One row a value (all null where it is a fault), and the faults sorted by position.
    """
    rows = _parsed(values, columns, checked=False)
    if rows is not None and _all_finite(rows):
        return rows, []
    decoder = _decoder(columns)
    faults = _check(values, decoder)
    bad = {row for row, _, _ in faults}
    patched = [b"{}" if i in bad else v for i, v in enumerate(values)]
    rows = _parsed(patched, columns, checked=True)
    if rows is None:
        # Arrow refuses a few valid texts, such as a key given twice: msgspec decides.
        rows = _from_structs([decoder.decode(v) for v in patched], columns)
    return rows, faults


def _parsed(values: Sequence[bytes], columns: pa.Schema, *, checked: bool) -> pa.RecordBatch | None:
    """Rows of the values, one each; None if Arrow finds a fault in any of them, or cannot be trusted to.

    Args:
        values: One JSON object each.
        columns: Names and types.
        checked: Whether msgspec has accepted the values.
    """
    if not values:
        return pa.RecordBatch.from_pylist([], schema=columns)
    lines = _one_a_line(values)
    if lines is None or not (checked or _is_safe(lines, values)):
        return None
    options = pj.ReadOptions(block_size=max(_BLOCK_BYTES, max(map(len, values)) + 1))
    parsing = pj.ParseOptions(explicit_schema=columns, unexpected_field_behavior="ignore")
    try:
        table = pj.read_json(pa.py_buffer(lines), read_options=options, parse_options=parsing)
    except pa.ArrowInvalid:
        return None
    # Each line begins and ends an object and holds no line break, so equal counts mean one row a record.
    if table.num_rows != len(values):
        return None
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=columns)


def _one_a_line(values: Sequence[bytes]) -> bytes | None:
    lines, joints = b"\n".join(values), len(values) - 1
    # Searching the whole text costs half of checking each value.
    if lines.count(b"\n") == joints == lines.count(b"}\n{") and lines[:1] == b"{" and lines[-1:] == b"}":
        return lines if b"\r" not in lines else lines.replace(b"\r", b"\t")
    objects = [v.strip(_WHITE) for v in values]
    if not all(v.startswith(b"{") and v.endswith(b"}") for v in objects):
        return None
    return b"\n".join(v.translate(_BREAKS_TO_TABS) for v in objects)


def _is_safe(lines: bytes, values: Sequence[bytes]) -> bool:
    """Whether Arrow accepts none of the records that msgspec would refuse, as far as their texts show."""
    if (b"NaN" in lines or b"Inf" in lines) and _NOT_A_NUMBER.search(lines):
        return False
    if not (lines.isascii() or _is_utf8(lines)):
        return False
    # Each object has at least one bracket, so few in all mean that no object has many.
    brackets = lines.count(b"{") + lines.count(b"[")
    return brackets - len(values) < _DEEPEST or not any(map(_many_brackets, values))


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _many_brackets(value: bytes) -> bool:
    return value.count(b"{") + value.count(b"[") > _DEEPEST


def _too_deep(value: bytes) -> bool:
    if not _many_brackets(value):
        return False
    codes = np.frombuffer(_STRINGS.sub(b"", value), dtype=np.uint8)
    steps = np.isin(codes, list(b"{[")).astype(np.int64) - np.isin(codes, list(b"}]"))
    return bool(np.cumsum(steps).max(initial=0) > _DEEPEST)


def _all_finite(rows: pa.RecordBatch) -> bool:
    # Arrow rounds a number above the largest float to infinity.
    floats = [column for column in rows.columns if pa.types.is_floating(column.type)]
    return all(pc.all(pc.is_finite(column), min_count=0).as_py() for column in floats)


def _check(values: Sequence[bytes], decoder: "msgspec.json.Decoder[Any]") -> list[Fault]:
    faults: list[Fault] = []
    for row, value in enumerate(values):
        try:
            if _too_deep(value):
                faults.append((row, "broken_json", f"expected at most {_DEEPEST} levels of nesting, got more"))
                continue
            value.decode()
            decoder.decode(value)
        except msgspec.ValidationError as error:
            faults.append((row, "wrong_type", str(error)))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            faults.append((row, "broken_json", f"expected one JSON object: {error}"))
    return faults


@functools.lru_cache(maxsize=16)
def _decoder(columns: pa.Schema) -> "msgspec.json.Decoder[Any]":
    fields = [(f"c{i}", _python_type(field.type) | None, None) for i, field in enumerate(columns)]
    rename = {f"c{i}": field.name for i, field in enumerate(columns)}
    return msgspec.json.Decoder(msgspec.defstruct("Event", fields, rename=rename))


def _python_type(arrow_type: pa.DataType) -> Any:
    if pa.types.is_list(arrow_type):
        return list[_python_type(arrow_type.value_type) | None]  # type: ignore[misc]
    return _PYTHON_TYPES[arrow_type]


def _from_structs(events: list[Any], columns: pa.Schema) -> pa.RecordBatch:
    arrays = [
        pa.array([getattr(event, f"c{i}") for event in events], type=field.type) for i, field in enumerate(columns)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=columns)
