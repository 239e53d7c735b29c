"""Runs of a benchmark: several at once, each stored on disk under a digest of all that its figures depend on.

So a benchmark that was stopped resumes, and without a change nothing is measured again.
"""

import hashlib
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from benchmarks.harness import RESULTS
from sparsewatch.detectors.artefacts.atomic import write_file

#: Holds a folder of figures for each benchmark.
CACHES = RESULTS.parent.parent / ".cache"

Run = TypeVar("Run")
Figures = TypeVar("Figures")


def digest(*about: Any) -> str:
    """Twelve hexadecimal digits that change with anything in `about`, in JSON types."""
    return hashlib.sha256(msgspec.json.encode(about, order="sorted")).hexdigest()[:12]


@cache
def file_digest(path: Path) -> str:
    """SHA-256 of a file, which must not change while a benchmark runs."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_figures(path: Path, figures: Any) -> None:
    """Write figures so that a reader finds them whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, msgspec.json.encode(figures))


def read_figures(path: Path, kind: type[Figures]) -> Figures | None:
    """Figures measured before; None if there are none."""
    return msgspec.json.decode(path.read_bytes(), type=kind) if path.exists() else None


def as_they_end(
    measure: Callable[[Run], Figures],
    wanted: Iterable[Run],
    workers: int,
    then: Callable[[Run, Figures], Iterable[Run]] = lambda _run, _figures: (),
) -> Iterator[tuple[Run, Future[Figures]]]:
    """Measure in several processes.

    Args:
        measure: A function of a module: each process imports it.
        wanted: What to measure, in this order.
        workers: How many processes.
        then: Further runs that a result calls for.

    Yields:
        Each run when it has ended, with its figures or its error.
    """
    # One thread a process: the work is cut into processes already.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(measure, run): run for run in wanted}
        while waiting:
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                run = waiting.pop(future)
                if future.exception() is None:
                    waiting |= {pool.submit(measure, more): more for more in then(run, future.result())}
                yield run, future
