"""Row anomalies on 29 public sets, all of it: `make bench-rows` (folder of the data: SPARSEWATCH_DATA).

Every method of `sparsewatch.detectors.rows.methods.registry` at its defaults without labels, five seeds, beside PyOD;
then what labels can choose. See `rows_protocol` and `rows_labelled`. Figures of each set, seed and method are
stored in `.cache/bench-rows`, so a benchmark that was stopped resumes, and a part can be measured alone. Tables go
to `docs/rows-benchmark.md`.
"""

import os
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import click

from benchmarks import rows_labelled
from benchmarks.harness import command_line, this_machine, write_results
from benchmarks.rows_peers import PEERS, REQUIREMENTS, SCRIPT, judge_peer
from benchmarks.rows_protocol import MOST_ROWS, Measurement, data_folder, judge_label_free, set_names, set_shape
from benchmarks.rows_results import label_free, results_of
from benchmarks.rows_tables import missing, write_tables
from benchmarks.runs import CACHES, as_they_end, digest, file_digest, read_figures, write_figures
from sparsewatch.detectors.rows.methods.registry import METHODS

CACHE = CACHES / "bench-rows"
SEEDS = (0, 1, 2, 3, 4)
#: Raised when a protocol changes in a way that no settings show; all is then measured again.
PROTOCOL = {"label-free": 1, "labelled": 1}
#: Versions of the methods that changed since the first; only such a method is then measured again.
VERSIONS = {"apre": 2, "ensemble": 2}
#: Seconds a cell of the set, where nothing similar was measured yet.
_FIRST_GUESS = 1e-5


@dataclass(frozen=True, slots=True)
class Task:
    """Something to measure and store."""

    protocol: Literal["label-free", "labelled"]
    set: str
    #: Of sample, split and method; the labelled protocol has its own, and here 0.
    seed: int
    #: A name in `METHODS` or `PEERS`.
    method: str


def tasks() -> Iterator[Task]:
    """All tasks, the most informative first: one seed without labels, more seeds, labels; small sets first."""
    sets = sorted(set_names(), key=cells)
    label_free = [*METHODS, *PEERS]
    for seeds in (SEEDS[:1], SEEDS[1:]):
        yield from (Task("label-free", name, seed, method) for name in sets for seed in seeds for method in label_free)
    labelled = [*(method for method in rows_labelled.GRIDS if method in METHODS), *rows_labelled.NETWORKS]
    yield from (Task("labelled", name, 0, method) for name in sets for method in labelled)


@lru_cache
def cells(name: str) -> int:
    """Numbers in the set's sample."""
    n, d = set_shape(name)
    return min(n, MOST_ROWS) * d


def perform(task: Task, command: str) -> Measurement:
    """Measure a task and store the result."""
    started = time.monotonic()
    measurement = Measurement(
        **asdict(task),
        rows=_measured(task),
        seconds=time.monotonic() - started,
        machine=this_machine(),
        date=datetime.now(UTC).replace(microsecond=0),
        command=command,
    )
    write_figures(place(task), measurement)
    return measurement


def _measured(task: Task) -> dict[str, dict[str, Any]]:
    if task.protocol == "labelled":
        return rows_labelled.judge_labelled(task.method, task.set)
    judge = judge_peer if task.method in PEERS else judge_label_free
    return {task.method: judge(task.method, task.set, task.seed)}


def place(task: Task) -> Path:
    """File of a task's figures."""
    data = file_digest(data_folder() / f"{task.set}.npz")
    settings = digest(asdict(task), PROTOCOL[task.protocol], _version(task), MOST_ROWS, data)
    method = task.method.replace(" ", "-")
    return CACHE / f"{task.protocol}_{task.set}_{task.seed}_{method}_{settings}.json"


def _version(task: Task) -> list[Any]:
    """What a method's figures depend on, besides the task."""
    if task.method in PEERS:
        return [REQUIREMENTS.read_text(encoding="utf-8"), SCRIPT.read_text(encoding="utf-8")]
    settings = rows_labelled.settings_of(task.method, task.set) if task.protocol == "labelled" else None
    return [VERSIONS.get(task.method, 1), settings]


def measured_before(task: Task) -> Measurement | None:
    """What was measured before, None if nothing."""
    return read_figures(place(task), Measurement)


def perform_all(wanted: Sequence[Task], done: dict[Task, Measurement], workers: int) -> dict[Task, BaseException]:
    """Measure the tasks that are not in `done` and add them; returns the failures."""
    open_tasks = [task for task in wanted if task not in done]
    failed: dict[Task, BaseException] = {}
    started = time.monotonic()
    for task, future in as_they_end(partial(perform, command=command_line()), open_tasks, workers):
        if error := future.exception():
            failed[task] = error
        else:
            done[task] = future.result()
        left = [task for task in open_tasks if task not in done and task not in failed]
        minutes = seconds_left(left, done) / workers / 60
        count = len(open_tasks) - len(left)
        so_far = f"{time.monotonic() - started:6.0f} s  {count} of {len(open_tasks)}, about {minutes:.0f} min left"
        click.echo(f"{so_far}  {_line(task, done.get(task), failed.get(task))}")
    return failed


def seconds_left(left: Sequence[Task], done: dict[Task, Measurement]) -> float:
    """Estimated seconds of the tasks: as of another seed of the task, else by the method's seconds a cell of a set."""
    same: dict[tuple[str, str, str], float] = {}
    by_method: dict[tuple[str, str], list[float]] = {}
    for task, measurement in done.items():
        same[task.protocol, task.set, task.method] = measurement.seconds
        sums = by_method.setdefault((task.protocol, task.method), [0.0, 0.0])
        sums[0] += measurement.seconds
        sums[1] += cells(task.set)

    def guess(task: Task) -> float:
        taken, seen = by_method.get((task.protocol, task.method), (_FIRST_GUESS, 1.0))
        return same.get((task.protocol, task.set, task.method), cells(task.set) * taken / seen)

    return sum(map(guess, left))


def _line(task: Task, measurement: Measurement | None, error: BaseException | None) -> str:
    what = f"{task.protocol:10s} {task.set:20s} seed {task.seed} {task.method:18s}"
    if measurement is None:
        return f"{what} FAILED {error!r}"
    aucs = ", ".join(f"{figures['auc']:.3f}" for figures in measurement.rows.values())
    return f"{what} AUC {aucs}  {measurement.seconds:.1f} s"


def _publish(measurements: Collection[Measurement]) -> None:
    """Write results and page, unless they would lose what was measured on another machine."""
    if lacking := missing(measurements):
        few = ", ".join(lacking[:3]) + (" …" if lacking[3:] else "")
        click.echo(
            f"results and page stay: {len(lacking)} of what they show not measured here, {few}; mean AUC of the rest:"
        )
        means = label_free(measurements).means
        click.echo("\n".join(f"{method:18s} {mean:.4f}" for method, mean in means.items()))
        return
    write_results("rows", results_of(measurements))
    write_tables(measurements)


def _chosen(value: str | None, known: Sequence[str], what: str) -> set[str]:
    """Names of a comma-separated option; a set may be named by its number or its name."""
    if value is None:
        return set(known)
    wanted = value.split(",")
    found = {name for name in known if {name, *name.split("_", 1)} & set(wanted)}
    matched = {part for name in found for part in (name, *name.split("_", 1))}
    if unknown := [name for name in wanted if name not in matched]:
        raise click.UsageError(f"{what}: expected some of {', '.join(known)}, got {', '.join(unknown)}")
    return found


@click.command()
@click.option("--sets", metavar="NAMES", help="Only these sets, by file name, name or number: thyroid,WBC,11")
@click.option("--seeds", metavar="NUMBERS", help="Only these seeds of the label-free protocol: 0,1")
@click.option("--methods", metavar="NAMES", help="Only these methods: ensemble,PyOD KNN")
@click.option("--protocol", type=click.Choice(list(PROTOCOL)), help="Only this protocol.")
@click.option("--tables-only", is_flag=True, help="Measure nothing: write page and results from stored figures.")
@click.option("--workers", type=click.IntRange(1), default=len(os.sched_getaffinity(0)), show_default="cores")
def main(
    sets: str | None, seeds: str | None, methods: str | None, protocol: str | None, tables_only: bool, workers: int
) -> None:
    r"""Measure what is not stored yet, then write results and tables from all stored figures.

    Results and tables stay as they are where they show a method, a set or a protocol that is not stored.

    \b
    python -m benchmarks.rows                                    everything, or the rest of it
    python -m benchmarks.rows --protocol label-free --seeds 0    a first look
    python -m benchmarks.rows --methods ensemble --sets WBC      one method on one set
    python -m benchmarks.rows --tables-only                      page and results again

    A method that changed is measured again once its number in VERSIONS is raised.
    """
    everything = list(tasks())
    within: dict[str, set[str]] = {
        "protocol": {protocol} if protocol else set(PROTOCOL),
        "set": _chosen(sets, set_names(), "--sets"),
        "method": _chosen(methods, list(dict.fromkeys(task.method for task in everything)), "--methods"),
    }
    wanted_seeds = _chosen(seeds, [str(seed) for seed in SEEDS], "--seeds")
    wanted = [
        task
        for task in everything
        if all(getattr(task, field) in names for field, names in within.items())
        and (task.protocol == "labelled" or str(task.seed) in wanted_seeds)
    ]
    done = {task: measurement for task in everything if (measurement := measured_before(task)) is not None}
    failed = {} if tables_only else perform_all(wanted, done, workers)
    if done:
        _publish(done.values())
    if failed:
        raise click.ClickException(f"{len(failed)} of {len(wanted)} failed; run again to try only these")


if __name__ == "__main__":
    main()
