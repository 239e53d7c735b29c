"""`make bench-decision_cost`: what decisions cost a click job beside its stream path, and what it remembers for them.

A job without a reference learns its baseline. Its windows pass through its own steps in this process, without a broker,
on one thread. `share_N` is the processor time that decisions add to a window of `ROWS` rows and N features, over that
of the same windows without them (`checks.learning.enabled = false`): decoding JSON, counting, coding and closing.
Decisions are all of the step that keeps the order, that is the learned baseline, its checks with p-values, what is
found of the stream, and incidents; and what counting and closing a window do for them. Measured are two renewals of a
whole baseline, in turn with the same windows without decisions. `share_500_job` is the same of whole jobs that read a
topic of a real broker, from its beginning, the time in which they learn included.

`state_*` is of a wide job whose every slot is taken and whose history is long: bytes in its topic, and the memory that
its baseline takes in this process (Linux only). `--quick` measures smaller jobs and writes nothing.
"""

import ctypes
import gc
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import click
import msgspec
import numpy as np
import polars as pl
import pyarrow as pa

from benchmarks.decision_cost_jobs import WholeJobs
from benchmarks.decisions_job import Measured, WindowedJob, measure_window
from benchmarks.faults.stretch import TIME
from benchmarks.harness import Result, Rounds, cost, print_table, rate, write_results
from sparsewatch.detectors.learned_windows import RENEWAL
from sparsewatch.pipelines.ctr.learned_pane import LearnedPane
from sparsewatch.transforms.codecs.json import decode_json

ROWS = 20_000
WINDOW_US = 300_000_000
FEATURES = (10, 50, 500)
#: Of the job with most features: what decisions may add to the time of its stream path.
TARGET = 0.1
#: Windows of a whole job, and rounds of it with and without decisions.
JOB_WINDOWS, JOB_ROUNDS = 84, 3
#: Of the job whose state is measured: features, windows of history, and megabytes.
WIDE, HISTORY, STATE_MB = 1_000, 2_000, 200.0
#: Distinct values of a feature, by its place.
VALUES = (2, 5, 12, 40, 150, 600, 2_000)
LABEL = "click"
#: Windows that differ; they come again in turn.
KINDS = 8
#: Windows before those measured, and these: two renewals of the baseline.
WARM_UP, MEASURED = 3 * RENEWAL, 2 * RENEWAL
#: Of a window in the history: its start, rows and clicks.
_HISTORY_BYTES = 24
_TYPES = {"int": pa.int64(), "str": pa.string()}
#: Settings of the allocators of polars and Arrow, which are read when they are loaded.
_KEEPING_NOTHING = {
    "_RJEM_MALLOC_CONF": "dirty_decay_ms:0,muzzy_decay_ms:0",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
#: Where the process that measures the state writes its results.
_RESULTS = "SPARSEWATCH_BENCH_STATE"


def columns_of(features: int) -> dict[str, str]:
    """Types of a job's columns: texts and integers in turn, and the label."""
    return {**{f"f{i:03d}": "str" if i % 2 else "int" for i in range(features)}, LABEL: "int"}


def rows_of(features: int, kind: int, rows: int = ROWS) -> pl.DataFrame:
    """The rows of one kind of window: values of falling frequency, a tenth clicks, more by the first feature."""
    random = np.random.default_rng(kind)
    cells = {}
    for i, (name, type_) in enumerate(columns_of(features).items()):
        value = (random.random(rows) ** 1.5 * VALUES[i % len(VALUES)]).astype(np.int64)
        cells[name] = pl.Series(value) if type_ == "int" else "v" + pl.Series(value).cast(pl.String)
    cells[LABEL] = pl.Series((random.random(rows) < 0.1 + 0.05 * (cells["f000"].to_numpy() > 0)).astype(np.int64))
    return pl.DataFrame({**cells, TIME: np.zeros(rows, np.int64)})


class Bench:
    """A job that learns its baseline, and the same without it.

    Args:
        features: Of both.
    """

    def __init__(self, features: int) -> None:
        self.features, self.columns = features, columns_of(features)
        settings = {"kind": "ctr", "label": LABEL, "columns": self.columns}
        self.learning = WindowedJob(settings, WINDOW_US)
        self.plain = WindowedJob({**settings, "checks": {"learning": {"enabled": False}}}, WINDOW_US)
        #: Processor seconds of counting a window, without and with what is sampled for decisions.
        self.counting: list[tuple[float, float]] = []
        self._kinds = [self._measured(kind) for kind in range(KINDS)]
        self._state, self._plain_state = self.learning.first, self.plain.first
        self._next = 0

    def pass_windows(self, number: int) -> list[tuple[float, float]]:
        """Decide of so many windows more; processor seconds of each, without and with the learned baseline."""
        return [self._pass_window() for _ in range(number)]

    def decoding(self, rows: int = ROWS) -> float:
        """Processor seconds of decoding a window from JSON."""
        frame = rows_of(self.features, 0, rows)
        lines = frame.write_ndjson().encode().splitlines()
        schema = pa.schema([(name, _TYPES[kind]) for name, kind in {TIME: "int", **self.columns}.items()])
        start = time.process_time()
        found = decode_json(lines, schema)
        seconds = time.process_time() - start
        if found.faults or found.rows.num_rows != rows:
            raise ValueError(f"expected {rows} rows, got {found.rows.num_rows} and {found.faults[:1]}")
        return seconds * ROWS / rows

    @property
    def topic_bytes(self) -> int:
        """Of the windows that the job keeps."""
        return sum(len(pane.state) for pane in self._state.learned.values())

    @property
    def history(self) -> int:
        """Windows of which the job knows rows and clicks."""
        newest = max(self._state.learned.values(), key=lambda pane: pane.start_us)
        return len(LearnedPane.from_bytes(newest.state).history) // _HISTORY_BYTES

    def lengthen_history(self, windows: int) -> None:
        """Give the newest window that is kept a history of so many windows, as long streams leave it."""
        slot, newest = max(self._state.learned.items(), key=lambda kept: kept[1].start_us)
        starts = newest.start_us - WINDOW_US * np.arange(windows)[::-1]
        history = np.stack([starts, np.full(windows, ROWS), np.full(windows, ROWS // 8)], axis=1)
        state = msgspec.structs.replace(
            LearnedPane.from_bytes(newest.state), history=history.astype(np.int64).tobytes()
        )
        learned = {**self._state.learned, slot: replace(newest, state=state.to_bytes())}
        self._state = replace(self._state, learned=learned)

    @property
    def slots(self) -> tuple[int, int]:
        """Windows that are kept, and most of them."""
        learning = self.learning.learning
        assert learning is not None
        return len(self._state.learned), learning.size

    def _pass_window(self) -> tuple[float, float]:
        start_us = self._next * WINDOW_US
        plain, learning = (
            replace(one, start_us=start_us, end_us=start_us + WINDOW_US) for one in self._kinds[self._next % KINDS]
        )
        self._next += 1
        times = [time.process_time()]
        _, self._plain_state = self.plain.decide(self._plain_state, plain)
        times.append(time.process_time())
        _, self._state = self.learning.decide(self._state, learning)
        times.append(time.process_time())
        return times[1] - times[0], times[2] - times[1]

    def _measured(self, kind: int) -> tuple[Measured, Measured]:
        rows = rows_of(self.features, kind)
        times = [time.process_time()]
        plain = measure_window(self.plain.new, self.columns, rows, (0, WINDOW_US))
        times.append(time.process_time())
        learning = measure_window(self.learning.new, self.columns, rows, (0, WINDOW_US))
        times.append(time.process_time())
        self.counting.append((times[1] - times[0], times[2] - times[1]))
        return plain, learning


def cost_of(features: int) -> list[Result]:
    """What decisions cost a job of so many features."""
    bench = Bench(features)
    bench.pass_windows(WARM_UP)
    passed = bench.pass_windows(MEASURED)
    decoding = min(bench.decoding() for _ in range(3))
    counting, sampling = (min(one) for one in zip(*bench.counting, strict=True))
    # Python's collector runs now in the one, now in the other: only their means are alike.
    closing = sum(without for without, _ in passed) / len(passed)
    path = decoding + counting + closing
    decisions = Rounds([sampling - counting + whole - closing for _, whole in passed])
    mean = sum(decisions.values) / len(decisions.values)
    parts = f"decoding {decoding:.3f}, counting {counting:.3f}, closing {closing:.3f} s; decisions of a window with a "
    share = cost(
        f"share_{features}",
        mean / path,
        "of the stream path",
        target=TARGET if features == FEATURES[-1] else None,
        note=f"{parts}renewal {max(decisions.values):.3f} s, of another {decisions.median:.3f} s",
    )
    return [share, rate(f"decisions_{features}", mean, "s of CPU a window", peer="stream path", peer_value=path)]


def job_cost_of(features: int, windows: int, rounds: int) -> list[Result]:
    """What decisions cost a whole job of so many features."""
    kinds = [rows_of(features, kind) for kind in range(KINDS)]
    return WholeJobs(kinds, columns_of(features), LABEL, TIME, WINDOW_US).cost_of(windows, rounds, TARGET)


def state_of(features: int, history: int) -> list[Result]:
    """What a wide job remembers, every slot taken."""
    bench = Bench(features)
    # The first window imports and allocates what is no state.
    bench.pass_windows(1)
    before = _resident_mb()
    while bench.slots[0] < bench.slots[1]:
        bench.pass_windows(1)
    bench.lengthen_history(history - 1)
    bench.pass_windows(1)
    note = f"{features} features, {bench.slots[0]} windows kept, a history of {bench.history} windows"
    return [
        cost("state_topic", bench.topic_bytes / 1e6, "MB", target=STATE_MB, note=note),
        cost("state_memory", _resident_mb() - before, "MB", target=STATE_MB, note=f"{note}; memory of the process"),
    ]


def _resident_mb() -> float:
    # What was let go counts no more, else the state would lie in memory that making the rows has left.
    gc.collect()
    pa.default_memory_pool().release_unused()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _state_alone(*arguments: str) -> list[Result]:
    """The results of `state_of`, of a process whose allocators keep nothing that was let go."""
    command = [sys.executable, "-m", "benchmarks.decision_cost", "--only", "state", *arguments]
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "state.json"
        subprocess.run(command, env={**os.environ, **_KEEPING_NOTHING, _RESULTS: str(found)}, check=True)
        return msgspec.json.decode(found.read_bytes(), type=list[Result])


@click.command()
@click.option("--quick", is_flag=True, help="Fewer features: 10 and 50, and a state of 50.")
@click.option("--only", type=click.Choice(["share", "job", "state"]), help="Measure this part alone.")
@click.option("--no-write", is_flag=True, help="Print only.")
def main(quick: bool, only: str | None, no_write: bool) -> None:
    """What decisions cost, and what a job remembers for them."""
    if path := os.environ.get(_RESULTS):
        Path(path).write_bytes(msgspec.json.encode(state_of(FEATURES[1] if quick else WIDE, HISTORY)))
        return
    results = _state_alone(*(["--quick"] if quick else [])) if only in (None, "state") else []
    if only in (None, "share"):
        results = [result for features in FEATURES[: 2 if quick else 3] for result in cost_of(features)] + results
    if only in (None, "job"):
        results = job_cost_of(FEATURES[1 if quick else 2], *((6, 1) if quick else (JOB_WINDOWS, JOB_ROUNDS))) + results
    if no_write or quick:
        print_table("decision_cost", results)
    else:
        write_results("decision_cost", results, keep_others=only is not None)


if __name__ == "__main__":
    main()
