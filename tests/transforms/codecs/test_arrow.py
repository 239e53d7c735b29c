"""Arrow records: exactly the columns asked for, widened without loss; any damage is a `SchemaError`."""

import math
import random
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.schemas.errors import SchemaError
from sparsewatch.transforms.codecs.arrow import conform, encode_arrow, pick_rows, read_arrow
from sparsewatch.transforms.codecs.arrow_cells import fitted
from sparsewatch.transforms.codecs.arrow_framing import unpacked_bytes
from sparsewatch.transforms.codecs.cells import to_column
from sparsewatch.transforms.codecs.wrong_cells import summed

COLUMNS = pa.schema([("t", pa.int64()), ("f", pa.float64()), ("s", pa.string()), ("b", pa.bool_())])
ROWS: list[dict[str, Any]] = [
    {"t": 1, "f": 0.5, "s": "a", "b": True},
    {"t": 2, "f": None, "s": None, "b": None},
    {"t": None, "f": -1e300, "s": "é", "b": False},
]
TABLE = pa.Table.from_pylist(ROWS, schema=COLUMNS)


def with_column(name: str, values: Any) -> pa.Table:
    return TABLE.set_column(COLUMNS.names.index(name), name, values)


def test_columns_come_back_in_the_order_asked_for() -> None:
    shuffled = TABLE.select(["s", "b", "t", "f"]).append_column("more", pa.array([[1], [], None]))
    rows = conform(read_arrow(encode_arrow(shuffled)), COLUMNS).rows
    assert rows.schema == COLUMNS
    assert rows.to_pylist() == ROWS


def test_batches_of_one_record_are_joined() -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, COLUMNS) as stream:
        for batch in TABLE.to_batches(max_chunksize=1):
            stream.write_batch(batch)
    assert conform(read_arrow(bytes(sink.getvalue())), COLUMNS).rows.to_pylist() == ROWS


@pytest.mark.parametrize("rows", [0, None], ids=["empty-batch", "no-batch"])
def test_a_record_without_events_gives_no_row(rows: int | None) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, COLUMNS) as stream:
        if rows is not None:
            stream.write_table(TABLE.slice(0, rows))
    assert conform(read_arrow(bytes(sink.getvalue())), COLUMNS).rows.num_rows == 0


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("t", pa.array([1, 2, None], pa.int8())),
        ("t", pa.array([1, 2, None], pa.uint64())),
        ("t", pa.array([1, 2, None], pa.int32()).dictionary_encode()),
        ("t", pa.array([1.0, 2.0, None])),
        ("t", pa.RunEndEncodedArray.from_arrays([2, 3], [1, None])),
        ("t", pa.array([1.0, -2.0, None]).dictionary_encode()),
        ("t", pa.array([Decimal("1.00"), Decimal(-7), None])),
        ("f", pa.array([Decimal("1.50"), Decimal(-7), None])),
        ("f", pa.array([2**53, 1, None])),
        ("s", pa.array(["a", None, "é"], pa.large_string())),
        ("s", pa.array(["a", None, "é"], pa.string_view())),
        ("s", pa.array(["a", None, "é"]).dictionary_encode()),
        ("s", pa.array(["a", None, "é"], pa.large_string()).dictionary_encode()),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else value,
)
def test_a_narrower_type_is_widened(name: str, values: pa.Array) -> None:
    rows, faults, _ = conform(read_arrow(encode_arrow(with_column(name, values))), COLUMNS)
    assert faults == []
    assert rows.schema == COLUMNS
    assert rows[name].to_pylist() == values.to_pylist()


def test_a_whole_number_beyond_floats_is_held_as_the_nearest_float() -> None:
    rows = conform(with_column("f", pa.array([2**53 + 1, 1, None])), COLUMNS).rows
    assert rows["f"].to_pylist() == [2.0**53, 1.0, None]


@pytest.mark.parametrize(
    ("name", "column", "held", "found"),
    [
        ("t", pa.array(["1", None, "x"]), [None, None, None], {"str": 2}),
        ("t", pa.array([1.0, 2.5, float("nan")]), [1, None, None], {"float": 1, "not finite": 1}),
        ("t", pa.array([2**63, 1, None], pa.uint64()), [None, 1, None], {"int out of range": 1}),
        ("t", pa.array([True, None, False]), [None] * 3, {"bool": 2}),
        ("t", pa.array([1, None, 10**15], pa.timestamp("s")), [None] * 3, {"time": 2}),
        ("t", pa.array([1, 2, None], pa.timestamp("ns", "UTC")), [None] * 3, {"time": 2}),
        ("t", pa.array([1, 2, None], pa.duration("us")), [None] * 3, {"time": 2}),
        ("t", pa.array(["a", "b", "a"]).dictionary_encode(), [None] * 3, {"str": 3}),
        ("t", pa.RunEndEncodedArray.from_arrays([2, 3], ["x", None]), [None] * 3, {"str": 2}),
        ("t", pa.array([Decimal("1.5"), Decimal(2), None]), [None, 2, None], {"float": 1}),
        ("f", pa.array([float("nan"), float("-inf"), 0.5]), [None, None, 0.5], {"not finite": 2}),
        ("f", pa.array([{"a": 1}, None, {"a": 2}]), [None] * 3, {"object": 2}),
        ("s", pa.array([1, 2, None]), [None] * 3, {"int": 2}),
        ("s", pa.array([["a"], [], None]), [None] * 3, {"list": 2}),
        ("s", pa.array([[1], [2], None], pa.list_view(pa.int64())), [None] * 3, {"list": 2}),
        ("s", pa.array([b"a", b"\xff", None]), [None] * 3, {"bytes": 2}),
        ("b", pa.array([0, 1, None]), [None] * 3, {"int": 2}),
        ("b", pa.array([pa.MonthDayNano([1, 2, 3]), None, None]), [None] * 3, {"time": 1}),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else None,
)
def test_a_cell_of_another_type_is_missing_and_the_others_stay(
    name: str, column: pa.Array, held: list[Any], found: dict[str, int]
) -> None:
    table = read_arrow(encode_arrow(with_column(name, column)))
    rows, faults, wrong = conform(table, COLUMNS, frozenset(COLUMNS.names))
    assert faults == []
    assert rows.to_pylist() == [{**row, name: value} for row, value in zip(ROWS, held, strict=True)]
    zeros = np.zeros(3, np.int64)
    figures = summed(wrong, zeros, zeros, np.arange(3)).columns
    assert list(figures) == [name]
    assert figures[name].found == found


def test_a_lenient_column_may_be_absent_and_is_wrong_where_it_comes_twice() -> None:
    lenient = frozenset({"f", "s", "b"})
    rows, faults, wrong = conform(TABLE.drop_columns(["s"]).append_column("b", pa.nulls(3)), COLUMNS, lenient)
    assert faults == []
    assert rows.to_pylist() == [{**row, "s": None, "b": None} for row in ROWS]
    assert {name: column.rows.tolist() for name, column in wrong.items()} == {"b": [0, 1, 2]}


def test_of_a_column_that_must_be_right_only_the_wrong_rows_are_faults() -> None:
    column = pa.array([1.0, 2.5, float("nan")])
    rows, faults, wrong = conform(with_column("t", column), COLUMNS)
    assert faults == [
        (1, "wrong_type", "column 't': expected int, got 2.5 (float)"),
        (2, "not_finite", "column 't': expected a finite number, got nan"),
    ]
    assert (rows["t"].to_pylist(), wrong) == ([1, None, None], {})


#: Numbers about the bounds of integers of 8, 32 and 64 bits, and others.
EDGES = [edge + step for edge in (0, 2**7, 2**31, 2**63, -(2**7), -(2**31), -(2**63)) for step in (-1, -0.5, 0, 1)]


@given(
    st.sampled_from([pa.uint8(), pa.int64(), pa.uint64(), pa.float16(), pa.float32(), pa.float64()]),
    st.lists(st.sampled_from([None, *EDGES, float("nan"), float("inf"), float("-inf"), -0.0, 1e300, 7.0]), max_size=9),
    st.sampled_from([pa.int8(), pa.int32(), pa.int64()]),
)
def test_numbers_that_are_no_such_integers_are_found_as_one_by_one(
    given_type: pa.DataType, values: list[float | None], kind: pa.DataType
) -> None:
    if pa.types.is_integer(given_type):
        low, high = (0, 2**given_type.bit_width) if "u" in str(given_type) else (-(2**63), 2**63)
        values = [v for v in values if v is None or (math.isfinite(v) and v == int(v) and low <= v < high)]
        column = pa.array([None if v is None else int(v) for v in values], given_type)
    else:
        column = pa.array([None if v is None else float(v) for v in values], pa.float64()).cast(given_type, safe=False)
    found = fitted(pa.chunked_array([column]), kind)
    array, wrong = to_column(column.to_pylist(), kind)
    assert found.array.equals(array)
    assert found.wrong.tolist() == wrong
    assert str(found.values) == str([column.to_pylist()[at] for at in wrong])


def test_integers_and_single_precision_become_floats() -> None:
    for values in (pa.array([1, 2, None]), pa.array([1.0, 2.0, None], pa.float32())):
        assert conform(with_column("f", values), COLUMNS).rows["f"].to_pylist() == [1.0, 2.0, None]


def test_a_column_of_nulls_fits_any_type() -> None:
    nulls = pa.table({name: pa.nulls(2) for name in COLUMNS.names})
    assert conform(nulls, COLUMNS).rows.to_pylist() == [dict.fromkeys(COLUMNS.names)] * 2


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (with_column("t", pa.array([1, 2, 3], pa.timestamp("ms"))), r"column 't': expected int64, got timestamp\[ms\]"),
        (with_column("t", pa.array(["1", "2", "3"])), "column 't': expected int64, got string"),
        (with_column("f", pa.array([True, True, True])), "column 'f': expected double, got bool"),
        (with_column("s", pa.array([b"a", b"b", b"\xff"])), "column 's': expected string, got binary"),
        (with_column("s", pa.array([1, 2, 3])), "column 's': expected string, got int64"),
        (with_column("s", pa.array([["a"], [], []])), "column 's': expected string, got list"),
        (with_column("b", pa.array([0, 1, 0])), "column 'b': expected bool, got int64"),
        (TABLE.drop_columns(["s"]), r"expected the columns .* once each, got \['t', 'f', 'b'\]; wrong: \['s'\]"),
        (TABLE.append_column("t", pa.array([1, 2, 3])), r"once each, got .*; wrong: \['t'\]"),
        (TABLE.rename_columns(["T", "f", "s", "b"]), r"once each.*wrong: \['t'\]"),
    ],
)
def test_a_foreign_schema_is_named_column_by_column(table: pa.Table, says: str) -> None:
    with pytest.raises(SchemaError, match=says):
        conform(read_arrow(encode_arrow(table)), COLUMNS)


@pytest.mark.parametrize("value", [b"", b"\xff\xff\xff\xff", b'{"t": 1}', b"ARROW1\x00\x00", b"\xff" * 100])
def test_other_bytes_are_refused(value: bytes) -> None:
    with pytest.raises(SchemaError, match="expected an Arrow IPC stream"):
        read_arrow(value)


def test_any_damage_is_refused_or_harmless_but_never_another_error() -> None:
    rng, good = random.Random(1), encode_arrow(with_column("s", pa.array(["a", "b", "a"]).dictionary_encode()))
    outcomes = {"refused": 0, "read": 0}
    for _ in range(3000):
        value = bytearray(good[: rng.randrange(len(good))] if rng.random() < 0.2 else good)
        for _ in range(rng.randrange(1, 5) if value else 0):
            value[rng.randrange(len(value))] = rng.choice([0, 1, 255, rng.randrange(256)])
        try:
            conform(read_arrow(bytes(value)), COLUMNS, frozenset(COLUMNS.names if rng.random() < 0.5 else ()))
            outcomes["read"] += 1
        except SchemaError:
            outcomes["refused"] += 1
    assert outcomes["refused"] > 1000
    assert outcomes["read"] > 100


def test_a_small_record_cannot_claim_endless_events() -> None:
    claim = encode_arrow(pa.table({"t": pa.nulls((1 << 20) + 1)}))
    assert len(claim) < 1000
    with pytest.raises(SchemaError, match="at most 1048576 events, got 1048577"):
        read_arrow(claim)


@given(st.lists(st.integers(0, 2), max_size=5))
def test_picked_rows_are_those_rows(rows: list[int]) -> None:
    again = read_arrow(encode_arrow(pick_rows(TABLE, rows)))
    assert again.to_pylist() == [ROWS[i] for i in rows]
    assert again.schema == COLUMNS


@pytest.mark.parametrize(
    "column",
    [
        pa.RunEndEncodedArray.from_arrays([2, 3], [1, 2]),
        pa.array(["a", "b", "c"], pa.string_view()),
        pa.array([[1], [2], None], pa.list_view(pa.int64())),
        pa.array(["x", "y", "x"]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type),
)
def test_rows_are_picked_whatever_the_types_of_columns_passed_over(column: pa.Array) -> None:
    table = read_arrow(encode_arrow(TABLE.append_column("more", column)))
    picked = read_arrow(encode_arrow(pick_rows(table, [0, 2])))
    assert picked.schema == table.schema
    assert picked.to_pylist() == [table.to_pylist()[i] for i in (0, 2)]


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_a_small_record_that_would_unpack_to_gigabytes_is_refused_unread(codec: str) -> None:
    packed = pa.ipc.IpcWriteOptions(compression=codec)
    for column in (pa.array([b"\0" * (1 << 20), b"", None]), pa.array([b"\0" * (1 << 20)] * 3).dictionary_encode()):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, pa.schema([("x", column.type)]), options=packed) as stream:
            stream.write_batch(pa.record_batch({"x": column}))
        value = bytes(sink.getvalue())
        size = column.nbytes if pa.types.is_binary(column.type) else column.dictionary.nbytes
        assert size <= unpacked_bytes(value) < size + 200
        assert read_arrow(value).num_rows == 3
        # A packed buffer begins with its size, and lies at a multiple of eight bytes.
        stated = (1 << 20).to_bytes(8, "little")
        places = [at for at in range(0, len(value), 8) if value[at : at + 8] == stated]
        huge = [value[:at] + (1 << 60).to_bytes(8, "little") + value[at + 8 :] for at in places]
        (bomb,) = [changed for changed in huge if unpacked_bytes(changed) > 1 << 59]
        with pytest.raises(SchemaError, match=r"at most 268435456 bytes unpacked, got 11529215\d+"):
            read_arrow(bomb)


def test_records_that_are_not_packed_unpack_to_nothing_more() -> None:
    assert unpacked_bytes(encode_arrow(TABLE)) == 0
    assert unpacked_bytes(b"no record") == 0
