"""JSON records: strict about types, blind to their neighbours, equal to `json.loads` row by row."""

import json
import math
from collections.abc import Collection
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sparsewatch.schemas.wafers import WAFER_COLUMNS
from sparsewatch.transforms.codecs.json import decode_json

pytestmark = pytest.mark.usefixtures("json_reader")

COLUMNS = pa.schema(
    [("t", pa.int64()), ("f", pa.float64()), ("s", pa.string()), ("b", pa.bool_()), ("l", pa.list_(pa.int8()))]
)


#: Stands for a value that does not fit.
WRONG = object()


def held(value: Any, kind: pa.DataType) -> Any:
    """A value as a column holds it, or `WRONG`."""
    if value is None:
        return None
    if pa.types.is_list(kind):
        items = [held(v, kind.value_type) for v in value] if isinstance(value, list) else [WRONG]
        return WRONG if WRONG in items else items
    if pa.types.is_boolean(kind) or isinstance(value, bool):
        return value if pa.types.is_boolean(kind) and isinstance(value, bool) else WRONG
    if pa.types.is_string(kind):
        return value if isinstance(value, str) and is_unicode(value) else WRONG
    if not isinstance(value, int | float) or not is_finite(value):
        return WRONG
    if not pa.types.is_integer(kind):
        # A whole number in a column of floats is held as the nearest float: 2^53 + 1 as 2^53.
        return float(value)
    within = value == int(value) and -(2 ** (kind.bit_width - 1)) <= value < 2 ** (kind.bit_width - 1)
    return int(value) if within else WRONG


def is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def is_unicode(text: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in text)


def oracle(record: bytes, columns: pa.Schema = COLUMNS, lenient: Collection[str] = ()) -> dict[str, Any] | None:
    """The event of a record with its wrong cells, None if it is none."""
    try:
        event = json.loads(record.decode())
    except (ValueError, RecursionError):
        return None
    if record.startswith(b"\xef\xbb\xbf") or not isinstance(event, dict):
        return None
    row = {field.name: held(event.get(field.name), field.type) for field in columns}
    return None if any(value is WRONG and name not in lenient for name, value in row.items()) else row


def assert_decoded(records: list[bytes], columns: pa.Schema = COLUMNS, lenient: Collection[str] = ()) -> None:
    rows, faults, wrong, *_ = decode_json(records, columns, lenient)
    expected = [oracle(record, columns, lenient) for record in records]
    assert [row for row, _, _ in faults] == [i for i, row in enumerate(expected) if row is None]
    assert {code for _, code, _ in faults} <= {"broken_json", "wrong_type", "not_finite"}
    assert all(message for _, _, message in faults)
    assert rows.schema == columns
    empty = dict.fromkeys(columns.names)
    held_rows = [empty if row is None else {k: None if v is WRONG else v for k, v in row.items()} for row in expected]
    assert rows.to_pylist() == held_rows
    cells = {(name, at) for name, column in wrong.items() for at in column.rows.tolist()}
    assert cells == {(k, i) for i, row in enumerate(expected) if row is not None for k, v in row.items() if v is WRONG}


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-200, 200),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["NaN", "Infinity", ":NaN", "{", "}", "\n", '"', "\\", "[" * 300]),
)
values = st.one_of(
    scalars,
    st.lists(st.one_of(st.integers(-200, 200), scalars), max_size=4),
    st.dictionaries(st.text(max_size=3), scalars, max_size=2),
)
#: Mostly what the column wants, so that good records are common.
events = st.fixed_dictionaries(
    {},
    optional={
        "t": st.one_of(st.integers(-(2**63), 2**63 - 1), values),
        "f": st.one_of(st.floats(allow_nan=False, allow_infinity=False), values),
        "s": st.one_of(st.text(max_size=6), values),
        "b": st.one_of(st.booleans(), values),
        "l": st.one_of(st.lists(st.integers(-128, 127), max_size=3), values),
        "other": values,
    },
)


@st.composite
def records(draw: st.DrawFn) -> bytes:
    event = draw(events)
    text = json.dumps(event, indent=draw(st.sampled_from([None, 1])), ensure_ascii=draw(st.booleans()))
    record = text.encode("utf-8", "surrogatepass")
    damage = draw(st.integers(0, 12))
    if damage == 0 and record:
        return record[: draw(st.integers(0, len(record) - 1))]
    if damage == 1:
        at = draw(st.integers(0, len(record) - 1))
        return record[:at] + draw(st.binary(min_size=1, max_size=2)) + record[at + 1 :]
    if damage == 2:
        return record + draw(st.sampled_from([b"", b" ", b"\n", b"\r\n", b"}", b",", b"{}", b"\x00", b"\n{}"])) + record
    if damage == 3:
        return draw(st.sampled_from([b"\n", b" ", b"\r\n\t"])) + record + b"\r\n"
    return record


def repeated_keys(record: bytes) -> bool:
    """Whether a key is given twice: which one counts is left open."""
    seen = []

    def note(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen.append(len(pairs) != len(dict(pairs)))
        return dict(pairs)

    try:
        json.loads(record, object_pairs_hook=note)
    except ValueError:
        return False
    return any(seen)


@pytest.mark.long
@settings(max_examples=400)
@given(
    st.lists(records().filter(lambda record: not repeated_keys(record)), max_size=8),
    st.sets(st.sampled_from(COLUMNS.names)),
)
@example([b'{"t": 0.0, "b": 0}'], set())
def test_exactly_the_good_records_come_through_in_order(batch: list[bytes], lenient: set[str]) -> None:
    assert_decoded(batch, COLUMNS, lenient)


@settings(max_examples=200)
@given(records(), st.lists(records(), max_size=4), st.integers(0, 4), st.sets(st.sampled_from(COLUMNS.names)))
def test_what_becomes_of_a_record_does_not_hang_on_its_neighbours(
    record: bytes, others: list[bytes], place: int, lenient: set[str]
) -> None:
    alone = decode_json([record], COLUMNS, lenient)
    place = min(place, len(others))
    rows, faults, wrong, *_ = decode_json([*others[:place], record, *others[place:]], COLUMNS, lenient)
    assert rows.slice(place, 1).to_pylist() == alone.rows.to_pylist()
    assert [fault[1:] for fault in faults if fault[0] == place] == [fault[1:] for fault in alone.faults]
    assert {name for name, column in wrong.items() if place in column.rows} == set(alone.wrong)


DEEP = b"[" * 3000 + b"]" * 3000
HARD = [
    b'{"t": 1, "t": 2}',
    b'{"t": 9223372036854775808}',
    b'{"t": 1.0}',
    b'{"t": 1e3}',
    b'{"t": 01}',
    b'{"f": 1e999}',
    b'{"f": 1.7976931348623159e308}',
    b'{"f": NaN}',
    b'{"f": -Infinity}',
    b'{"other": NaN}',
    b'{"other": [1, -Infinity]}',
    b'{"s": "NaN"}',
    b'{"s": ":NaN, Infinity"}',
    b'{"s": "\xff"}',
    b'{"other": "\xff"}',
    b'{"\xff": 1}',
    b'{"s": "\xed\xa0\x80"}',
    b'{"s": "\\ud800"}',
    b'{"s": "\\ud83d\\ude00"}',
    b'{"s": "two\nlines"}',
    b'{"s": "two\rlines"}',
    b'{"s": "two\\nlines"}',
    b'{"s": "a\tb"}',
    b'{\r\n"t": 1\r\n}\r\n',
    b'{"other": {"a": [{"b": 1}]}}',
    b'{"s": "' + b"[{" * 400 + b'", "other": []}',
    b'{"l": [1, null, 300]}',
    b'{"l": [1, null]}',
    b'{"l": 1}',
    b'\xef\xbb\xbf{"t": 1}',
    b"",
    b" ",
    b"null",
    b"[]",
    b'{"t": 1}{"t": 2}',
    b'{"t": 1} // one',
    b'{"t":',
    b'{"other": {"t": 1}',
    b'{"other": "open}',
]


def test_hard_records_are_decided_alike_in_any_company() -> None:
    expected = {record: oracle(record) for record in HARD}
    for company in ([], [b'{"t": 5}'], [b"{broken"], [b'{"t": 1, "t": 2}']):
        for record, row in expected.items():
            rows, faults, *_ = decode_json([*company, record], COLUMNS)
            assert [r for r, _, _ in faults if r == len(company)] == [len(company)] * (row is None), record
            assert row is None or rows.slice(len(company)).to_pylist() == [row]
    assert_decoded(HARD)
    assert_decoded(HARD, COLUMNS, COLUMNS.names)


def test_parts_of_an_object_in_neighbouring_records_never_make_a_whole_one() -> None:
    for batch in (
        [b'{"other":', b'{"t": 1}}'],
        [b'{"other":', b'{"t": 1}', b'{"t": 2}{"t": 3}'],
        [b'{"t": 1}{"t": 2}', b'{"other":', b'{"t": 3}'],
        [b'{"s": "}', b'{"}'],
    ):
        assert_decoded(batch)


@pytest.mark.parametrize("nested", [DEEP, b'{"a":' * 3000 + b"1" + b"}" * 3000], ids=["lists", "objects"])
def test_endless_nesting_is_a_fault_and_no_crash(nested: bytes) -> None:
    for company in ([], [b"{broken"]):
        faults = decode_json([*company, b'{"t": 1, "other": ' + nested + b"}"], COLUMNS).faults
        assert faults[-1] == (len(company), "broken_json", "expected at most 256 levels of nesting, got more")
    shallow = b'{"t": 1, "other": ' + b"[" * 200 + b"]" * 200 + b"}"
    assert decode_json([shallow], COLUMNS).faults == []
    wide = b'{"t": 1, "other": [' + b"[]," * 2000 + b"[]]}"
    assert decode_json([wide], COLUMNS).faults == []


@pytest.mark.parametrize(
    ("record", "code", "message"),
    [
        (b'{"t": "1"}', "wrong_type", "column 't': expected int, got '1' (str)"),
        (
            b'{"t": 9223372036854775808}',
            "wrong_type",
            "column 't': expected int, got 9223372036854775808 (int out of range)",
        ),
        (b'{"b": 0}', "wrong_type", "column 'b': expected bool, got 0 (int)"),
        (b'{"l": [1, "a"]}', "wrong_type", "column 'l': expected list of int, got [1, 'a'] (list)"),
        (b'{"f": 1e400}', "not_finite", "column 'f': expected a finite number, got inf"),
        (b'{"f": NaN, "b": 0}', "not_finite", "column 'f': expected a finite number, got nan"),
        (b"[1]", "wrong_type", "Expected `object`, got `array`"),
        (b'{"t"', "broken_json", "expected one JSON object: Input data was truncated"),
        (
            b'{"t": 1} x',
            "broken_json",
            "expected one JSON object: JSON is malformed: trailing characters (byte 10)",
        ),
    ],
)
def test_a_fault_says_what_was_expected_what_came_and_where(record: bytes, code: str, message: str) -> None:
    assert decode_json([b'{"t": 1}', record], COLUMNS).faults == [(1, code, message)]


def test_a_block_larger_than_arrows_own_keeps_one_row_a_record() -> None:
    records = [json.dumps({"t": i, "s": "x" * 3000}, indent=i % 2 or None).encode() for i in range(2000)]
    records[999] = json.dumps({"t": 999, "s": "y" * 3_000_000}).encode()
    rows, faults, *_ = decode_json(records, COLUMNS)
    assert faults == []
    assert rows["t"].to_pylist() == list(range(2000))


def test_wafers_decode_alike_fast_and_slow() -> None:
    columns = pa.schema([f.with_nullable(True) for f in WAFER_COLUMNS])
    good = json.dumps({"wafer_id": "W", "x_um": [1.5, -2e4, 16777217], "y_um": [], "map": [0, 1, 2]}).encode()
    fast, none, *_ = decode_json([good], columns)
    slow, faults, *_ = decode_json([good, b'{"map": [128]}', b'{"lot": "a", "lot": "b"}'], columns)
    assert none == []
    assert [(row, code) for row, code, _ in faults] == [(1, "wrong_type")]
    assert slow.slice(0, 1).to_pylist() == fast.to_pylist()
    assert slow["lot"].to_pylist() == [None, None, "b"]


def test_a_list_with_a_number_beyond_all_floats_is_decided_alike_in_any_company() -> None:
    columns = pa.schema([("x", pa.list_(pa.float32()))])
    for number in (b"1e400", b"9" * 400):
        record = b'{"x": [1, %s]}' % number
        [(_, *alone)] = decode_json([record], columns).faults
        rows, faults, *_ = decode_json([b"{broken", record], columns)
        assert faults[1:] == [(1, *alone)]
        assert rows["x"].to_pylist() == [None, None]


def test_no_record_gives_no_row() -> None:
    rows, faults, wrong, *_ = decode_json([], COLUMNS)
    assert (rows.num_rows, rows.schema, faults, wrong) == (0, COLUMNS, [], {})
