"""The walk over a batch finds the same in C and in Python, and neither reads a byte outside the batch."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.record.util import encode_varint

from sparsewatch.transforms.kafka.record_walk import COLUMNS, headers_at, walk, walk_in_python

Walk = Callable[..., tuple[int, int]]
_WALKS = pytest.mark.parametrize("walking", [walk, walk_in_python], ids=["as built", "in Python"])


def _number(value: int) -> bytes:
    out = bytearray()
    encode_varint(value, out.append)
    return bytes(out)


def _field(content: bytes | None) -> bytes:
    return _number(-1) if content is None else _number(len(content)) + content


def _record(later: int = 0, further: int = 0, headers: Sequence[tuple[bytes, bytes | None]] = ()) -> bytes:
    tail = b"".join(_field(key) + _field(value) for key, value in headers)
    body = _number(0) + _number(later) + _number(further) + _field(None) + _field(b"v") + _number(len(headers)) + tail
    return _number(len(body)) + body


def _walked(
    walking: Walk, data: bytes, rows: int, *, at: int = 0, end: int | None = None, offset: int = 0, timestamp: int = 0
) -> tuple[int, int, list[list[int]]]:
    cells = np.zeros((COLUMNS, rows), np.int64)
    read, stopped = walking(data, at, len(data) if end is None else end, offset, timestamp, False, cells)
    return read, stopped, cells[:, :read].tolist()


@settings(max_examples=500)
@given(
    data=st.binary(max_size=80)
    | st.lists(
        st.sampled_from([_record(), _record(1, 1, [(b"\xc3\xa4", None)]), b"\xff", b"\x80", b"\0"]), max_size=6
    ).map(b"".join),
    rows=st.integers(0, 12),
    cut=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_both_walks_find_the_same_in_any_bytes(data: bytes, rows: int, cut: tuple[float, float]) -> None:
    at, end = sorted(round(part * len(data)) for part in cut)
    assert _walked(walk, data, rows, at=at, end=end) == _walked(walk_in_python, data, rows, at=at, end=end)
    # What lies outside the batch makes no difference.
    inside = b"\xff" * at + data[at:end] + b"\xff" * 9
    assert _walked(walk, inside, rows, at=at, end=end) == _walked(walk, data, rows, at=at, end=end)


@settings(max_examples=500)
@given(st.binary(max_size=6) | st.text(max_size=3).map(str.encode))
def test_a_header_is_named_by_what_python_reads_as_text(name: bytes) -> None:
    data = _record(headers=[(name, b"x")])
    try:
        text = name.decode()
    except UnicodeDecodeError:
        assert _walked(walk, data, 1)[0] == _walked(walk_in_python, data, 1)[0] == 0
    else:
        read, _, cells = _walked(walk, data, 1)
        assert read == 1
        assert headers_at(memoryview(data), cells[6][0]) == [(text, b"x")]


@_WALKS
@pytest.mark.parametrize(
    ("base", "delta", "expected"),
    [(2**63 - 2, 1, 2**63 - 1), (2**63 - 2, 2, None), (-(2**63) + 1, -1, -(2**63)), (-(2**63), -1, None)],
)
def test_offsets_and_times_are_numbers_of_64_bits(walking: Walk, base: int, delta: int, expected: int | None) -> None:
    _, _, by_offset = _walked(walking, _record(further=delta), 1, offset=base)
    _, _, by_time = _walked(walking, _record(later=delta), 1, timestamp=base)
    assert by_offset[0] == by_time[1] == ([] if expected is None else [expected])


@_WALKS
@pytest.mark.parametrize(
    ("delta", "is_read"),
    [(b"\xfe" + b"\xff" * 8 + b"\x01", True), (b"\xfe" + b"\xff" * 8 + b"\x02", False), (b"\x80" * 10 + b"\0", False)],
)
def test_a_number_has_64_bits_in_ten_bytes_at_most(walking: Walk, delta: bytes, is_read: bool) -> None:
    body = _number(0) + delta + _number(0) + _field(None) + _field(None) + _number(0)
    assert _walked(walking, _number(len(body)) + body, 1)[0] == is_read


@_WALKS
def test_a_record_that_ends_behind_its_batch_is_not_read(walking: Walk) -> None:
    data = _record() + _record(headers=[(b"name", b"value")])
    for end in range(len(_record()), len(data)):
        assert _walked(walking, data, 3, end=end)[:2] == (1, len(_record()))
    assert _walked(walking, data, 3)[:2] == (2, len(data))


@pytest.mark.parametrize(("at", "end"), [(-1, 3), (2, 1), (0, 5), (6, 6)])
def test_a_batch_outside_its_buffer_is_refused(at: int, end: int) -> None:
    built = pytest.importorskip("sparsewatch.transforms.kafka._record_walk", reason="the part in C is not built")
    with pytest.raises(ValueError, match="the batch lies outside its buffer"):
        built.walk(b"1234", at, end, 0, 0, False, np.zeros((COLUMNS, 1), np.int64))
