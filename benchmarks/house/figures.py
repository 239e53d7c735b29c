"""The figures of a checkout: what each counts, its target, and the items it found."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.house import traced
from benchmarks.house.kinds import places_that_ask
from benchmarks.house.repeats import RUN, repeated_runs
from benchmarks.house.tree import PACKAGES, Tree, circles, rooms

#: Seconds; the run itself takes a few.
_TRACE_TIMEOUT_S = 300


class Figure(NamedTuple):
    """What is counted."""

    name: str
    #: Most of them there should be; None where there is no such number.
    wanted: int | None
    #: Names each thing counted.
    found: Callable[[Tree], Sequence[str]]


def traced_run(tree: Tree) -> list[str]:
    """Files that do the run of a click job, each with the number of its functions that were called.

    The run has a process of its own, in the checkout's environment.

    Raises:
        RuntimeError: If the run fails.
    """
    own = tree.root / ".venv" / "bin" / "python"
    python = str(own) if own.exists() else sys.executable
    with tempfile.TemporaryDirectory(prefix="sparsewatch-house-") as folder:
        done = subprocess.run(
            [python, traced.__file__, str(tree.root), folder],
            env={**os.environ, "PYTHONPATH": str(tree.root), "OMP_NUM_THREADS": "1"},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_TRACE_TIMEOUT_S,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"expected the traced run in {tree.root} to end well, it printed: {done.stderr[-2000:]}")
    functions: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return [f"{path}: {number}" for path, number in functions.items()]


def _repeated(tree: Tree, *folders: str) -> list[str]:
    paths = [path for folder in folders for path in sorted((tree.root / folder).rglob("*.py"))]
    return [
        f"{len(run)} lines: {', '.join(sorted(str(Path(file).relative_to(tree.root)) for file in files))}"
        for run, files in repeated_runs(paths).items()
    ]


def _circles(graph: dict[str, set[str]]) -> list[str]:
    return [" <-> ".join(circle) for circle in circles(graph)]


FIGURES = (
    Figure("files at the top of pipelines/", 8, lambda tree: tree.top_files("pipelines")),
    Figure("files at the top of detectors/", 8, lambda tree: tree.top_files("detectors")),
    Figure("files a click row passes through, Kafka to alert", 55, traced_run),
    Figure("places that ask a job's kind", 1, places_that_ask),
    Figure("circles of files", 0, lambda tree: _circles(tree.imports())),
    Figure("circles of rooms", 0, lambda tree: _circles(rooms(tree.imports()))),
    Figure(f"runs of {RUN} lines in two places, product", None, lambda tree: _repeated(tree, *PACKAGES)),
    Figure(
        f"runs of {RUN} lines in two places, all code",
        None,
        lambda tree: _repeated(tree, *PACKAGES, "benchmarks", "tests"),
    ),
)
