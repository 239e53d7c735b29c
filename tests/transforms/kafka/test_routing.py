"""A decoded batch to blocks: each window has its rows, in order, and holds no more than them in memory."""

import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.schemas.block import Block, Span
from sparsewatch.transforms.codecs.arrow import encode_arrow
from sparsewatch.transforms.codecs.decode import Decoded, decode
from sparsewatch.transforms.codecs.events import EventSchema
from sparsewatch.transforms.coders import decode_block, encode_block
from sparsewatch.transforms.kafka.resume import start_state
from sparsewatch.transforms.kafka.routing import route
from sparsewatch.transforms.kafka.stream_clock import WindowRules
from sparsewatch.transforms.records import Fetched

COLUMNS = pa.schema([("t", pa.int64()), ("site", pa.string()), ("x", pa.float64()), ("clicked", pa.bool_())])
SCHEMA = EventSchema(
    columns=COLUMNS,
    time_column="t",
    time_format="epoch_ms",
    required=(),
    label=None,
    max_ahead_us=3_600_000_000,
    max_record_bytes=4_000_000,
    default_format="arrow",
    lenient=frozenset({"x"}),
)
MINUTE_MS, NOW_MS = 60_000, 1_700_000_040_000
RULES = WindowRules(length_us=60_000_000, disorder_us=600_000_000)


def table(times: np.ndarray, wrong_every: int = 7) -> pa.Table:
    """Events with nulls, and with values of `x` that do not fit."""
    at = np.arange(len(times))
    x = np.where(at % wrong_every == 1, np.nan, at / 2)
    return pa.table(
        {
            "t": times,
            "site": pa.array([None if i % 5 == 0 else "s" * (i % 11) for i in at.tolist()], pa.string()),
            "x": pa.array(x, mask=at % 3 == 0),
            "clicked": pa.array(at % 2 == 0, mask=at % 4 == 3),
        }
    )


def decoded(runs: list[list[np.ndarray]]) -> Decoded:
    """The batch of a run of records for each partition, each of the events at these times."""
    return decode(
        "clicks",
        [
            Fetched(p, range(len(run)), [NOW_MS] * len(run), [encode_arrow(table(t)) for t in run], (), bytes, len(run))
            for p, run in enumerate(runs)
        ],
        SCHEMA,
    )


def blocks_of(batch: Decoded) -> list[tuple[int, Block]]:
    partitions = tuple(range(len(batch.fetched)))
    state = start_state(None, partitions, dict.fromkeys(partitions, 0), 0)
    return route(batch, state, RULES, {run.partition: run.next_offset for run in batch.fetched})[1].blocks


def steps(draw: st.DrawFn) -> list[np.ndarray]:
    """Event times of the records of a partition: rising, some of them running back into the window before."""
    now, found = NOW_MS + draw(st.integers(-MINUTE_MS, MINUTE_MS)), []
    for _ in range(draw(st.integers(0, 4))):
        times = now + np.arange(draw(st.sampled_from([1, 5, 300, 500]))) * draw(st.sampled_from([1, 50, 130]))
        times[:: draw(st.sampled_from([3, 1_000, 1_000]))] -= draw(st.sampled_from([0, 0, MINUTE_MS // 2]))
        found.append(times)
        now = int(times.max())
    return found


@settings(max_examples=100)
@given(st.data())
def test_each_window_has_its_rows_in_order(data: st.DataObject) -> None:
    batch = decoded([data.draw(st.composite(steps)()) for _ in range(data.draw(st.integers(1, 3)))])
    rows = batch.rows.to_pylist()
    wrong = {(name, int(row)) for name, column in batch.wrong.items() for row in column.rows}
    expected: dict[int, list[int]] = {}
    for at, row in enumerate(rows):
        expected.setdefault(row["t"] // MINUTE_MS * MINUTE_MS * 1_000, []).append(at)
    found = blocks_of(batch)
    assert [window for window, _ in found] == sorted(expected)
    for window, block in found:
        mine = [rows[at] for at in expected[window]]
        assert block.rows.to_pylist() == mine
        spans = []
        for partition, own in itertools.groupby(mine, key=lambda row: row["_partition"]):
            offsets = [row["_offset"] for row in own]
            spans.append(Span("clicks", partition, offsets[0], offsets[-1] + 1))
        assert block.spans == tuple(spans)
        mistyped = sum(("x", at) in wrong for at in expected[window])
        assert sum(column.cells for column in block.mistyped.columns.values()) == mistyped
        block.rows.validate(full=True)
        assert decode_block(encode_block(block)) == block


@pytest.mark.parametrize("other", [[], [np.full(2_000, NOW_MS), np.full(2_000, NOW_MS + MINUTE_MS)]])
def test_a_small_part_of_a_batch_does_not_hold_the_whole(other: list[Any]) -> None:
    times = NOW_MS + np.repeat(np.arange(3) * MINUTE_MS, (400, 600, 3_000))
    batch = decoded([[times], other])
    for _, block in blocks_of(batch):
        least = block.rows.nbytes
        assert block.rows.get_total_buffer_size() <= 2 * least + 4_096
        assert len(encode_block(block)) <= least + 8_192
