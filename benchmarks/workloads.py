"""Streams that benchmarks share, made from a seed: clicks shaped like public display-advertising logs, and wafers."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl
import pyarrow as pa

from sparsewatch.detectors.wafers.drawn import PATTERNS, make_wafers

#: Distinct values of the 13 integer and the 26 text features, long-tailed as in click logs.
INTEGERS = (3, 10, 25, 50, 100, 200, 400, 800, 1_500, 3_000, 6_000, 12_000, 25_000)
TEXTS = (
    *(2, 3, 4, 7, 10, 15, 25, 40, 75, 120, 200, 300, 500, 700, 1_000, 1_500, 2_200, 3_300),
    *(5_000, 8_000, 12_000, 18_000, 28_000, 45_000, 70_000, 100_000),
)
#: Type and number of distinct values of each feature.
SHAPES = {f"I{i}": ("int", distinct) for i, distinct in enumerate(INTEGERS, 1)} | {
    f"C{i}": ("str", distinct) for i, distinct in enumerate(TEXTS, 1)
}
FEATURES = {name: kind for name, (kind, _) in SHAPES.items()}
LABEL = "click"
TIME = "t"
_START_MS = 1_700_000_000_000
_NULLS = 0.1


def click_table(
    rows: int,
    seed: int,
    *,
    rows_per_second: float,
    first_row: int = 0,
    shapes: Mapping[str, tuple[str, int]] = SHAPES,
) -> pa.Table:
    """Clicks with their features, a label and event times in milliseconds that rise steadily.

    Args:
        rows: Number of rows.
        seed: Of everything drawn.
        rows_per_second: Rows in a second of event time.
        first_row: Rows that came before: moves the event times on.
        shapes: Of the features, see `SHAPES`.
    """
    rng = np.random.default_rng(seed)
    columns: dict[str, pa.Array] = {
        TIME: pa.array(_START_MS + ((first_row + np.arange(rows)) * (1000 / rows_per_second)).astype(np.int64))
    }
    for name, (kind, distinct) in shapes.items():
        ranks = _ranks(rng, rows, distinct)
        nulls = rng.random(rows) < _NULLS if distinct > 10 else None
        if kind == "int":
            columns[name] = pa.array(ranks, mask=nulls)
        else:
            # An odd factor makes the ranks' words distinct.
            words = pa.array([f"{rank * 0x9E377 & 0xFFFFF:05x}" for rank in range(distinct)])
            columns[name] = words.take(pa.array(ranks, mask=nulls))
    columns[LABEL] = pa.array((rng.random(rows) < 0.1).astype(np.int64))
    return pa.table(columns)


def _ranks(rng: np.random.Generator, rows: int, distinct: int) -> np.ndarray:
    """Ranks below `distinct`, density falling as 1 over the rank."""
    ranks = np.expm1(rng.random(rows) * np.log1p(distinct)).astype(np.int64)
    capped: np.ndarray = np.minimum(ranks, distinct - 1)
    return capped


def json_records(table: pa.Table) -> list[bytes]:
    """A JSON object for each row."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame.write_ndjson().encode().splitlines()


def arrow_records(table: pa.Table, seed: int, smallest: int = 1_024, largest: int = 4_096) -> Iterator[bytes]:
    """The table as Arrow IPC streams of `smallest` to `largest` rows each."""
    rng = np.random.default_rng(seed)
    start = 0
    while start < table.num_rows:
        rows = int(rng.integers(smallest, largest + 1))
        sink = pa.BufferOutputStream()
        piece = table.slice(start, rows).combine_chunks()
        with pa.ipc.new_stream(sink, piece.schema) as stream:
            stream.write_table(piece)
        yield sink.getvalue().to_pybytes()
        start += rows


def wafer_labels(wafers: int, seed: int) -> list[str]:
    """A pattern for each wafer, all as frequent."""
    names = np.array(sorted(PATTERNS))
    return [str(name) for name in np.random.default_rng(seed).choice(names, wafers)]


def wafer_table(labels: Sequence[str], seed: int, *, defects: int, wafers_per_second: float) -> pa.Table:
    """Wafers with these patterns as lists of points, and event times in milliseconds."""
    rows = make_wafers(labels, np.random.default_rng(seed), defects=defects)
    times = _START_MS + (np.arange(len(labels)) * (1000 / wafers_per_second)).astype(np.int64)
    return pa.Table.from_batches([rows]).append_column(TIME, pa.array(times))
