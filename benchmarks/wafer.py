"""Open-set recognition on public wafer maps, all of it: `make bench-wafer` (folder of the data: SPARSEWATCH_DATA).

Closed set on all wafers, leave-one-class-out for every defect class with three seeds, ten random leave-three-out, a
dense CNN under the same protocol with as much CPU time, and the mixed patterns of MixedWM38. See `wafer_protocol`. Runs
are stored in `.cache/bench-wafer` by their configuration: a benchmark that was stopped resumes, and without a change
nothing is trained again. About an hour and a half on two cores. Tables go to `docs/wafer-benchmark.md`.
"""

import itertools
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.harness import write_results
from benchmarks.runs import CACHES, as_they_end, digest, file_digest, read_figures, write_figures
from benchmarks.wafer_protocol import CAP, CAPS, SPLIT_SEED, Run, measure
from benchmarks.wafer_tables import results_of, write_tables
from sparsewatch.detectors.open_set.novelty import NoveltyConfig
from sparsewatch.detectors.sparse_net.train import TrainConfig
from sparsewatch.pipelines.wafer_files.labelled import LabelledWafers, read_labelled_wafers

CACHE = CACHES / "bench-wafer"
WM811K, MIXED = "wm811k_train_37348.npz", "mixedwm38_train_13686.npz"
DEFECTS = ("Center", "Donut", "Edge-Loc", "Edge-Ring", "Loc", "Near-full", "Random", "Scratch")
SEEDS = (0, 1, 2)
TRIPLES = 10
#: Raised when the protocol or a method changes in a way that the configuration does not show.
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


def twins(run: Run, figures: dict[str, Any]) -> list[Run]:
    """The dense run with the same wafers and the CPU time of the sparse run, if there is such a run."""
    if run.network != "sparse" or run.file != WM811K or len(run.hold_out) > 1 or run.seed:
        return []
    return [replace(run, network="dense", cpu_seconds=round(figures["cpu_seconds"], 1))]


def place(run: Run) -> Path:
    """File of a run's figures."""
    settings = [asdict(TrainConfig(epochs=run.epochs)), asdict(NoveltyConfig()), CAP, CAPS, PROTOCOL]
    # A dense run's budget is the time of its twin, and would make each a new run.
    named = asdict(replace(run, cpu_seconds=None))
    held = "-".join(run.hold_out) or "closed"
    about = digest(named, settings, file_digest(_file(run.file)))
    return CACHE / f"{run.network}_{run.file.split('_')[0]}_{held}_{run.seed}_{about}.json"


def perform(run: Run) -> dict[str, Any]:
    """Figures of a run, measured now or before."""
    if (before := read_figures(place(run), dict[str, Any])) is not None:
        return before
    figures = measure(run, _wafers(run.file))
    write_figures(place(run), figures)
    return figures


def perform_all(wanted: Sequence[Run], workers: int) -> dict[Run, dict[str, Any]]:
    """All runs and their dense twins, several at once."""
    done: dict[Run, dict[str, Any]] = {}
    started = time.monotonic()
    for run, future in as_they_end(perform, wanted, workers, then=twins):
        done[run] = figures = future.result()
        click.echo(f"{time.monotonic() - started:6.0f} s  {len(done):3d} done  {_line(run, figures)}")
    return done


def _line(run: Run, figures: dict[str, Any]) -> str:
    held = ", ".join(run.hold_out) or run.file
    line = f"{run.network:6s} {held:32s} seed {run.seed}  macro-F1 {figures['macro_f1']:.3f}"
    if "methods" not in figures:
        return line
    scores = figures["methods"]
    return (
        line + "  AUROC " + ", ".join(f"{name} {scores[name]['auroc']:.3f}" for name in ("sparsewatch", "max_softmax"))
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
