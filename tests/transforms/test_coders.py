"""What travels between stages and lies in checkpoints: round trips. Stored bytes: `tests/test_golden.py`."""

from typing import Any

import msgspec
import pyarrow as pa
import pytest
from apache_beam import coders as beam_coders
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.schemas.accounts import Marker
from sparsewatch.schemas.block import Block, Span
from sparsewatch.schemas.errors import StateError
from sparsewatch.transforms import coders
from sparsewatch.transforms.coders import (
    Aside,
    AsideCoder,
    BlockCoder,
    MarkerCoder,
    ReaderStateCoder,
    decode_block,
    encode_block,
)
from tests.kit.stored_examples import ASIDE, BLOCK, COLUMNS, MARKER, STATE

#: Name of each element, its coder and its value.
STORED: list[tuple[str, Any, Any]] = [
    ("block", BlockCoder(), BLOCK),
    ("reader state", ReaderStateCoder(), STATE),
    ("marker", MarkerCoder(), MARKER),
    ("aside", AsideCoder(), ASIDE),
]


@pytest.mark.parametrize(("name", "coder", "value"), STORED, ids=[name for name, _, _ in STORED])
def test_an_element_is_what_it_was_after_a_round_trip(name: str, coder: Any, value: Any) -> None:
    assert coder.decode(coder.encode(value)) == value


@given(st.lists(st.tuples(st.none() | st.text(), st.none() | st.integers(-(2**63), 2**63 - 1)), max_size=20))
def test_any_block_survives_with_its_types(rows: list[tuple[str | None, int | None]]) -> None:
    events = [
        {"site": s, "label": n, "_partition": 1, "_offset": i, "_row": 0, "_event_time_us": i}
        for i, (s, n) in enumerate(rows)
    ]
    block = Block((Span("t", 1, 0, len(rows)),), pa.RecordBatch.from_pylist(events, schema=COLUMNS))
    again = decode_block(encode_block(block))
    assert again == block
    assert again.rows.schema.equals(COLUMNS, check_metadata=True)


def test_a_slice_travels_without_the_rows_around_it() -> None:
    whole = pa.RecordBatch.from_pylist([{"site": "x" * 1000}] * 1000, schema=pa.schema([("site", pa.string())]))
    cut = Block((), whole.slice(500, 2))
    assert len(encode_block(cut)) < 5000
    assert decode_block(encode_block(cut)) == cut


def other_version() -> bytes:
    with pa.ipc.open_stream(encode_block(BLOCK)) as stream:
        rows = stream.read_next_batch()
    sink = pa.BufferOutputStream()
    later = rows.schema.with_metadata({**rows.schema.metadata, b"sparsewatch.block": b"2"})
    with pa.ipc.new_stream(sink, later) as writer:
        writer.write_batch(rows.replace_schema_metadata(later.metadata))
    return bytes(sink.getvalue())


def without_spans() -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, BLOCK.rows.schema) as writer:
        writer.write_batch(BLOCK.rows)
    return bytes(sink.getvalue())


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (other_version(), "expected a block of version 1, got b'2'"),
        (without_spans(), "expected a block of version 1, got None"),
        (b"", "expected a block, got 0 other bytes"),
        (b"\x80\x04K\x01.", "expected a block, got 5 other bytes"),
        (encode_block(BLOCK)[:-200], "expected a block"),
    ],
    ids=["later", "foreign", "empty", "pickle", "cut"],
)
def test_other_bytes_are_no_block(data: bytes, says: str) -> None:
    with pytest.raises(StateError, match=says):
        decode_block(data)


def test_structs_are_strict_about_their_fields() -> None:
    for coder, data in ((MarkerCoder(), {"reader": "one"}), (ReaderStateCoder(), [["x"]]), (AsideCoder(), {})):
        with pytest.raises(StateError, match=f"expected an? {coder.struct.__name__}"):
            coder.decode(msgspec.msgpack.encode(data))


def test_beam_takes_our_coders_for_our_elements() -> None:
    coders.register()
    for element, coder in ((Block, BlockCoder), (Marker, MarkerCoder), (Aside, AsideCoder)):
        assert isinstance(beam_coders.registry.get_coder(element), coder)


def test_the_size_of_a_block_is_told_without_coding_it(monkeypatch: pytest.MonkeyPatch) -> None:
    block = Block((), pa.RecordBatch.from_pydict({"x": pa.array(range(1000), pa.int64())}))

    def coded(_: Block) -> bytes:
        raise AssertionError("the block was coded")

    monkeypatch.setattr(coders, "encode_block", coded)
    assert BlockCoder().get_impl().estimate_size(block) == 8000
