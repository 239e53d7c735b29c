"""Files of a checkout that a click row passes through on its way from Kafka to an alert.

`python traced.py ROOT FOLDER` runs in the checkout's own environment with ROOT on the path, so it imports nothing but
the standard library and what it traces. It makes a small click stream with a fault at its end, trains reference and row
model through the command line, publishes the stream to an embedded broker, and follows `run --until latest --runner
inprocess` with a profiler from the call of `run_job` on: the command line and the reading of the job file come before.
It prints the files of which a function was called, and how many of each, as JSON on the last line.
"""

import csv
import importlib
import inspect
import json
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

_PACKAGES = ("schemas", "detectors", "transforms", "pipelines")
_COMPREHENSIONS = {"<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>"}
_WINDOW_MS = 60_000
#: 2026-01-01, where the stream begins; the clean rows lie before it.
_START_MS = 1_767_225_600_000
_CLEAN_WINDOWS, _STREAM_WINDOWS, _WINDOW_ROWS = 12, 8, 400
_NAMES = ("time", "site", "device", "price", "seconds", "click")
_JOB = """
kind = "ctr"
name = "traced"
label = "click"
features = ["site", "device"]
[kafka]
bootstrap_servers = ["{bootstrap}"]
timeout = "20s"
[source]
topic = "traced"
time_column = "time"
[windows]
length = "1m"
disorder = "5s"
[columns]
site = "str"
device = "str"
price = "float"
seconds = "float"
click = "int"
[ranking]
panes = 4
[checks]
reference = "{folder}/reference"
[rows]
model = "{folder}/rows"
[output]
alerts_file = "{folder}/alerts.jsonl"
"""


def traced_files(root: Path, folder: Path) -> dict[str, int]:
    """Files by which the run of a click job was done, as paths below the root, and of how many functions of each.

    Raises:
        RuntimeError: If the run found nothing: it then passed no alert on.
    """
    command = _imported("sparsewatch.pipelines.cli", "pipelines.cli").cli.main
    brokers = ("sparsewatch.testing.embedded_broker", "sparsewatch.pipelines.demo.broker", "pipelines.demo.broker")
    with _imported(*brokers).EmbeddedBroker() as broker:
        _prepare(command, folder, broker.bootstrap)
        run = ["run", str(folder / "job.toml"), "--until", "latest", "--runner", "inprocess"]
        called = called_code(lambda: command(run, standalone_mode=False), "run_job")
    if not (folder / "alerts.jsonl").read_text(encoding="utf-8"):
        raise RuntimeError("expected alerts of the traced run, it wrote none")
    return dict(sorted(Counter(path for code in called if (path := own_path(code, root)) is not None).items()))


def _imported(*names: str) -> Any:
    """A module, under the first of these names that the checkout has."""
    for name in names[:-1]:
        with suppress(ModuleNotFoundError):
            return importlib.import_module(name)
    return importlib.import_module(names[-1])


def _prepare(command: Callable[..., Any], folder: Path, bootstrap: str) -> None:
    job, clean, stream = folder / "job.toml", folder / "clean.csv", folder / "stream.csv"
    _write_clicks(clean, -_CLEAN_WINDOWS, 0)
    _write_clicks(stream, 0, _STREAM_WINDOWS)
    job.write_text(_JOB.format(folder=folder, bootstrap=bootstrap), encoding="utf-8")
    broker = ["--topic", "traced", "--bootstrap", bootstrap, "--partitions", "1"]
    for words in (
        ["train", "rows", str(clean), "--columns", "price,seconds", "--out", str(folder / "rows")],
        ["train", "reference", str(job), str(clean), "--out", str(folder / "reference")],
        ["publish", str(stream), "--time-column", "time", *broker],
    ):
        command(words, standalone_mode=False)


def _write_clicks(path: Path, first: int, end: int) -> None:
    """Rows of windows `first` to `end`; in the last three of a stream most devices are missing."""
    rng = random.Random(first)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_NAMES)
        for window in range(first, end):
            broken = 0 < end - 3 <= window
            writer.writerows(_click(rng, window, at, broken) for at in range(_WINDOW_ROWS))


def _click(rng: random.Random, window: int, at: int, broken: bool) -> list[object]:
    site = rng.randrange(8)
    device = "" if broken and rng.random() < 0.7 else f"device-{rng.randrange(5)}"
    time_ms = _START_MS + window * _WINDOW_MS + at * _WINDOW_MS // _WINDOW_ROWS
    clicked = int(rng.random() < 0.1 + 0.04 * site)
    return [time_ms, f"site-{site}", device, rng.lognormvariate(0, 1), rng.gammavariate(2, 30), clicked]


def called_code(work: Callable[[], object], first: str) -> set[CodeType]:
    """Code of all functions called while something is done, on threads begun meanwhile too, but for what imports call.

    Args:
        work: What is done.
        first: Name of the function from whose call on they are noted.
    """
    called: set[CodeType] = set()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        if event == "call" and code not in called and (called or code.co_name == first) and not _is_importing(frame):
            called.add(code)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return called


def _is_importing(frame: FrameType) -> bool:
    """Whether a module's body is being run that called this."""
    caller = frame.f_back
    while caller is not None and caller.f_code.co_name != "exec_module":
        caller = caller.f_back
    return caller is not None


def own_path(code: CodeType, root: Path) -> str | None:
    """Path of a function's file below the root; None for other code, and for what an import alone runs."""
    # Bodies of modules and classes are not optimised, those of functions are.
    if not code.co_flags & inspect.CO_OPTIMIZED or code.co_name in _COMPREHENSIONS:
        return None
    path = Path(code.co_filename).resolve()
    if not path.is_relative_to(root) or path.relative_to(root).parts[0] not in _PACKAGES:
        return None
    return path.relative_to(root).as_posix()


if __name__ == "__main__":
    print(json.dumps(traced_files(Path(sys.argv[1]), Path(sys.argv[2]))))
