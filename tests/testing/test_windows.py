"""A window without Beam: each batch measured apart, and the promises of a conclusion checked."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest

from sparsewatch.schemas.block import EVENT_TIME_US, META, OFFSET, Block
from sparsewatch.testing import run_window
from sparsewatch.transforms.window.measure import Conclusion, Window


class Offsets:
    """Notes where rows came from."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def add(self, block: Block) -> None:
        assert block.rows.schema.names[-len(META) :] == [field.name for field in META]
        self.seen += zip(block.rows[OFFSET].to_pylist(), block.rows[EVENT_TIME_US].to_pylist(), strict=True)

    def to_bytes(self) -> bytes:
        return repr(self.seen).encode()


class Say:
    """Says what it was given."""

    results_per_row = False

    def __init__(self, rows: int, summary: dict[str, Any] | None = None) -> None:
        self.rows = rows
        self.summary = summary

    def __call__(self, window: Window, measures: Sequence[bytes]) -> Conclusion:
        said = {"window": [window.start_us, window.end_us], "measures": [m.decode() for m in measures]}
        return Conclusion(self.rows, said if self.summary is None else self.summary, [], [])


BATCHES = [pa.RecordBatch.from_pydict({"x": [1, 2]}), pa.RecordBatch.from_pydict({"x": [3]})]


def test_each_batch_is_a_measure_of_its_own() -> None:
    said = run_window(Offsets, Say(3), BATCHES, Window(7, 9)).summary
    assert said == {"window": [7, 9], "measures": ["[(0, 7), (1, 7)]", "[(2, 7)]"]}


def test_columns_of_ours_that_are_there_stay() -> None:
    timed = BATCHES[0].append_column(META[3], pa.array([70, 80], pa.int64()))
    batch = timed.select(["x", EVENT_TIME_US]).append_column(META[0], pa.array([0, 0], pa.int32()))
    seen = []

    class Times(Offsets):
        def add(self, block: Block) -> None:
            seen.extend(block.rows[EVENT_TIME_US].to_pylist())

    run_window(Times, Say(2), [batch])
    assert seen == [70, 80]


def test_a_conclusion_of_other_rows_than_were_measured_is_no_conclusion() -> None:
    with pytest.raises(AssertionError, match="of the 3 rows that were measured, got 2"):
        run_window(Offsets, Say(2), BATCHES)


def test_a_summary_that_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError):
        run_window(Offsets, Say(3, {"x": object()}), BATCHES)


@pytest.mark.parametrize("key", ["job", "window_start_us", "window_end_us", "rows", "complete", "alerts"])
def test_a_summary_does_not_replace_what_every_record_holds(key: str) -> None:
    with pytest.raises(ValueError, match=rf"summary: .* a window's record does not have already, got \['{key}'\]"):
        run_window(Offsets, Say(3, {key: 0}), BATCHES)


def test_a_window_without_rows_is_concluded() -> None:
    assert run_window(Offsets, Say(0), []).rows == 0
