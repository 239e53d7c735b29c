"""A window measured and concluded in this process: for tests of a `Measure` and a `Conclude`, without Beam."""

from collections.abc import Callable, Iterable

import msgspec
import pyarrow as pa

from sparsewatch.schemas.block import EVENT_TIME_US, META, OFFSET, Block, Span
from sparsewatch.transforms.window.measure import Conclude, Conclusion, Measure, Window

_MINUTE_US = 60_000_000


def run_window(
    measure: Callable[[], Measure],
    conclude: Conclude,
    batches: Iterable[pa.RecordBatch],
    window: Window | None = None,
) -> Conclusion:
    """Measure record batches as the rows of one window, and conclude it.

    Each batch is measured by itself, as by a worker of its own, and leaves as bytes: what `conclude` gets has to be
    merged. What every window's closing relies on is checked.

    Args:
        measure: Makes an empty measure.
        conclude: Merges measures and decides.
        batches: Rows of the window, with the job's columns. Those of `sparsewatch.schemas.block.META` are added where
            they are missing: one partition, offsets in order, event times at the start of the window.
        window: Its times; the first minute of 1970 if absent.

    Raises:
        AssertionError: If the conclusion holds another number of rows than were measured: such a window is not
            committed.
        TypeError: If its summary is no JSON.
    """
    window = window or Window(0, _MINUTE_US)
    measures, rows = [], 0
    for batch in batches:
        partial = measure()
        partial.add(_block(batch, rows, window))
        measures.append(partial.to_bytes())
        rows += batch.num_rows
    conclusion = conclude(window, measures)
    if conclusion.rows != rows:
        raise AssertionError(f"expected a conclusion of the {rows} rows that were measured, got {conclusion.rows}")
    msgspec.json.encode(conclusion.summary)
    return conclusion


def _block(batch: pa.RecordBatch, first: int, window: Window) -> Block:
    """A batch as the source gives it: with the columns that state where each row came from."""
    n = batch.num_rows
    made = {OFFSET: range(first, first + n), EVENT_TIME_US: [window.start_us] * n}
    for field in META:
        if field.name not in batch.schema.names:
            batch = batch.append_column(field, pa.array(made.get(field.name, [0] * n), field.type))
    return Block((Span("test", 0, first, first + n),), batch)
