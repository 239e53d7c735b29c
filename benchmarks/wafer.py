"""Open-set recognition on public wafer maps, all of it: `make bench-wafer` (folder of the data: SPARSEWATCH_DATA).

Closed set on all wafers, leave-one-class-out for every defect class with three seeds, ten random leave-three-out, a
dense CNN under the same protocol with as much CPU time, and the mixed patterns of MixedWM38. See `wafer_protocol`. Runs
are kept in `.cache/bench-wafer` by their configuration: a benchmark that was stopped goes on where it was, and one that
changed nothing trains nothing. About an hour and a half on two cores. Tables go to `docs/wafer-benchmark.md`.
"""

import hashlib
import itertools
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np

from benchmarks.harness import RESULTS, write_results
from benchmarks.wafer_protocol import CAP, CAPS, SPLIT_SEED, Run, measure
from benchmarks.wafer_tables import results_of, write_tables
from sparsewatch.detectors.open_set.novelty import NoveltyConfig
from sparsewatch.detectors.sparse_net.train import TrainConfig
from sparsewatch.pipelines.wafer_files.labelled import LabelledWafers, read_labelled_wafers

CACHE = RESULTS.parent.parent / ".cache" / "bench-wafer"
WM811K, MIXED = "wm811k_train_37348.npz", "mixedwm38_train_13686.npz"
DEFECTS = ("Center", "Donut", "Edge-Loc", "Edge-Ring", "Loc", "Near-full", "Random", "Scratch")
SEEDS = (0, 1, 2)
TRIPLES = 10
#: Goes up when the protocol or a method changes in a way that the configuration does not show.
PROTOCOL = 1
_EPOCHS = {"open": 20, "closed": 25, "mixed": 20}


def runs() -> Iterator[Run]:
    """All sparse runs; each but those of further seeds has a dense twin."""
    yield Run(network="sparse", file=WM811K, capped=False, seed=0, epochs=_EPOCHS["closed"])
    for seed, name in itertools.product(SEEDS, DEFECTS):
        yield Run(network="sparse", file=WM811K, hold_out=(name,), capped=True, seed=seed, epochs=_EPOCHS["open"])
    rng = np.random.default_rng(SPLIT_SEED)
    triples = rng.permutation(list(itertools.combinations(DEFECTS, 3)))[:TRIPLES]
    for seed, triple in enumerate(triples.tolist()):
        yield Run(network="sparse", file=WM811K, hold_out=tuple(triple), capped=True, seed=seed, epochs=_EPOCHS["open"])
    yield Run(network="sparse", file=MIXED, capped=False, seed=0, epochs=_EPOCHS["mixed"])


def twin(run: Run, figures: dict[str, Any]) -> Run | None:
    """The dense run with the same wafers and the CPU time that the sparse one took."""
    if run.file != WM811K or len(run.hold_out) > 1 or run.seed:
        return None
    return replace(run, network="dense", cpu_seconds=round(figures["cpu_seconds"], 1))


def kept(run: Run) -> Path:
    """Where a run's figures lie."""
    data = hashlib.sha256(_file(run.file).read_bytes()).hexdigest()
    settings = [asdict(TrainConfig(epochs=run.epochs)), asdict(NoveltyConfig()), CAP, CAPS, PROTOCOL]
    # A dense run's budget is what its twin took, and would make each a new one.
    named = asdict(replace(run, cpu_seconds=None))
    digest = hashlib.sha256(msgspec.json.encode([named, settings, data], order="sorted")).hexdigest()
    held = "-".join(run.hold_out) or "closed"
    return CACHE / f"{run.network}_{run.file.split('_')[0]}_{held}_{run.seed}_{digest[:12]}.json"


def perform(run: Run) -> dict[str, Any]:
    """Figures of a run, measured now or kept."""
    path = kept(run)
    if path.exists():
        figures: dict[str, Any] = msgspec.json.decode(path.read_bytes())
        return figures
    figures = measure(run, _wafers(run.file))
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    aside.write_bytes(msgspec.json.encode(figures))
    aside.rename(path)
    return figures


def perform_all(wanted: Sequence[Run], workers: int) -> dict[Run, dict[str, Any]]:
    """All runs and their dense twins, several at once."""
    done: dict[Run, dict[str, Any]] = {}
    started = time.monotonic()
    # One thread a process: networks as small as these gain nothing from more.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(perform, run): run for run in wanted}
        while waiting:
            future = next(as_completed(waiting))
            run = waiting.pop(future)
            done[run] = figures = future.result()
            click.echo(f"{time.monotonic() - started:6.0f} s  {len(done):3d} done  {_line(run, figures)}")
            if run.network == "sparse" and (dense := twin(run, figures)) is not None:
                waiting[pool.submit(perform, dense)] = dense
    return done


def _line(run: Run, figures: dict[str, Any]) -> str:
    held = ", ".join(run.hold_out) or run.file
    said = f"{run.network:6s} {held:32s} seed {run.seed}  macro-F1 {figures['macro_f1']:.3f}"
    if "methods" not in figures:
        return said
    scores = figures["methods"]
    return (
        said + "  AUROC " + ", ".join(f"{name} {scores[name]['auroc']:.3f}" for name in ("sparsewatch", "max_softmax"))
    )


@lru_cache(maxsize=1)
def _wafers(file: str) -> LabelledWafers:
    return read_labelled_wafers(_file(file))


def _file(name: str) -> Path:
    return Path(os.environ.get("SPARSEWATCH_DATA", "../shared/data")) / "wafers" / name


@click.command()
@click.option("--workers", type=click.IntRange(1), default=len(os.sched_getaffinity(0)), show_default="cores")
def main(workers: int) -> None:
    """Train, judge, write results and tables."""
    done = perform_all(list(runs()), workers)
    write_results("wafer", results_of(done))
    write_tables(done)


if __name__ == "__main__":
    main()
