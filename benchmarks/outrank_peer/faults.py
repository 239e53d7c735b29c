"""The public tool's faults, each shown on the tool now, and ours on the same data.

A result for each fault: its value is ours, the peer's value the tool's. `met` is true where ours is as it should be.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.harness import Result, seconds
from benchmarks.outrank_peer.environment import ask_peer, run_peer
from benchmarks.outrank_peer.figures import fault
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.outrank.column_report import ColumnReport, report_columns
from sparsewatch.detectors.outrank.columns.codes import combine, encode
from sparsewatch.detectors.outrank.columns.noise_controls import noise_controls
from sparsewatch.detectors.outrank.information.shifted_mi import shifted_mutual_information, stratified_rows
from sparsewatch.detectors.outrank.ranking import rank_codes

_KERNEL, _FAULTS = "outrank_kernel.py", "outrank_faults.py"
_DISTINCT = 9_000_000
_BLOCK_ROWS = 1 << 18

Column = NDArray[np.int32]
Answer = TypeVar("Answer")


def bench_faults() -> Iterator[Result]:
    """`fault_<name>` each."""
    for check in (order, stratified, missing, distinct, rare, controls, wait, interaction):
        yield check()


def order() -> Result:
    """A feature that copies the label, with rows in random order and sorted by label."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 10_000).astype(np.int32)
    feature = (2 * label + rng.integers(0, 2, label.size)).astype(np.int32)
    by_label = np.argsort(label, kind="stable")
    tables = [(feature, label), (feature[by_label], label[by_label])]
    public = [_with_files(*table, lambda folder: ask_peer(_KERNEL, "percent", folder, 100)[0]) for table in tables]
    ours = [rank_codes({"x": encode(x)}, encode(y))[0].score for x, y in tables]
    return fault(
        "row_order",
        "nats lost when sorted by label",
        ours=ours[0] - ours[1],
        public=public[0] - public[1],
        gone=abs(ours[0] - ours[1]) < 1e-12,
        note=f"A copy of the label, 10,000 rows. Public {public[0]:.3f} and {public[1]:.3f}, ours {ours[0]:.3f} twice.",
    )


def stratified() -> Result:
    """Stratified sampling of a label with 1 % positives."""
    rng = np.random.default_rng(0)
    label = np.repeat(np.array([0, 1], np.int32), [990, 10])
    features = rng.integers(0, 10, (30, label.size)).astype(np.int32)
    done = _with_files(features, label, lambda folder: run_peer(_KERNEL, "percent", folder, 50))
    sampled = stratified_rows(encode(label), 0.5, 0)
    scores = [shifted_mutual_information(encode(x[sampled]), encode(label[sampled])) for x in features]
    finite = int(np.isfinite(scores).sum())
    return fault(
        "stratified_sampling",
        "scores of 30 features",
        ours=finite,
        public=len(_answer(done) or []),
        gone=finite == len(features),
        note="990 rows of label 0 and 10 of label 1, half of them sampled. The public tool ended with "
        f"{done.returncode} (-11 is a segmentation fault).",
    )


def missing() -> Result:
    """Coverage of a column without a value in a fifth of its rows."""
    public = ask_peer(_FAULTS, "coverage", 80, 20)
    report = _counted([pa.array(["a"] * 80 + [None] * 20)])
    covered = 100 * (1 - report.null_share)
    return fault(
        "missing_values", "% coverage", ours=covered, public=public, gone=covered == 80, note="20 of 100 rows are None."
    )


def distinct() -> Result:
    """Distinct values of a column with many."""
    public = ask_peer(_FAULTS, "distinct", _DISTINCT)
    starts = range(0, _DISTINCT, _BLOCK_ROWS)
    report = _counted([pa.array(np.arange(i, min(i + _BLOCK_ROWS, _DISTINCT))) for i in starts])
    return fault(
        "distinct_values",
        "distinct values counted",
        ours=report.cardinality,
        public=public,
        gone=abs(report.cardinality / _DISTINCT - 1) < 0.02,
        note=f"{_DISTINCT:,} there are; right within 2 %.",
    )


def rare() -> Result:
    """Values in a single row, over two batches."""
    public = ask_peer(_FAULTS, "rare", "aaab", "ac")
    report = _counted([pa.array(list("aaab")), pa.array(list("ac"))])
    return fault(
        "rare_values",
        "values called rare",
        ours=report.rare.values,
        public=len(public),
        gone=report.rare.values == 2,
        note="Batches `aaab` and `ac`: b and c have one row, a has four, of which the public tool forgot three.",
    )


def controls() -> Result:
    """Noise controls of a table."""
    done = run_peer(_FAULTS, "controls", 2_000)
    made = noise_controls(pa.table({"x": ["a"] * 2_000, "label": [0] * 2_000}), "label", np.random.default_rng(0))
    errors = done.stderr.decode().strip().splitlines()
    return fault(
        "noise_controls",
        "controls made",
        ours=made.num_columns,
        public=_answer(done) or 0,
        gone=made.num_columns == 11,
        note=f"The public tool ended with {done.returncode}{': ' + errors[-1] if done.returncode else ''}.",
    )


def wait() -> Result:
    """Seconds for one batch of a feature and a label."""
    rng = np.random.default_rng(0)
    feature, label = (rng.integers(0, k, 16_384).astype(np.int32) for k in (100, 2))
    public = _with_files(feature, label, lambda folder: ask_peer(_FAULTS, "batch", folder))
    text = feature.astype(str)
    ours = seconds(lambda: rank_codes({"x": encode(text)}, encode(label)))
    return fault(
        "wait",
        "s a batch",
        ours=ours,
        public=public,
        gone=ours < 0.1,
        note="16,384 rows, one feature of 100 values; the public tool looks every 4 s whether its workers are done.",
    )


def interaction() -> Result:
    """Values of an interaction whose texts run together."""
    public = ask_peer(_FAULTS, "interaction", "1:12", "11:2")
    ours = combine([encode(["1", "11"]), encode(["12", "2"])]).n_values
    return fault(
        "interaction", "distinct values", ours=ours, public=public, gone=ours == 2, note="Rows (1, 12) and (11, 2)."
    )


def _answer(done: CompletedProcess[bytes]) -> Any:
    """The last output of a script of the peer; None if it failed."""
    return None if done.returncode else msgspec.json.decode(done.stdout.splitlines()[-1])


def _with_files(features: Column, label: Column, ask: Callable[[str], Answer]) -> Answer:
    with tempfile.TemporaryDirectory(prefix="sparsewatch-bench-") as folder:
        np.save(Path(folder, "features.npy"), np.atleast_2d(features))
        np.save(Path(folder, "label.npy"), label)
        return ask(folder)


def _counted(blocks: list[pa.Array]) -> ColumnReport:
    """Report of a column, counted a block at a time."""
    counts = FeatureCounts(["x"], "label")
    for block in blocks:
        counts.update(pa.record_batch({"x": block, "label": np.zeros(len(block), np.int64)}))
    return report_columns(counts)[0]
