"""What the part in C reads at once is what the slow, obvious way reads, however the records are cut into runs."""

import itertools
import json
import random
import types
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparsewatch.transforms.codecs import plain_records
from sparsewatch.transforms.codecs.json import JsonRows, decode_json, decode_runs
from sparsewatch.transforms.codecs.plain_records import Run, read_plain
from sparsewatch.transforms.records import Packed
from tests.kit import json_texts

_plain_json = pytest.importorskip("sparsewatch.transforms.codecs._plain_json", reason="not built: make native")

KINDS: dict[str, tuple[pa.DataType, Any]] = {
    "t": (pa.int64(), st.integers(-(2**63), 2**63 - 1).map(str)),
    "i": (pa.int32(), st.integers(-(2**31), 2**31 - 1).map(str)),
    "tiny": (pa.int8(), st.integers(-128, 127).map(str)),
    "a long name of a column": (pa.float64(), json_texts.numbers),
    "f": (pa.float32(), json_texts.numbers),
    "s": (pa.string(), json_texts.strings),
    "é": (pa.string(), json_texts.strings),
    "b": (pa.bool_(), st.sampled_from(["true", "false"])),
    "": (pa.list_(pa.int8()), json_texts.lists(st.integers(-128, 127).map(str))),
    "lf": (pa.list_(pa.float32()), json_texts.lists(st.one_of(json_texts.numbers, st.just("null")))),
    "lb": (pa.list_(pa.bool_()), json_texts.lists(st.sampled_from(["true", "false", "null"]), 20)),
}
COLUMNS = pa.schema([(name, kind) for name, (kind, _) in KINDS.items()])
records = json_texts.records([json_texts.fields(name, fitting) for name, (_, fitting) in KINDS.items()])


def without_it(records: list[bytes], lenient: Sequence[str] = (), columns: pa.Schema = COLUMNS) -> list[JsonRows]:
    """Each record alone, by the slow way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain_records, "_plain_json", None)
        return [decode_json([record], columns, lenient) for record in records]


def cells(rows: pa.RecordBatch) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in rows.to_pylist()]


def wrong_by_row(decoded: JsonRows) -> dict[tuple[str, int], str]:
    return {
        (name, row): repr(value)
        for name, column in decoded.wrong.items()
        for row, value in zip(column.rows.tolist(), column.values, strict=True)
    }


def assert_same(decoded: JsonRows, alone: list[JsonRows]) -> None:
    """Decoded together as each alone."""
    decoded.rows.validate(full=True)
    assert cells(decoded.rows) == [row for one in alone for row in cells(one.rows)]
    assert decoded.faults == [(i, *fault[1:]) for i, one in enumerate(alone) for fault in one.faults]
    expected = [((name, i), value) for i, one in enumerate(alone) for (name, _), value in wrong_by_row(one).items()]
    assert wrong_by_row(decoded) == dict(expected)


def packed(values: list[bytes]) -> Packed:
    """Values in one buffer, last first, other bytes between them and none behind the last."""
    starts, buffer = [], b""
    for value in reversed(values):
        buffer += b'\x00"}'
        starts.append(len(buffer))
        buffer += value
    starts.reverse()
    # Two columns of one table, as a walk over a batch writes them.
    spans = np.array([starts, [len(value) for value in values]], dtype=np.int64).T.copy()
    return Packed(memoryview(buffer), spans[:, 0], spans[:, 1])


def cut(values: list[bytes], cuts: list[int]) -> list[Run]:
    """Runs of values, every other one in a buffer."""
    bounds = [0, *sorted(min(at, len(values)) for at in cuts), len(values)]
    parts = [values[start:end] for start, end in itertools.pairwise(bounds)]
    return [packed(part) if i % 2 else part for i, part in enumerate(parts)]


lenient_names = st.sets(st.sampled_from(COLUMNS.names))
cuts = st.lists(st.integers(0, 6), max_size=4)


@pytest.mark.long
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(records, max_size=6), cuts, lenient_names)
def test_records_are_decided_as_each_alone_by_the_slow_way(
    values: list[bytes], places: list[int], lenient: set[str]
) -> None:
    assert_same(decode_runs(cut(values, places), COLUMNS, lenient), without_it(values, sorted(lenient)))


PLAIN = [
    b"{}",
    b' \r\n{\t"t" : 1 ,\n"s":"x"}\t ',
    b'{"t":-9223372036854775808,"i":2147483647,"tiny":-128}',
    b'{"t":null,"s":null,"b":null,"lf":null,"":null}',
    b'{"s":"","b":true,"":[],"lb":[ true , null,false ],"lf":[1,-0.5e1]}',
    b'{"f":0.1,"a long name of a column":-0.0}',
    '{"é":"é€😀","s":"\x7f"}'.encode(),
    b'{"s":"\\u00e9\\ud83d\\ude00\\n\\"\\\\\\/","tiny":0}',
    b'{"other":{"t":[1.5e3,{"":[]}]},"t":7,"other":"\\u0000"}',
    b'{"b":false,"t":1,"s":"behind another order"}',
]
#: Of these one value does not plainly fit.
ASIDE = [
    b'{"t":1.0}',
    b'{"t":1e3}',
    b'{"t":"1"}',
    b'{"t":true}',
    b'{"t":9223372036854775808}',
    b'{"tiny":128}',
    b'{"i":-2147483649}',
    b'{"s":1}',
    b'{"b":0,"s":"else sound"}',
    b'{"t":{"t":[1,"x"]},"s":"else sound"}',
    b'{"f":"0.5"}',
    b'{"s":["\\ud83d\\ude00",-1.5e-3]}',
]
NOT_PLAIN = [
    b"",
    b"{",
    b"}",
    b"[]",
    b'{"t":1}x',
    b'{"t":1}}',
    b'{"other":{"t":1}',
    b'\xef\xbb\xbf{"t":1}',
    b'{"t":1,}',
    b'{,"t":1}',
    b'{"t":1 "s":""}',
    b'{"t" 1}',
    b"{t:1}",
    b'{"t":01}',
    b'{"t":+1}',
    b'{"t":-}',
    b'{"t":99999999999999999999999}',
    b'{"t":1,"t":1}',
    b'{"\\u0074":1}',
    b'{"s":"\n"}',
    b'{"s":"\xff"}',
    b'{"s":"\xc0\x80"}',
    b'{"s":"\xed\xa0\x80"}',
    b'{"s":"\xf4\x90\x80\x80"}',
    b'{"other":"\xe2\x82"}',
    b'{"s":"\\ud83d"}',
    b'{"s":"\\ude00"}',
    b'{"s":"\\x"}',
    b'{"s":"open}',
    b'{"b":tru}',
    b'{"b":nulll}',
    b'{"f":1e400}',
    b'{"f":3.5e38}',
    b'{"f":NaN}',
    b'{"f":1.}',
    b'{"f":.5}',
    b'{"f":1e}',
    b'{"":[1}',
    b'{"":[1,]}',
    b'{"":[[1]]}',
    b'{"":[128]}',
    b'{"other":NaN}',
    b'{"other":1e400}',
    b'{"t":1e400}',
    b'{"t":"\\ud83d"}',
    b'{"":"a list is wanted"}',
    b'{"t":1.0,"s":"\n"}',
    b'{"t":"x","t":1}',
    b'{"other":' + b"[" * 80 + b"]" * 80 + b"}",
]


def plain(runs: Sequence[Run], columns: pa.Schema = COLUMNS) -> plain_records.PlainRows:
    found = read_plain(runs, columns)
    assert found is not None
    return found


def test_what_is_plain_is_read_at_once_and_of_all_else_the_place_is_told() -> None:
    for order in (PLAIN + NOT_PLAIN + ASIDE, ASIDE + NOT_PLAIN + PLAIN):
        found = plain([order])
        assert {order[place] for place in found.odd.tolist()} == set(NOT_PLAIN)
        for lenient in (COLUMNS.names[:0], COLUMNS.names):
            decided = without_it(order, lenient)
            assert_same(decode_runs([order], COLUMNS, lenient), decided)
            found = read_plain([order], COLUMNS, lenient) or found
            expected = [b"" if record in NOT_PLAIN else record for record in order]
            assert cells(found.rows) == [row for one in without_it(expected, lenient) for row in cells(one.rows)]
            assert [row for row, _, _ in found.faults] == [
                i for i, one in enumerate(decided) if one.faults and order[i] in ASIDE
            ]


def test_records_of_many_runs_are_rows_in_their_order() -> None:
    values = [b'{"t":%d,"s":"%s"}' % (i, b"x" * (i % 50)) for i in range(5000)]
    values[1234] = b'{"t":'
    found = plain(cut(values, [0, 1, 1, 17, 4999]))
    assert found.odd.tolist() == [1234]
    assert found.rows["t"].to_pylist() == [None if i == 1234 else i for i in range(5000)]
    assert found.rows["s"].to_pylist() == [None if i == 1234 else "x" * (i % 50) for i in range(5000)]
    assert plain([[], packed([])]).rows == pa.RecordBatch.from_pylist([], schema=COLUMNS)


#: Texts that readers round wrongly, most from David M. Gay's and Michael Eisel's collections, and middles of floats.
HARD_NUMBERS = [
    "0",
    "0.0e-7",
    "9007199254740993",
    "9007199254740993.0",
    "9007199254740992.9999999999",
    "9007199254740993.0000000000000000000000000000000001",
    "2.2250738585072014e-308",
    "1.7976931348623157e308",
    "0.1e23",
    "8.98846567431158e307",
    "6.02214076e23",
    "123456789012345678e-27",
    "9223372036854775807.5",
    "1.00000000000000011102230246251565404236316680908203125",
    "1.00000000000000011102230246251565404236316680908203124",
    "1.00000000000000011102230246251565404236316680908203126",
    "7.3177701707893310e+15",
    "5e-20",
    "67108864.0000000074505806",
    "16777217",
    "16777217.0000001",
    "16777216.9999999",
    "16777219.0",
    "0.000000059604644775390625",
    "1.00000005960464477539062500001",
    "1.0000000596046448",
    "1.0000001788139343",
    "33554434.9",
    "3.4028234e38",
    "3.40282346638528859811704183484516925440e+38",
]
_nearest_digits = st.builds(
    lambda digits, point, exponent: f"{digits[:point]}.{digits[point:]}e{exponent}",
    st.text("0123456789", min_size=15, max_size=24).map(lambda digits: "7" + digits),
    st.integers(1, 12),
    st.integers(-40, 40),
)
#: Halfway between two doubles.
_middles = st.builds(
    lambda odd, shift: f"{(2 * odd + 1) << shift}.0", st.integers(2**52, 2**53 - 1), st.integers(0, 20)
)


def nearest(text: str, bits: int, least: int) -> float:
    """The nearest binary fraction of so many bits, ties to even, by whole numbers alone."""
    exact = abs(Fraction(text))
    if not exact:
        return -0.0 if text.startswith("-") else 0.0
    power = exact.numerator.bit_length() - exact.denominator.bit_length() - bits
    while exact / Fraction(2) ** power >= 2**bits:
        power += 1
    power = max(power, least)
    rounded = round(exact / Fraction(2) ** power) * Fraction(2) ** power
    return float(-rounded if text.startswith("-") else rounded)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(_nearest_digits, _middles), max_size=20))
def test_numbers_are_rounded_to_the_nearest(drawn: list[str]) -> None:
    columns = pa.schema([("d", pa.float64()), ("f", pa.float32()), ("l", pa.list_(pa.float32()))])
    texts = [sign + text for text in (*HARD_NUMBERS, *drawn) for sign in ("", "-")]
    found = plain([[f'{{"d":{text}}}'.encode() for text in texts]], columns)
    assert found.rows["d"].to_pylist() == [nearest(text, 53, -1074) for text in texts]
    assert np.signbit(found.rows["d"].to_numpy()).tolist() == [text.startswith("-") for text in texts]
    small = [text for text in texts if 1e-37 < abs(Fraction(text)) < 3.4028235e38]
    found = plain([[f'{{"f":{text},"l":[{text}]}}'.encode() for text in small]], columns)
    assert found.rows["f"].to_pylist() == [nearest(text, 24, -149) for text in small]
    assert found.rows["l"].to_pylist() == [[nearest(text, 24, -149)] for text in small]


@pytest.mark.parametrize(
    "columns",
    [
        pa.schema([("t", pa.int64()), ("t", pa.int64())]),
        pa.schema([('a":1,"b', pa.int64())]),
        pa.schema([("a\\n", pa.int64())]),
        pa.schema([("texts", pa.list_(pa.string()))]),
        pa.schema([("deep", pa.list_(pa.list_(pa.int8())))]),
        pa.schema([("other", pa.int16())]),
        pa.schema([]),
    ],
    ids=["twice", "quote", "escape", "list of texts", "deep list", "type", "none"],
)
def test_columns_that_it_does_not_read_are_left_to_others(columns: pa.Schema) -> None:
    assert read_plain([[b'{"a":1,"b":2}']], columns) is None


def test_a_field_whose_name_holds_another_is_not_mistaken_for_it() -> None:
    columns = pa.schema([("a", pa.int64()), ("ab", pa.int64()), ("abcdefgh", pa.int64()), ("abcdefghi", pa.int64())])
    for record in ({"abcdefghi": 4, "a": 1}, {"ab": 2, "abcdefgh": 3}, {"b": 1, "abcdefghij": 5, "a": 6}):
        found = plain([[json.dumps(record).encode()] * 2], columns)
        assert found.rows.to_pylist() == [{name: record.get(name) for name in columns.names}] * 2


def test_of_many_columns_any_may_come_in_any_order() -> None:
    columns = pa.schema([(f"column {i}", pa.int64()) for i in range(500)])
    rng = random.Random(7)
    events = [{f"column {i}": i * k for i in rng.sample(range(600), rng.randrange(500))} for k in range(40)]
    found = plain([[json.dumps(event).encode() for event in events]], columns)
    assert not len(found.odd)
    assert found.rows.to_pylist() == [{name: event.get(name) for name in columns.names} for event in events]


@pytest.mark.parametrize(
    ("starts", "lengths", "message"),
    [
        ([0], [3], "within 2 bytes"),
        ([-1], [1], "within 2 bytes"),
        ([3], [0], "within 2 bytes"),
        ([0], [-1], "within 2 bytes"),
        ([2**62], [2**62], "within 2 bytes"),
        ([0, 0], [2], "as many lengths as starts"),
    ],
)
def test_a_record_outside_of_its_buffer_is_refused(starts: list[int], lengths: list[int], message: str) -> None:
    decoder = _plain_json.Decoder((b"t",), (b"l",))
    with pytest.raises(ValueError, match=message):
        decoder.decode_spans(b"{}", np.array(starts), np.array(lengths))
    decoder.decode_spans(b"{}", np.array([0]), np.array([2]))
    assert decoder.finish()[0][0][:2] == (1, 1)


@pytest.mark.parametrize(
    ("names", "kinds", "error", "message"),
    [
        ((b"t",), (), ValueError, "as many kinds"),
        ((), (), ValueError, "at least one name"),
        ((b"t", b"t"), (b"l", b"l"), ValueError, "each name once"),
        ((b't"',), (b"l",), ValueError, "names without quotes"),
        ((b"t",), (b"z",), ValueError, "expected one of the kinds"),
        ((b"t",), (b"",), ValueError, "expected one of the kinds"),
        ((b"t",), (b"+lu",), ValueError, "expected one of the kinds"),
        (("t",), (b"l",), TypeError, "bytes"),
        ((b"t",), ("l",), TypeError, "bytes"),
    ],
)
def test_names_and_kinds_that_it_does_not_know_are_refused(
    names: Any, kinds: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        _plain_json.Decoder(names, kinds)


def test_values_set_aside_are_told_as_they_are_written_and_only_of_plain_records() -> None:
    decoder = _plain_json.Decoder((b"t", b"s"), (b"l", b"u"))
    decoder.decode([b'{"t":7.0,"s": {"a" : 1} }', b'{"t":"x","s":', b'{"s":"y","t":\n"\\u0041"}'])
    rows, places, ends, texts = decoder.aside()
    assert [np.frombuffer(numbers, np.int64).tolist() for numbers in (rows, places, ends)] == [
        [0, 0, 2],
        [0, 1, 0],
        [3, 12, 20],
    ]
    assert bytes(texts) == b'7.0{"a" : 1}"\\u0041"'
    assert [len(part) for part in decoder.aside()] == [0] * 4
    decoder.clear(np.array([2]))
    with pytest.raises(ValueError, match="rows below 3"):
        decoder.clear(np.array([3]))
    with pytest.raises(ValueError, match="64 bits"):
        decoder.clear(np.array([0], dtype=np.int32))
    assert [column[:2] for column in decoder.finish()[0]] == [(3, 3), (3, 3)]


def test_texts_for_missing_values_are_null_in_columns_of_other_types() -> None:
    values = [b'{"t":"-","s":"-","b": "-"}', b'{"t":["-"],"s":"N\\u00c4","b":"N\\u00c4"}', b'{"t":"--"}']
    rows, faults, wrong, *_ = decode_runs(cut(values, [1]), COLUMNS, COLUMNS.names, ("-", "NÄ"))
    assert faults == []
    assert {name: column.rows.tolist() for name, column in wrong.items()} == {"t": [1, 2]}
    assert rows["s"].to_pylist() == ["-", "NÄ", None]
    assert rows["b"].null_count == rows["t"].null_count == 3


def test_rows_begin_anew_behind_the_end_and_values_that_are_no_bytes_are_refused() -> None:
    decoder = _plain_json.Decoder((b"t", b"s"), (b"l", b"u"))
    with pytest.raises(TypeError, match="bytes"):
        decoder.decode([b"{}", "{}"])
    decoder.decode([b'{"t":1}', b"broken"])
    assert [column[:2] for column in decoder.finish()[0]] == [(2, 1), (2, 2)]
    decoder.decode([b'{"s":"a","t":2}'])
    columns, odd = decoder.finish()
    assert [column[:2] for column in columns] == [(1, 0), (1, 0)]
    assert len(odd) == 0
    assert bytes(columns[1][2][2]) == b"a"


def test_it_tells_whether_a_record_has_a_field_that_is_no_column() -> None:
    decoder = _plain_json.Decoder((b"t", b"s"), (b"l", b"u"))
    for records, others in (([b'{"t":1}', b'{"s":"a","t":2}'], False), ([b'{"s":"a","tt":{"t":2},"t":3}'], True)):
        decoder.decode(records)
        assert decoder.others() is others
    decoder.decode([b'{"t":1}'])
    assert decoder.others()
    decoder.finish()
    assert not decoder.others()


@pytest.mark.parametrize("part", [None, types.SimpleNamespace(Decoder=None, INTERFACE=1)], ids=["none", "an old one"])
def test_an_installation_without_it_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, part: Any
) -> None:
    monkeypatch.setattr(plain_records, "_plain_json", part)
    plain_records._say_that_it_is_missing.cache_clear()
    with caplog.at_level("INFO"):
        assert [decode_json([b'{"t":1}'], COLUMNS).faults for _ in range(3)] == [[]] * 3
    said = "JSON is read at a seventh of the speed: there is no part in C here, or an old one (docs/json.md)"
    assert [message for message in caplog.messages if "docs/json.md" in message] == [said]
