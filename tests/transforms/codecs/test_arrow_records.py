"""Arrow records read together: what each of them gives, and why one is refused, is as if it had come alone."""

import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.schemas.block import OFFSET, ROW
from sparsewatch.schemas.errors import SchemaError
from sparsewatch.transforms.codecs import arrow_records
from sparsewatch.transforms.codecs.arrow import encode_arrow, read_arrow
from sparsewatch.transforms.codecs.arrow_framing import holds_one_batch, schema_message
from sparsewatch.transforms.codecs.arrow_records import read_records
from sparsewatch.transforms.codecs.decode import Decoded, decode
from tests.transforms.codecs.test_decode import NOW_MS, event, fetched, schema

COLUMNS = pa.schema([("t", pa.int64()), ("x", pa.float64()), ("label", pa.int64()), ("site", pa.string())])
#: Types in which producers send the columns; a decimal may be cast otherwise than a cell of it.
TYPES = {
    "t": (pa.int64(), pa.int64(), pa.uint64(), pa.float64(), pa.decimal128(30, 2)),
    "x": (pa.float64(), pa.float64(), pa.float32(), pa.int16(), pa.string(), pa.decimal128(30, 2)),
    "label": (pa.int64(), pa.int64(), pa.int8(), pa.bool_(), pa.null()),
    "site": (pa.string(), pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string()), pa.int64()),
}
VALUES = {
    "t": (NOW_MS, NOW_MS - 7, -1, None),
    "x": (1.5, 0.0, float("nan"), None, 2.0**40),
    "label": (0, 1, 1, 2, None),
    "site": ("a", "é", "-", None, ""),
}


def column(kind: pa.DataType, values: Sequence[Any]) -> pa.Array:
    """These values where they are of the type, and others where they are not."""
    if pa.types.is_null(kind):
        return pa.nulls(len(values))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        return pa.array([None if value is None else str(value) for value in values]).cast(kind)
    numbers = [value if isinstance(value, int | float) and value == value else None for value in values]
    if pa.types.is_decimal(kind):
        return pa.array([None if value is None else Decimal(value) for value in numbers], kind)
    if pa.types.is_floating(kind):
        return pa.array(values, kind)
    bounds = {pa.int8(): 2**7, pa.int16(): 2**15}
    kept = [None if v is None else int(v) % bounds.get(kind, 2**62) for v in numbers]
    return pa.array([None if v is None else bool(v) for v in kept] if pa.types.is_boolean(kind) else kept, kind)


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """A record of one of several producers, sound, packed, of several batches, damaged or followed by other bytes."""
    kinds = {name: draw(st.sampled_from(kinds)) for name, kinds in TYPES.items()}
    rows = draw(st.integers(0, 4))
    table = pa.table(
        {
            name: column(kind, [draw(st.sampled_from(VALUES[name])) for _ in range(rows)])
            for name, kind in kinds.items()
            if name != draw(st.sampled_from(["", "", "", "x", "site"]))
        }
    )
    sink = pa.BufferOutputStream()
    packed = pa.ipc.IpcWriteOptions(compression=draw(st.sampled_from([None, None, None, "lz4"])))
    with pa.ipc.new_stream(sink, table.schema, options=packed) as stream:
        stream.write_table(table, max_chunksize=draw(st.sampled_from([1, 9, 9])))
    value = bytearray(sink.getvalue())
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        value[draw(st.integers(0, len(value) - 1))] = draw(st.sampled_from([0, 1, 255]))
    return bytes(value) + draw(st.sampled_from([b"", b"", b"\0" * 8]))


def rows_of(decoded: Decoded, at: int) -> list[Any]:
    """Rows of one record as texts, in which NaN is NaN."""
    return [str(row) for row in decoded.rows.to_pylist() if row[OFFSET] == at]


def wrong_of(decoded: Decoded, at: int) -> list[Any]:
    """Wrong cells of one record: column, row and value."""
    offsets, rows = decoded.rows[OFFSET].to_pylist(), decoded.rows[ROW].to_pylist()
    return sorted(
        (name, rows[row], repr(value))
        for name, column in decoded.wrong.items()
        for row, value in zip(column.rows.tolist(), column.values, strict=True)
        if offsets[row] == at
    )


@settings(max_examples=150)
@given(st.lists(records(), max_size=8), st.sampled_from([frozenset[str](), frozenset({"x", "site"})]), st.booleans())
def test_a_record_gives_the_same_in_any_company(
    values: list[bytes], lenient: frozenset[str], some_missing: bool
) -> None:
    wanted = schema(
        columns=COLUMNS, lenient=lenient, default_format="arrow", missing=("-", "nan") if some_missing else ()
    )
    # Some come twice, so that others of their producer lie between.
    together = decode("topic", [fetched([*values, *values[:3]])], wanted)
    assert together.rows[OFFSET].to_pylist() == sorted(together.rows[OFFSET].to_pylist())
    rejects = []
    for at, value in enumerate([*values, *values[:3]]):
        alone = decode("topic", [fetched([value], first=at)], wanted)
        assert rows_of(together, at) == rows_of(alone, at)
        assert wrong_of(together, at) == wrong_of(alone, at)
        rejects += alone.rejects
    # Those that decoding finds come before those that the checks of all formats find.
    assert sorted(together.rejects, key=lambda r: r.offset) == rejects


def table_of(rows: int) -> pa.Table:
    return pa.Table.from_pylist([{**event(), "site": "é"}] * rows, schema=COLUMNS)


@pytest.mark.parametrize("rows", [1, 3_000])
def test_what_the_usual_writer_writes_is_read_in_one(rows: int) -> None:
    value = encode_arrow(table_of(rows))
    first = schema_message(value)
    assert first is not None
    assert holds_one_batch(value, len(first))
    assert holds_one_batch(value[:-8], len(first))
    (read,), broken = read_records([value] * 3, COLUMNS)
    assert (read.table.num_rows, read.records.tolist(), read.events.tolist()) == (3 * rows, [0, 1, 2], [rows] * 3)
    assert broken == []


def other_layouts() -> dict[str, bytes]:
    """Streams that are not one plain batch."""
    table, big = table_of(2), pa.BufferOutputStream()
    packed, several, coded = pa.BufferOutputStream(), pa.BufferOutputStream(), pa.BufferOutputStream()
    with pa.ipc.new_stream(packed, COLUMNS, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
        stream.write_table(table)
    with pa.ipc.new_stream(several, COLUMNS) as stream:
        stream.write_table(table, max_chunksize=1)
    dictionary = table.set_column(3, "site", table["site"].dictionary_encode())
    with pa.ipc.new_stream(coded, dictionary.schema) as stream:
        stream.write_table(dictionary)
    with pa.ipc.new_stream(big, COLUMNS):
        pass
    plain = encode_arrow(table)
    return {
        "packed": bytes(packed.getvalue()),
        "several batches": bytes(several.getvalue()),
        "a dictionary": bytes(coded.getvalue()),
        "no batch": bytes(big.getvalue()),
        "bytes behind": plain + b"\0",
        "cut short": plain[:-9],
    }


@pytest.mark.parametrize("layout", list(other_layouts()))
def test_any_other_layout_is_read_as_a_whole(layout: str) -> None:
    value = other_layouts()[layout]
    first = schema_message(value)
    assert first is None or not holds_one_batch(value, len(first))
    found, broken = read_records([value, value], COLUMNS)
    if layout == "cut short":
        with pytest.raises(SchemaError) as refused:
            read_arrow(value)
        assert (found, [(at, str(why)) for at, why in broken]) == ([], [(at, str(refused.value)) for at in (0, 1)])
    else:
        assert ([read.table for read in found], broken) == ([read_arrow(value)] * 2, [])


def test_a_damaged_record_is_read_as_the_whole_of_it_would_be() -> None:
    rng, good = random.Random(3), encode_arrow(table_of(3))
    (first,) = {schema_message(good)}
    assert first is not None
    read_alone = refused = 0
    for _ in range(4_000):
        value = bytearray(good)
        # Half of the damage falls on the header of the batch.
        end = min(len(value), len(first) + 300) if rng.random() < 0.5 else len(value)
        for _ in range(rng.randrange(1, 3)):
            value[rng.randrange(len(first), end)] = rng.choice([0, 1, 8, 255, rng.randrange(256)])
        if (batch := arrow_records._read_batch(bytes(value), len(first), COLUMNS)) is None:
            refused += 1
            continue
        read_alone += 1
        expected = read_arrow(bytes(value))
        assert expected.schema == batch.schema
        assert encode_arrow(expected) == encode_arrow(batch)
    assert read_alone > 500
    assert refused > 500


def test_records_whose_columns_are_cast_as_a_whole_are_not_joined() -> None:
    kinds = {"x": pa.decimal128(30, 2), "site": pa.dictionary(pa.int8(), pa.string())}
    for name, kind in kinds.items():
        table = table_of(2).set_column(COLUMNS.names.index(name), name, pa.nulls(2, kind))
        assert len(read_records([encode_arrow(table)] * 2, COLUMNS)[0]) == 2
    # Of a column that is passed over nothing is cast.
    (read,), _ = read_records([encode_arrow(table_of(2).append_column("more", pa.nulls(2)))] * 2, COLUMNS)
    assert read.table.num_rows == 4
