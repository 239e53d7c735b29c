"""Lines of JSON to columns by Arrow's reader, only where it decides as msgspec does.

A replay cuts blocks elsewhere, so what becomes of a record must not depend on its neighbours: where Arrow is laxer
than msgspec (`NaN`, text that is no UTF-8, a line break inside a string, endless nesting), nothing is read before
msgspec has checked the records.
"""

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.json as pj

_BLOCK_BYTES = 1 << 20
_WHITE = b" \t\r\n"
#: Outside of strings a line break is white space and so is a tab; inside of them both are forbidden.
_BREAKS_TO_TABS = bytes.maketrans(b"\r\n", b"\t\t")
_NOT_A_NUMBER = re.compile(rb"[:,\[]\s*-?(?:NaN|Inf)")
#: Deepest nesting of a record, far below where msgspec gives up.
DEEPEST = 256


def parse_lines(values: Sequence[bytes], columns: pa.Schema, *, checked: bool) -> pa.RecordBatch | None:
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
    return brackets - len(values) < DEEPEST or not any(map(many_brackets, values))


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def many_brackets(value: bytes) -> bool:
    """Whether a record may be nested deeper than `DEEPEST`."""
    return len(value) > DEEPEST and value.count(b"{") + value.count(b"[") > DEEPEST
