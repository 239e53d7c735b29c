"""A feature against a binary label: the public kernel and our score, from the same integer codes of the rows.

Timed on each side is what turns two columns of codes into a score: the public kernel, compiled and warm, in a process
of its own; and `rank_codes`, which gives a p-value, a standard error and the cardinality besides.
"""

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.harness import Result, interleave, seconds
from benchmarks.outrank_peer.environment import ask_peer
from benchmarks.outrank_peer.figures import faster
from sparsewatch.detectors.outrank.columns.codes import Codes, encode
from sparsewatch.detectors.outrank.ranking import rank_codes

ROWS = 100_000
CARDINALITIES = (10_000, 50_000)
POSITIVE = 0.2
TARGET = 100.0
_CALLS = {"peer": 3, "ours": 11}


def bench_kernels(rounds: int) -> Iterator[Result]:
    """`kernel_10k` and `kernel_50k`, values equally frequent; the same with the frequencies of words."""
    for cardinality in CARDINALITIES:
        name = f"kernel_{cardinality // 1000}k"
        yield from compare(name, noise_columns(cardinality, long_tail=False), rounds, TARGET)
        yield from compare(f"{name}_long_tail", noise_columns(cardinality, long_tail=True), rounds, None)


def noise_columns(cardinality: int, *, long_tail: bool) -> tuple[Codes, Codes]:
    """A feature of up to that many values, and a label that is independent of it.

    Args:
        cardinality: Values to draw from; the rows hold most of them.
        long_tail: The k-th most frequent value occurs in proportion to 1 / k, else all alike.
    """
    rng = np.random.default_rng(cardinality)
    shares = 1 / np.arange(1, cardinality + 1) if long_tail else np.ones(cardinality)
    values = rng.choice(cardinality, ROWS, p=shares / shares.sum())
    return encode(values), encode((rng.random(ROWS) < POSITIVE).astype(np.int64))


def compare(name: str, columns: tuple[Codes, Codes], rounds: int, target: float | None) -> list[Result]:
    """Both sides in turn, on the same codes."""
    feature, label = columns
    ours = {"feature": feature}
    with tempfile.TemporaryDirectory(prefix="sparsewatch-bench-") as folder:
        np.save(Path(folder, "features.npy"), feature.codes[None])
        np.save(Path(folder, "label.npy"), label.codes)
        ours_s, peer_s = interleave(
            [
                lambda: statistics.median(seconds(lambda: rank_codes(ours, label)) for _ in range(_CALLS["ours"])),
                lambda: float(ask_peer("outrank_kernel.py", "seconds", folder, _CALLS["peer"])[0]),
            ],
            rounds,
        )
    note = f"{ROWS:,} rows, {feature.n_values:,} values, {POSITIVE:.0%} positive; both from integer codes."
    return faster(name, ours_s, peer_s, target=target, note=note)
