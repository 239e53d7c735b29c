"""Wrong cells: each event is a row or a reject, and the figures of a window do not hang on how it was split."""

import json
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.schemas.block import OFFSET, PARTITION, ROW
from sparsewatch.schemas.mistyped import EXAMPLE_CHARACTERS, EXAMPLES, NONE_MISTYPED, MistypedCells
from sparsewatch.transforms.codecs.arrow import encode_arrow
from sparsewatch.transforms.codecs.arrow_framing import count_events
from sparsewatch.transforms.codecs.decode import ARROW_TYPE, Decoded, decode
from sparsewatch.transforms.codecs.events import EventSchema
from sparsewatch.transforms.codecs.wrong_cells import shown, summed, taken, wrong_column
from sparsewatch.transforms.records import Fetched

pytestmark = pytest.mark.usefixtures("json_reader")

NOW_MS = 1_700_000_000_000
COLUMNS = pa.schema(
    {"t": pa.int64(), "i": pa.int64(), "f": pa.float64(), "s": pa.string(), "b": pa.bool_(), "y": pa.int64()}
)
FEATURES = ("i", "f", "s", "b")
SCHEMA = EventSchema(
    columns=COLUMNS,
    time_column="t",
    time_format="epoch_ms",
    required=("y",),
    label="y",
    max_ahead_us=3_600_000_000,
    max_record_bytes=100_000,
    default_format="json",
    lenient=frozenset(FEATURES),
)
ARROW = [("content-type", ARROW_TYPE)]


def decoded(records: Sequence[bytes], *, arrow: bool = False) -> Decoded:
    n = len(records)
    headers: list[Any] = [ARROW if arrow else ()] * n
    run = Fetched(0, list(range(n)), [NOW_MS] * n, list(records), headers, lambda i: None, n)
    return decode("topic", [run], SCHEMA)


def figures(found: Decoded, rows: np.ndarray | None = None) -> MistypedCells:
    """Of a batch, or of a block of some of its rows."""
    at = np.arange(found.rows.num_rows) if rows is None else rows
    places = [found.rows[name].to_numpy()[at] for name in (PARTITION, OFFSET, ROW)]
    return summed(taken(found.wrong, at, found.rows.num_rows), *places)


def event(**other: Any) -> dict[str, Any]:
    return {"t": NOW_MS, "i": 1, "f": 0.5, "s": "a", "b": True, "y": 0, **other}


odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from(["7", "\ud800", "\x1b[31m", "x" * 5_000, 10**400, 7.0, 1e300]),
    st.lists(st.floats() | st.text(max_size=2), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)
events = st.fixed_dictionaries(
    {
        "t": st.one_of(st.just(NOW_MS), st.just(NOW_MS), odd),
        "y": st.one_of(st.integers(0, 1), st.integers(0, 1), odd),
        "i": st.integers(-(2**63), 2**63 - 1) | odd,
        "f": st.floats() | odd,
        "s": st.text(max_size=3) | odd,
        "b": st.booleans() | odd,
    }
)


@settings(max_examples=300)
@given(st.lists(st.tuples(events, st.integers(0, 20)), max_size=8))
def test_each_json_event_is_a_row_or_a_reject_and_each_wrong_cell_is_null(batch: list[tuple[Any, int]]) -> None:
    texts = [json.dumps(e).encode() for e, _ in batch]
    found = decoded([t[: len(t) // 2] if damage == 0 else t for t, (_, damage) in zip(texts, batch, strict=True)])
    assert found.rows.num_rows + sum(r.events for r in found.rejects) == len(batch)
    assert_null(found)


def assert_null(found: Decoded) -> None:
    for name, column in found.wrong.items():
        assert name in FEATURES
        assert found.rows[name].take(pa.array(column.rows)).null_count == len(column.rows)
    for name, figure in figures(found).columns.items():
        assert figure.cells == len(found.wrong[name].rows) > 0
        assert 1 <= len(figure.examples) <= EXAMPLES
        assert all(len(e.value) <= EXAMPLE_CHARACTERS and e.value.isprintable() for e in figure.examples)
    assert MistypedCells.from_bytes(figures(found).to_bytes()) == figures(found)


#: A value of each type of Arrow; numbers and times are drawn.
SAMPLES: dict[pa.DataType, Any] = {
    pa.string(): "7",
    pa.large_string(): "é",
    pa.string_view(): "",
    pa.bool_(): True,
    pa.null(): None,
    pa.binary(): b"\xff",
    pa.binary(4): b"abcd",
    pa.decimal128(10, 2): Decimal("1.50"),
    pa.decimal256(40, 2): Decimal(10) ** 37,
    pa.month_day_nano_interval(): pa.MonthDayNano([1, 2, 3]),
    pa.list_(pa.int64()): [1],
    pa.list_view(pa.string()): ["a"],
    pa.struct([("a", pa.int64())]): {"a": 1},
    pa.map_(pa.string(), pa.int64()): [("a", 1)],
}
NUMBERS = (pa.int8(), pa.int64(), pa.uint64(), pa.float16(), pa.float32(), pa.float64())
TIMES = (pa.timestamp("s"), pa.timestamp("ns", "UTC"), pa.date32(), pa.date64(), pa.time64("ns"), pa.duration("s"))


@st.composite
def columns(draw: st.DrawFn, rows: int) -> pa.Array:
    """A column of any type, whether it fits or not, nulls among its values."""
    kind = draw(st.sampled_from([*SAMPLES, *NUMBERS, *TIMES, pa.bool8(), pa.uuid()]))
    there = draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
    if kind in SAMPLES:
        array = pa.array([SAMPLES[kind] if one else None for one in there], kind)
    else:
        storage = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
        size = storage.bit_width // 8 * rows
        values = pa.py_buffer(draw(st.binary(min_size=size, max_size=size)))
        array = pa.Array.from_buffers(storage, rows, [pa.array(there).buffers()[1], values])
        array = array if storage is kind else pa.ExtensionArray.from_storage(kind, array)
    coded = pa.types.is_string(kind) or pa.types.is_int64(kind) or pa.types.is_float64(kind)
    return array.dictionary_encode() if coded and draw(st.booleans()) else array


@settings(max_examples=300)
@given(st.data(), st.integers(1, 6), st.sets(st.sampled_from(COLUMNS.names), min_size=1, max_size=3))
def test_each_event_of_an_arrow_record_is_a_row_or_rejected(data: st.DataObject, rows: int, changed: set[str]) -> None:
    table = pa.Table.from_pylist([event()] * rows, schema=COLUMNS)
    for name in sorted(changed):
        column = data.draw(columns(rows))
        how = data.draw(st.integers(0, 9))
        if how == 0:
            table = table.drop_columns([name])
        elif how == 1:
            table = table.append_column(name, column)
        else:
            table = table.set_column(table.schema.names.index(name), name, column)
    found = decoded([encode_arrow(table), encode_arrow(pa.Table.from_pylist([event()], schema=COLUMNS))], arrow=True)
    assert found.rows.num_rows + sum(r.events for r in found.rejects) == rows + 1
    # Half a day in a column of days is damage, as a stream cut off is.
    damaged = any(r.code == "broken_arrow" for r in found.rejects)
    assert damaged or not changed.isdisjoint({"t", "y"}) or found.rows.num_rows == rows + 1
    assert_null(found)


@settings(max_examples=100)
@given(st.lists(events, min_size=1, max_size=12), st.lists(st.integers(0, 3), min_size=12, max_size=12))
def test_the_figures_of_a_window_are_the_same_however_it_is_split(batch: list[Any], parts: list[int]) -> None:
    found = decoded([json.dumps(e).encode() for e in batch])
    part = np.array(parts)[: found.rows.num_rows]
    for order in ((0, 1, 2, 3), (3, 1, 2, 0)):
        total = NONE_MISTYPED
        for number in order:
            total += figures(found, np.flatnonzero(part == number))
        assert total.to_bytes() == figures(found).to_bytes()


def test_examples_are_the_first_distinct_values_with_their_places() -> None:
    wrong = {"i": wrong_column(range(9), ["b", "a", "b", True, 1.5, [1], "c", "d", "a"])}
    figure = summed(wrong, np.zeros(9, int), 10 + np.arange(9), np.zeros(9, int)).columns["i"]
    assert figure.found == {"bool": 1, "float": 1, "list": 1, "str": 6}
    assert [(e.offset, e.found, e.value) for e in figure.examples] == [
        (10, "str", "'b'"),
        (11, "str", "'a'"),
        (13, "bool", "True"),
        (14, "float", "1.5"),
        (15, "list", "[1]"),
    ]


@pytest.mark.parametrize(
    "value",
    [
        "\x1b[2J",
        "\u202eabc",
        "x" * 10_000,
        "\ud800",
        {"k" * 500: ["v" * 500] * 500},
        10**300,
        [[[[[[[[1]]]]]]]],
        b"\x00",
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_from_outside_is_shown_in_a_few_printable_characters(value: Any) -> None:
    text = shown(value)
    assert text.isprintable()
    assert 0 < len(text) <= EXAMPLE_CHARACTERS


def test_a_rejected_arrow_record_counts_its_events() -> None:
    table = pa.Table.from_pylist([event()] * 1_000, schema=COLUMNS)
    text_label = table.set_column(5, "y", pa.array(["0"] * 1_000))
    large = table.set_column(3, "s", pa.array(["x" * 200] * 1_000))
    damaged = encode_arrow(table)[:-1_000]
    headless = encode_arrow(table)[:200]
    found = decoded([encode_arrow(text_label), encode_arrow(large), damaged, headless], arrow=True)
    counted = sorted((r.offset, r.code, r.events, r.row) for r in found.rejects)
    assert counted == [
        (0, "foreign_schema", 1_000, -1),
        (1, "too_large", 1_000, -1),
        (2, "broken_arrow", 1_000, -1),
        (3, "broken_arrow", 1, -1),
    ]
    said = {r.offset: "counts as one" in r.message for r in found.rejects}
    assert said == {0: False, 1: False, 2: False, 3: True}


def test_events_are_counted_by_headers_that_may_be_damaged_anywhere() -> None:
    table = pa.Table.from_pylist([event()] * 700, schema=COLUMNS)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, COLUMNS, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
        for batch in table.to_batches(max_chunksize=300):
            stream.write_batch(batch)
    whole = bytes(sink.getvalue())
    assert count_events(whole, 1_000) == 700
    assert count_events(whole, 699) is None
    file = pa.BufferOutputStream()
    with pa.ipc.new_file(file, COLUMNS) as writer:
        writer.write_table(table)
    assert count_events(bytes(file.getvalue()), 1_000) == 700
    for cut in range(len(whole)):
        assert count_events(whole[:cut], 1_000) in (None, 300, 600, 700)


@settings(max_examples=300)
@given(st.data())
def test_damaged_headers_give_a_number_or_none(data: st.DataObject) -> None:
    whole = bytearray(encode_arrow(pa.Table.from_pylist([event()] * 9, schema=COLUMNS)))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    counted = count_events(bytes(whole), 1 << 20)
    assert counted is None or 0 <= counted <= 1 << 20


def test_of_a_record_with_wrong_rows_the_others_are_counted_and_not_replayed() -> None:
    rows = [event(y=2 if i == 7 else 0, i=i) for i in range(1_000)]
    found = decoded([encode_arrow(pa.Table.from_pylist(rows, schema=COLUMNS))], arrow=True)
    [reject] = found.rejects
    assert (found.rows.num_rows, reject.events, reject.row, reject.code) == (999, 1, 7, "bad_label")
    assert pa.ipc.open_stream(reject.value).read_all().to_pylist() == [rows[7]]


def test_wrong_cells_of_rejects_and_of_other_windows_are_not_counted() -> None:
    batch = [event(i="7"), event(i="7", y=2), event(i="7", y="0"), event(i="8"), event()]
    found = decoded([json.dumps(e).encode() for e in batch])
    assert Counter(r.code for r in found.rejects) == {"bad_label": 1, "wrong_type": 1}
    assert figures(found).columns["i"].found == {"str": 2}
    assert [e.offset for e in figures(found, np.array([1, 2])).columns["i"].examples] == [3]


_LOOK_ALIKE = (
    "1.5",
    "true",
    "false",
    "-0.5",
    '"1"',
    '"1.5"',
    '"true"',
    "[1]",
    "[1.0]",
    "[true]",
    "{}",
    "1e400",
    "NaN",
    '"NaN"',
)


@given(st.lists(st.tuples(st.sampled_from("ty"), st.sampled_from([*_LOOK_ALIKE, "1", "{", '"\\ud800"'])), max_size=12))
def test_what_is_wrong_with_an_event_is_said_as_if_it_were_alone(spoiled: list[tuple[str, str]]) -> None:
    records = [
        json.dumps(event(**{name: 0})).replace(f'"{name}": 0', f'"{name}": {text}').encode() for name, text in spoiled
    ]
    together = [(r.offset, r.code, r.message) for r in decoded(records).rejects]
    alone = [(i, r.code, r.message) for i, record in enumerate(records) for r in decoded([record]).rejects]
    assert sorted(together) == alone
