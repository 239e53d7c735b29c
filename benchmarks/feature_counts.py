"""Rows counted per second over 39 features, beside polars' group-by of each; and the cost of the chance level.

The columns have the shape of click logs: 13 of integers and 26 of strings, 2 to 1,000,000 values, most of them with a
long tail. Both sides count the same blocks in turn, so that a busy machine slows both. The group-by uses all cores and
does not merge its results; our counts use two threads and do. They are made with the part in C, and once more without.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from unittest import mock

import numpy as np
import polars as pl
import pyarrow as pa

from sparsewatch.detectors.counts import distinct
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.outrank.information.mutual_information import (
    expected_mutual_information,
    permutation_moments,
)
from sparsewatch.detectors.outrank.ranking import rank_features

ROWS = 262_144
BLOCK_ROWS = 16_384
ROUNDS = 5
TARGET_ROWS_PER_SECOND = 1_200_000.0
#: Distinct values by position of the feature among those of its type.
INTEGERS = (2, 10, 100, 1_000, 10_000, 50_000, 200)
STRINGS = (3, 20, 500, 5_000, 100_000, 1_000_000)
LABEL = "click"


def click_rows(n: int, seed: int) -> pa.Table:
    """A table of 39 features and a label."""
    rng = np.random.default_rng(seed)
    columns: dict[str, object] = {}
    for i in range(13):
        values = INTEGERS[i % len(INTEGERS)]
        columns[f"i{i}"] = np.minimum(rng.zipf(1.3, n), values) if i % 2 else rng.integers(0, values, n)
    for i in range(26):
        values = STRINGS[i % len(STRINGS)]
        words = np.array([f"{word:08x}" for word in rng.integers(0, 2**32, values)])
        columns[f"s{i}"] = words[np.minimum(rng.zipf(1.2, n), values) - 1]
    columns[LABEL] = (rng.random(n) < 0.05).astype(np.int64)
    return pa.table(columns)


def measure_counting() -> dict[str, float]:
    """Median rates of interleaved rounds, rows per second of clock and of processor time, and their ratio."""
    blocks = click_rows(ROWS, 0).to_batches(max_chunksize=BLOCK_ROWS)
    features = [name for name in blocks[0].schema.names if name != LABEL]

    def count() -> FeatureCounts:
        counts = FeatureCounts(features, LABEL)
        for block in blocks:
            counts.update(block)
        counts.nulls(features[0])
        return counts

    def group() -> None:
        for block in blocks:
            rows = pl.from_arrow(block)
            assert isinstance(rows, pl.DataFrame)
            pl.collect_all([rows.lazy().group_by(name).agg(pl.len(), pl.col(LABEL).sum()) for name in features])

    ours, peers, processor, without = [], [], [], []
    for _ in range(ROUNDS):
        before = time.process_time()
        ours.append(_seconds(count))
        processor.append(time.process_time() - before)
        with mock.patch.object(distinct, "_distinct", None):
            before = time.process_time()
            count()
            without.append(time.process_time() - before)
        peers.append(_seconds(group))
    counts = count()
    return {
        "counted_rows_per_second": ROWS / statistics.median(ours),
        "counted_rows_per_processor_second": ROWS / statistics.median(processor),
        "the same without the part in C": ROWS / statistics.median(without),
        "target": TARGET_ROWS_PER_SECOND,
        "grouped_rows_per_second": ROWS / statistics.median(peers),
        "ratio": statistics.median(peers) / statistics.median(ours),
        "to_bytes_milliseconds": 1e3 * _seconds(counts.to_bytes),
        "from_bytes_milliseconds": 1e3 * _seconds(partial(FeatureCounts.from_bytes, counts.to_bytes())),
        "rank_39_features_milliseconds": 1e3 * _seconds(lambda: rank_features(counts)),
    }


def measure_chance() -> dict[str, float]:
    """Milliseconds of the chance level of one feature with a label of 20 % clicks, best of some rounds."""
    rng = np.random.default_rng(0)
    result = {}
    for rows, values in ((100_000, 10_000), (100_000, 50_000), (1_000_000, 100_000), (10_000_000, 1_000_000)):
        counts = np.bincount(rng.integers(0, values, rows))
        labels = np.array([rows - rows // 5, rows // 5])
        mean = min(_seconds(partial(expected_mutual_information, counts, labels)) for _ in range(ROUNDS))
        both = min(_seconds(partial(permutation_moments, counts, rows // 5)) for _ in range(ROUNDS))
        result[f"{rows} rows, {values} values: mean"] = 1e3 * mean
        result[f"{rows} rows, {values} values: mean and sd"] = 1e3 * both
    return result


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main() -> None:
    """Print the figures."""
    for figures in (measure_counting(), measure_chance()):
        for name, value in figures.items():
            print(f"{name:50s} {value:14,.2f}")


if __name__ == "__main__":
    main()
