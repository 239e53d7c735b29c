"""What resolution is worth: lists of defects whose patterns differ within a bin of a coarse map.

`FINE_PATTERNS` and normal wafers, the sparse network at each side and the dense CNN of `dense_cnn` on binned maps, as
much CPU time for every dense network as the slowest sparse network of the seed took; then the CPU time a wafer by side.
Both train without jitter, whose default standard deviation (0.0001 radii) is as wide as the finest structures. Ten
minutes on one core. Hide a GPU (`CUDA_VISIBLE_DEVICES=`): the budget counts CPU time.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score

from benchmarks.dense_cnn import encode_dense, train_dense
from benchmarks.harness import Result, Rounds, interleave, rate, write_results
from sparsewatch.detectors.sparse_net.augment import AugmentConfig
from sparsewatch.detectors.sparse_net.encode import encode
from sparsewatch.detectors.sparse_net.net import NetConfig, WaferNet
from sparsewatch.detectors.sparse_net.points import read_points
from sparsewatch.detectors.sparse_net.scores import macro_f1
from sparsewatch.detectors.sparse_net.train import Labelled, TrainConfig, train_net
from sparsewatch.detectors.torch_threads import torch_threads
from sparsewatch.detectors.wafers.drawn import FINE_PATTERNS, make_wafers

CLASSES = ("normal", *FINE_PATTERNS)
DEFECTS = (300, 600)
#: Most that the time a wafer may grow from the coarsest side to any other.
CONSTANT = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """How much to measure."""

    #: Cells a side of the sparse network, bins a side of the dense network.
    sides: Sequence[int] = (1_024, 4_096, 16_384, 20_480)
    bins: Sequence[int] = (64, 128, 256)
    seeds: Sequence[int] = (0, 1)
    #: Wafers of each class for training, validation and test.
    wafers: tuple[int, int, int] = (100, 25, 100)
    epochs: int = 15
    #: The finest maps once more with so many times the budget, as an epoch of theirs takes half of it.
    longer: int = 5
    rounds: int = 7


@dataclass(frozen=True, slots=True)
class Quality:
    """On the test wafers."""

    balanced_accuracy: float
    macro_f1: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Networks of a seed by the cells or bins of their input; `longer` is the finest maps with more time."""

    sparse: dict[int, Quality]
    dense: dict[int, Quality]
    longer: Quality
    nets: dict[int, WaferNet]
    #: CPU seconds that each dense network had.
    budget: float


def bench_resolution(study: Study, say: Callable[[str], None] = print) -> list[Result]:
    """All results; `say` is called with a line for each network."""
    seeds = [measure(study, seed, say) for seed in study.seeds]
    times = time_by_side(study, seeds[0].nets)
    return [*_qualities(study, seeds), *_times(times)]


def measure(study: Study, seed: int, say: Callable[[str], None]) -> Measured:
    """Train and judge the networks of one seed."""
    rng = np.random.default_rng(seed)
    train, validation, test = (fine_wafers(number, rng) for number in study.wafers)
    config = TrainConfig(
        epochs=study.epochs,
        patience=study.epochs,
        seed=seed,
        outliers=0.0,
        augment=AugmentConfig(jitter=0.0),
    )
    sparse, nets, took = {}, {}, []
    for side in study.sides:
        started = time.process_time()
        nets[side] = train_net(NetConfig.for_grid(side, len(CLASSES)), config, train, validation, side)
        took.append(time.process_time() - started)
        sparse[side] = _quality(test, encode(nets[side], test.points, side).logits)
        say(f"seed {seed}: sparse, {side} cells a side: {sparse[side]} after {took[-1]:.1f} CPU seconds")

    def judge_dense(bins: int, budget: float) -> Quality:
        net = train_dense(train, validation, len(CLASSES), cpu_seconds=budget, side=bins, seed=seed, config=config)
        quality = _quality(test, encode_dense(net, test.points).logits)
        say(f"seed {seed}: dense, {bins} bins a side: {quality} after {budget:.1f} CPU seconds")
        return quality

    budget = max(took)
    dense = {bins: judge_dense(bins, budget) for bins in study.bins}
    return Measured(sparse, dense, judge_dense(max(study.bins), study.longer * budget), nets, budget)


def fine_wafers(number: int, rng: np.random.Generator) -> Labelled:
    """A number of wafers of each of `CLASSES`."""
    labels = np.tile(np.arange(len(CLASSES)), number)
    rows = make_wafers([CLASSES[label] for label in labels.tolist()], rng, defects=DEFECTS)
    return Labelled(read_points(rows), labels)


def time_by_side(study: Study, nets: dict[int, WaferNet]) -> dict[int, Rounds]:
    """CPU milliseconds a wafer, the same wafers at every side; sides take turns."""
    points = fine_wafers(study.wafers[2], np.random.default_rng(len(study.seeds))).points

    def cost(side: int) -> float:
        started = time.process_time()
        encode(nets[side], points, side)
        return 1_000 * (time.process_time() - started) / len(points)

    with torch_threads(1):
        for side in study.sides:
            cost(side)
        taken = interleave([partial(cost, side) for side in study.sides], study.rounds)
    return dict(zip(study.sides, taken, strict=True))


def _quality(test: Labelled, logits: NDArray[np.float32]) -> Quality:
    predicted = logits.argmax(axis=1)
    return Quality(float(balanced_accuracy_score(test.labels, predicted)), macro_f1(test.labels, logits))


def _qualities(study: Study, seeds: Sequence[Measured]) -> list[Result]:
    """Each side beside the best of the dense networks; then each of those."""
    results = []
    for name in ("balanced_accuracy", "macro_f1"):
        dense = {bins: Rounds([getattr(seed.dense[bins], name) for seed in seeds]) for bins in study.bins}
        best = max(dense, key=lambda bins: dense[bins].median)
        peer, other = f"dense CNN, {best} bins", dense[best]
        for side in study.sides:
            ours = Rounds([getattr(seed.sparse[side], name) for seed in seeds])
            results.append(rate(f"{name}_{side}", ours, name, peer=peer, peer_value=other, target=other.median))
        note = f"{min(seed.budget for seed in seeds):.0f} to {max(seed.budget for seed in seeds):.0f} CPU seconds"
        results += [rate(f"dense_{name}_{bins}", dense[bins], name, note=note) for bins in study.bins]
        longer = Rounds([getattr(seed.longer, name) for seed in seeds])
        note = f"{study.longer} times the others' CPU seconds"
        results.append(rate(f"dense_longer_{name}_{max(study.bins)}", longer, name, note=note))
    return results


def _times(times: dict[int, Rounds]) -> list[Result]:
    slowest, first = max(times.values(), key=lambda rounds: rounds.median), times[min(times)]
    results = [
        rate(f"wafers_per_cpu_second_{side}", Rounds([1_000 / value for value in rounds.values]), "wafers/s")
        for side, rounds in times.items()
    ]
    constancy = first.median / slowest.median
    note = "time a wafer at the coarsest side over that at the slowest; levels grow with the logarithm of the side"
    return [*results, rate("time_constancy", constancy, "ratio", target=1 / CONSTANT, note=note)]


if __name__ == "__main__":
    write_results("wafer_resolution", bench_resolution(Study()))
