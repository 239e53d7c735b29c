"""A thousand features, fifty of a million distinct values, three million rows: memory, rate, error against the truth.

Every value follows from its row and feature by a hash, so a block costs no memory but its own and any column can be
made again alone. A process of its own counts the stream block by block and ranks the features; the peak is that of the
whole process, imports included. This process then counts each large feature exactly and compares the scores.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from benchmarks.harness import Result, rate, write_results
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.row_sample import row_identities
from sparsewatch.detectors.outrank.information.mutual_information import mutual_information, permutation_moments
from sparsewatch.detectors.outrank.ranking import RankedFeature, rank_features

ROWS = 3_000_000
BLOCK_ROWS = 8_192
FEATURES = 1_000
LARGE = 50
#: Values a large feature draws from; about as many rows as two a value, so a million and more occur.
LARGE_VALUES = 1_300_000
#: Share of the rows of every other large feature that have one of its first values, the lower the more often.
HEAD_SHARE, HEAD = 0.4, 2_000
#: Distinct values of the other features, by position.
SMALL_VALUES = (2, 5, 12, 40, 150, 600, 2_000)
PEAK_GB = 1.0
LABEL = "click"


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """Results of the counting process."""

    peak_gb: float
    #: Of imports alone.
    start_gb: float
    #: Spent in counting, without making the rows.
    counting_seconds: float
    ranking_seconds: float
    state_megabytes: float
    large: list[RankedFeature]


def uniform(rows: NDArray[np.int64], stream: int) -> NDArray[np.float64]:
    """A number in [0, 1) for each row; another stream gives independent numbers."""
    return (row_identities(stream, rows) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def values(rows: NDArray[np.int64], feature: int) -> NDArray[np.int64]:
    """Values of a feature; the first `LARGE` features are large, and every other of these has a long head."""
    u = uniform(rows, feature)
    if feature >= LARGE:
        return (u * SMALL_VALUES[feature % len(SMALL_VALUES)]).astype(np.int64)
    if feature % 2 == 0:
        return (u * LARGE_VALUES).astype(np.int64)
    # One draw gives both: which part, and where in it.
    head = np.exp(u / HEAD_SHARE * np.log(HEAD)).astype(np.int64) - 1
    rest = HEAD + ((u - HEAD_SHARE) / (1 - HEAD_SHARE) * (LARGE_VALUES * 1.2)).astype(np.int64)
    return np.where(u < HEAD_SHARE, head, rest)


def clicks(rows: NDArray[np.int64]) -> NDArray[np.int8]:
    """Labels: a tenth clicks, more or less by the values of features 0, 1, 3 and `LARGE` in a row."""
    odds = np.full(rows.size, -2.4)
    for feature, effect in ((0, 0.6), (1, 0.4), (3, 0.1), (LARGE, 0.3)):
        signs = row_identities(FEATURES + feature, values(rows, feature)) >> np.uint64(63)
        odds += effect * (2.0 * signs - 1.0)
    clicked: NDArray[np.bool_] = uniform(rows, 2 * FEATURES) < 1 / (1 + np.exp(-odds))
    return clicked.astype(np.int8)


def blocks(total: int) -> Iterator[pa.RecordBatch]:
    """The stream: features in turn integers and texts, and the label."""
    for first in range(0, total, BLOCK_ROWS):
        rows = np.arange(first, min(first + BLOCK_ROWS, total))
        columns = {_name(i): _column(rows, i) for i in range(FEATURES)}
        yield pa.record_batch({**columns, LABEL: pa.array(clicks(rows))})


def count_stream(total: int) -> Counted:
    """Count and rank the stream in this process."""
    start = _peak_gb()
    counts = FeatureCounts([_name(i) for i in range(FEATURES)], LABEL)
    spent = 0.0
    for block in blocks(total):
        before = time.perf_counter()
        counts.update(block)
        spent += time.perf_counter() - before
    before = time.perf_counter()
    ranking = rank_features(counts)
    ranked = time.perf_counter()
    size = len(counts.to_bytes())
    large = {_name(i) for i in range(LARGE)}
    return Counted(
        peak_gb=_peak_gb(),
        start_gb=start,
        counting_seconds=spent,
        ranking_seconds=ranked - before,
        state_megabytes=size / 1e6,
        large=[feature for feature in ranking if feature.feature in large],
    )


def exact_score(total: int, feature: int, labels: NDArray[np.int8]) -> tuple[float, int]:
    """Score and number of distinct values of a large feature from exact counts."""
    size = 2 * LARGE_VALUES
    rows, clicked = np.zeros(size, np.int64), np.zeros(size, np.int64)
    for first in range(0, total, 1 << 18):
        last = min(first + (1 << 18), total)
        found = values(np.arange(first, last), feature)
        rows += np.bincount(found, minlength=size)
        clicked += np.bincount(found[labels[first:last] == 1], minlength=size)
    held = rows > 0
    rows, clicked = rows[held], clicked[held]
    joint = np.stack([rows - clicked, clicked], axis=1)
    return mutual_information(joint) - permutation_moments(rows, int(clicked.sum())).mean, rows.size


def compare(total: int, counted: Counted) -> list[Result]:
    """Results, with the errors of all large features."""
    labels = np.concatenate([clicks(np.arange(i, min(i + (1 << 18), total))) for i in range(0, total, 1 << 18)])
    exact = {_name(i): exact_score(total, i, labels) for i in range(LARGE)}
    off = [abs(found.score - exact[found.feature][0]) for found in counted.large]
    worst = max(error / found.score_error for error, found in zip(off, counted.large, strict=True))
    distinct = [exact[found.feature][1] for found in counted.large]
    miscounted = max(abs(f.cardinality / d - 1) for f, d in zip(counted.large, distinct, strict=True))
    by_name = {found.feature: found for found in counted.large}
    order = sorted(exact, key=lambda name: -exact[name][0])
    for name in (*order[:4], order[-1]):
        found = by_name[name]
        print(f"{name}: exact {exact[name][0]:.6f}, found {found.score:.6f} ± {found.score_error:.6f} nats")
    shape = f"{total:,} rows, {FEATURES:,} features, {LARGE} of {min(distinct):,} to {max(distinct):,} values"
    return [
        _at_most("peak memory", counted.peak_gb, "GB", PEAK_GB, f"{shape}; {counted.start_gb:.2f} GB after imports"),
        _at_most("worst error over its bound", worst, "", 1.0, f"largest bound {_largest(counted):.4f} nats"),
        _at_most("worst error of a cardinality", 100 * miscounted, "%", 2.0, ""),
        rate("rows counted", total / counted.counting_seconds, "rows/s"),
        rate("values counted", total * FEATURES / counted.counting_seconds, "values/s"),
        Result(name="ranking", value=counted.ranking_seconds, unit="s"),
        Result(name="state as bytes", value=counted.state_megabytes, unit="MB"),
    ]


def _largest(counted: Counted) -> float:
    return max(found.score_error for found in counted.large)


def _at_most(name: str, value: float, unit: str, target: float, note: str) -> Result:
    return Result(name=name, value=value, unit=unit, target=target, met=value <= target, note=note)


def _name(feature: int) -> str:
    return f"f{feature:03d}"


def _column(rows: NDArray[np.int64], feature: int) -> pa.Array:
    found = pa.array(values(rows, feature))
    if (feature // 2) % 2:
        return pc.binary_join_element_wise("v", found.cast(pa.string()), "")
    return found


def _peak_gb() -> float:
    # Linux counts in KiB.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def main() -> None:
    """Count in a process of its own, compare, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument(
        "--count", action="store_true", help="count in this process; called by the process that compares"
    )
    arguments = parser.parse_args()
    if arguments.count:
        print(msgspec.json.encode(count_stream(arguments.rows)).decode())
        return
    command = [sys.executable, "-m", "benchmarks.wide_stream", "--count", "--rows", str(arguments.rows)]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    write_results("wide_stream", compare(arguments.rows, msgspec.json.decode(found, type=Counted)))


if __name__ == "__main__":
    main()
