"""States on their way between steps: packed where that saves something, and read back whole or refused."""

import random
from dataclasses import replace

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.schemas.accounts import marker_part, measure_part, sort_parts
from sparsewatch.schemas.errors import StateError
from sparsewatch.schemas.packed import packed, unpack, unpacked
from sparsewatch.schemas.stored import table_to_bytes
from tests.kit.stored_examples import CLOSED, MARKER, PACKED


@given(st.binary(max_size=20).flatmap(lambda one: st.integers(0, 20_000).map(lambda size: b"\x90" + one * size)))
def test_states_come_back_as_they_were(state: bytes) -> None:
    assert unpacked(packed(state)) == state
    assert len(packed(state)) <= len(state)
    assert packed(state) == packed(bytes(bytearray(state)))


def test_a_state_that_cannot_be_made_smaller_grows_by_little() -> None:
    state = b"\x90" + random.Random(1).randbytes(100_000)
    assert len(packed(state)) < len(state) + 100
    assert unpacked(packed(state)) == state


def test_states_that_were_written_unpacked_are_read() -> None:
    rows = table_to_bytes(pa.record_batch({"n": list(range(10_000))}))
    for state in (msgspec.msgpack.encode(["x" * 10_000]), msgspec.msgpack.encode({"a": 1}), rows, b"", b"3"):
        assert unpacked(state) == state


def test_measures_travel_packed_and_are_read_either_way() -> None:
    packed_part, plain_part = measure_part(PACKED), b"M" + PACKED
    assert 10 * len(packed_part) < len(plain_part)
    found = sort_parts([packed_part, plain_part, marker_part(MARKER)])
    assert found.measures == (PACKED, PACKED)


def test_closed_windows_are_read_either_way() -> None:
    large = msgspec.structs.replace(CLOSED, conclusion=replace(CLOSED.conclusion, pane=PACKED))
    small = packed(large.to_bytes())
    assert 10 * len(small) < len(large.to_bytes())
    assert packed(small) == small
    assert type(large).from_bytes(small) == type(large).from_bytes(large.to_bytes()) == large


def test_damaged_bytes_are_refused_by_name() -> None:
    good = packed(PACKED)
    assert unpack(good) == PACKED
    wrong_size = good[:1] + (len(PACKED) - 1).to_bytes(8, "little") + good[9:]
    for bad in (good[:1], good[:5], good[:-3], wrong_size, good[:20] + b"\0" * 40):
        with pytest.raises(StateError, match="expected a packed state"):
            unpacked(bad)
    with pytest.raises(StateError, match="expected a packed state, got 5 other bytes"):
        unpack(b"plain")
