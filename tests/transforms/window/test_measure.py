"""Measures of parts, windows of a bundle, the sum of conclusions, and saved windows decoded together."""

import logging
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import ClassVar
from unittest.mock import patch

import msgspec
import pyarrow as pa
import pytest
from apache_beam.transforms.window import IntervalWindow
from apache_beam.utils.windowed_value import WindowedValue
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.block import Block
from sparsewatch.schemas.errors import StateError
from sparsewatch.schemas.metrics import WINDOW_ALERTS, WINDOW_ROWS
from sparsewatch.schemas.stored import Format
from sparsewatch.transforms.window import measure
from sparsewatch.transforms.window.measure import Accumulated, Composite, Conclusion, OpenWindows, Record
from sparsewatch.transforms.window.panes import Pane, PaneState, decode_panes

FINDING = Finding(rule="r", subject="s", severity="info", value=1.0, threshold=1.0, baseline=0.0, message="m")


class Total:
    """A sum of a column, as a state of the detectors is."""

    def __init__(self, total: int = 0) -> None:
        self.total = total

    def update(self, rows: pa.RecordBatch) -> None:
        self.total += sum(rows["a"].to_pylist())

    def merge(self, other: "Total") -> None:
        self.total += other.total

    def to_bytes(self) -> bytes:
        return str(self.total).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Total":
        return cls(int(data))


class TwoTotals(Composite):
    def __init__(self, *, second: bool = True) -> None:
        self.first = Accumulated(Total(), Total.update)
        self.second = Accumulated(Total(), Total.update) if second else None
        super().__init__(first=self.first, second=self.second)


def block(*values: int) -> Block:
    return Block((), pa.record_batch({"a": list(values)}))


def test_parts_of_a_measure_are_filled_and_merged_alike() -> None:
    whole, merged = TwoTotals(), TwoTotals()
    whole.add(block(1, 2))
    whole.add(block(3))
    for values in ((3,), (1, 2)):
        part = TwoTotals()
        part.add(block(*values))
        merged.merge_bytes(part.to_bytes())
    assert merged.first.state.total == 6
    assert merged.to_bytes() == whole.to_bytes()


def test_a_state_that_is_alone_is_not_written_again() -> None:
    one = Accumulated(Total(), Total.update)
    one.merge_bytes(b"07")
    assert one.to_bytes() == b"07"
    one.merge_bytes(b"0")
    assert one.to_bytes() == b"7"
    for is_merged in (True, False):
        one = Accumulated(Total(), Total.update)
        if is_merged:
            one.merge_bytes(b"02")
        else:
            one.add(block(2))
        one.add(block(3))
        assert one.to_bytes() == b"5"
        one.merge_bytes(b"4")
        assert one.to_bytes() == b"9"


def test_a_part_that_is_not_asked_for_is_absent() -> None:
    single, both = TwoTotals(second=False), TwoTotals()
    single.add(block(5))
    both.merge_bytes(single.to_bytes())
    assert both.second is not None
    assert (both.first.state.total, both.second.state.total) == (5, 0)


class Blocks:
    """See `sparsewatch.transforms.window.measure.BlockParts`: the part holds what the blocks hold."""

    def __init__(self) -> None:
        self.blocks: list[int] = []

    def add(self, block: Block) -> None:
        self.blocks += block.rows["a"].to_pylist()

    def parts(self) -> list[bytes]:
        return [bytes(self.blocks)]


def window(number: int) -> IntervalWindow:
    return IntervalWindow(10 * number, 10 * number + 10)


def given_out(values: Iterator[WindowedValue]) -> list[tuple[IntervalWindow, bytes]]:
    found = []
    for value in values:
        job, part = value.value
        [of] = value.windows
        assert (job, value.timestamp) == ("j", of.max_timestamp())
        found.append((of, part))
    return found


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 12)), max_size=40))
def test_windows_at_rest_are_given_out_and_every_block_is_in_one_part(blocks: Sequence[tuple[int, int]]) -> None:
    opened: OpenWindows[Blocks] = OpenWindows("j", Blocks)
    found = []
    with patch.object(measure, "RESTING_CELLS", 20):
        for i, (number, cells) in enumerate(blocks):
            opened.of(window(number), cells).add(block(i))
            found += given_out(opened.at_rest())
            # The slow way: cells of the last block of each window and of all since.
            last = {own: at for at, (own, _) in enumerate(blocks[: i + 1])}
            resting = {own for own, at in last.items() if sum(own_cells for _, own_cells in blocks[at : i + 1]) > 20}
            waiting = Counter(own for own, _ in blocks[: i + 1]) - Counter(
                {n: sum(len(part) for of, part in found if of == window(n)) for n in range(6)}
            )
            assert set(waiting) == set(last) - resting
        found += given_out(opened.end())
    assert not list(opened.end())
    assert sorted(i for _, part in found for i in part) == list(range(len(blocks)))
    assert all(of == window(blocks[i][0]) for of, part in found for i in part)


def test_parts_are_let_go_as_they_are_given() -> None:
    opened: OpenWindows[Blocks] = OpenWindows("j", Blocks)
    alive = [weakref.ref(opened.of(window(number))) for number in range(3)]
    for at, _ in enumerate(opened.end()):
        assert [one() is not None for one in alive] == [at <= number for number in range(3)]
    assert [one() for one in alive] == [None] * 3


#: The last is what a measure of clicks was before it was a composite.
@pytest.mark.parametrize("data", [b"", b"no", msgspec.msgpack.encode([b"counts", b"scores", None])])
def test_bytes_of_other_measures_are_refused(data: bytes) -> None:
    with pytest.raises(StateError, match="expected the parts of a measure"):
        TwoTotals().merge_bytes(data)


def test_conclusions_add_up_in_order() -> None:
    record = Record("t", b"k", b"v")
    counts = Conclusion(rows=3, summary={"a": 1}, findings=[FINDING], metrics=[WINDOW_ROWS.sample(1)])
    more = Conclusion(summary={"b": 2}, metrics=[WINDOW_ALERTS.sample(2)], pane=b"pane", records=(record,))
    whole = counts + more
    assert (whole.rows, list(whole.summary.items()), whole.findings) == (3, [("a", 1), ("b", 2)], [FINDING])
    assert [sample.value for sample in whole.metrics] == [1, 2]
    assert (whole.pane, list(whole.records)) == (b"pane", [record])
    assert (whole + Conclusion()).pane == b"pane"


class Numbers(PaneState, frozen=True, array_like=True, kw_only=True):
    stored: ClassVar[Format] = Format("numbers")

    number: int


def test_panes_of_another_length_or_layout_are_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    good = [Pane(start, start + 10, Numbers(number=start).to_bytes(), learned=True) for start in (0, 10)]
    other = Pane(20, 30, b"nonsense", learned=True)
    longer = Pane(30, 50, Numbers(number=7).to_bytes(), learned=True)
    with caplog.at_level(logging.WARNING):
        found = decode_panes([*good, other, longer], Numbers, 10)
    assert [(pane.start_us, state.number) for pane, state in found] == [(0, 0), (10, 10)]
    [warning] = caplog.records
    assert "the window at 20 us is left out" in warning.getMessage()
    assert "expected numbers, got 8 other bytes" in warning.getMessage()
    assert len(decode_panes([*good, longer], Numbers)) == 3
