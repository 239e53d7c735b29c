"""`make bench-many_readers`: a bounded job with several readers as processes on one machine, beside one reader.

Beam's in-process runner starts worker processes when asked to (`--direct_running_mode=multi_processing`), and deals the
job's readers out to them. Each way runs over the topic when it holds a part and when it holds all: a rate is the rows
in between over the seconds in between, so that starting does not count; it is a result of its own. Processor time is
that of the whole machine, broker included. All windows must be equal, whatever the way.

Two rounds take about four minutes at full scale.
"""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import click

from benchmarks.harness import Result, Rounds, cost, rate, write_results
from benchmarks.timed_job import machine_busy_s
from benchmarks.whole_jobs import Bench, Topic, click_job, click_values, new_bench, say
from tests.kit.topics import newest_by_key, read_all

ROWS = 4_000_000
#: Of them, what the topic holds first.
FIRST_SHARE = 0.2
PARTITIONS = 8
_PROCESS_S = 600


@dataclass(frozen=True)
class Way:
    """How a job is run."""

    name: str
    readers: int
    processes: int = 0

    def options(self) -> list[str]:
        """What is passed through to Beam."""
        if not self.processes:
            return []
        return [
            "--direct_running_mode=multi_processing",
            f"--direct_num_workers={self.processes}",
            "--default_sdk_harness_log_level=ERROR",
        ]


WAYS = (
    Way("one reader", 1),
    Way("two readers in one process", 2),
    Way("one reader in a process of its own", 1, 1),
    Way("two readers in two processes", 2, 2),
)


class Whole(NamedTuple):
    """A run of the command from its start to its end."""

    rows: int
    seconds: float
    processor_s: float


@dataclass
class Comparison:
    """Runs of each way over the same topic."""

    bench: Bench
    topic: Topic

    def __post_init__(self) -> None:
        self.runs: dict[str, list[Whole]] = {way.name: [] for way in WAYS}
        self._windows: dict[int, Any] = {}
        self._jobs = 0

    def run_all(self) -> None:
        """Each way in turn, as often as there are rounds, over what the topic holds."""
        self._windows = {}
        for _ in range(self.bench.rounds):
            for way in WAYS:
                self.runs[way.name].append(self._run(way))

    def _run(self, way: Way) -> Whole:
        self._jobs += 1
        name = f"readers-{self._jobs}"
        job_file = self.bench.folder / f"{name}.toml"
        job = click_job(self.bench, self.topic, "confluent", source=[f"readers = {way.readers}"])
        job_file.write_text(job(name), encoding="utf-8")
        command = [sys.executable, "-m", "sparsewatch", "run", str(job_file), "--until", "latest", "--quiet"]
        command += ["--runner", "inprocess", "--", *way.options()]
        busy, start = machine_busy_s(), time.monotonic()
        done = subprocess.run(command, capture_output=True, check=False, timeout=_PROCESS_S)
        whole = Whole(self.topic.rows, time.monotonic() - start, machine_busy_s() - busy)
        if done.returncode:
            raise RuntimeError(f"{way.name} failed: {done.stderr.decode()[-2000:]}")
        say(f"{way.name}: {whole.rows:,} rows in {whole.seconds:.1f} s")
        self.same(way, name)
        return whole

    def same(self, way: Way, name: str) -> None:
        """Raise RuntimeError unless the windows of this run are those of the runs before."""
        written = newest_by_key(read_all(self.bench.bootstrap, f"{name}.windows")).values()
        windows = {window["window_start_us"]: {**window, "job": ""} for window in written}
        self._windows = self._windows or windows
        if windows != self._windows or sum(window["rows"] for window in windows.values()) != self.topic.rows:
            raise RuntimeError(f"{way.name}: other windows than {WAYS[0].name}")


def results_of(runs: dict[str, list[Whole]]) -> Iterator[Result]:
    """Rates between the smaller and the larger topic, beside those of the first way; and what is left: the start."""
    slopes = {name: _slopes(each) for name, each in runs.items()}
    first = next(iter(slopes))
    for name, (rates, _, _) in slopes.items():
        yield rate(name, rates, "rows/s", peer=first, peer_value=slopes[first][0])
    for name, (_, processor, _) in slopes.items():
        unit = "µs of the machine's CPU a row"
        yield rate(f"{name}, cpu", processor, unit, peer=first, peer_value=slopes[first][1])
    for name, (_, _, starts) in slopes.items():
        yield cost(f"{name}, start", starts, "s that do not grow with rows")


def _slopes(runs: Sequence[Whole]) -> tuple[Rounds, Rounds, Rounds]:
    """Of runs over the smaller topic, then as many over the larger: rows a second, µs of CPU a row, starting.

    Raises:
        ValueError: If the larger topic took no longer: too few rows.
    """
    half = len(runs) // 2
    pairs = list(zip(runs[:half], runs[half:], strict=True))
    if any(small.seconds >= large.seconds for small, large in pairs):
        raise ValueError("the larger topic took no longer than the smaller: measure more rows")
    rates = [(large.rows - small.rows) / (large.seconds - small.seconds) for small, large in pairs]
    processor = [(large.processor_s - small.processor_s) / (large.rows - small.rows) * 1e6 for small, large in pairs]
    starts = [small.seconds - small.rows / speed for (small, _), speed in zip(pairs, rates, strict=True)]
    return Rounds(rates), Rounds(processor), Rounds(starts)


@click.command()
@click.option("--rounds", default=2, show_default=True, type=click.IntRange(1))
@click.option("--scale", default=1.0, show_default=True, help="Share of the default number of rows.")
def main(rounds: int, scale: float) -> None:
    """Readers as processes on one machine."""
    rows = round(ROWS * scale)
    first = round(rows * FIRST_SHARE)
    with new_bench(rounds) as bench:
        comparison = Comparison(bench, Topic("clicks", partitions=PARTITIONS))
        for start, end in ((0, first), (first, rows)):
            bench.fill(comparison.topic, click_values(end - start, first_row=start), end - start)
            comparison.run_all()
    write_results("many_readers", list(results_of(comparison.runs)))


if __name__ == "__main__":
    main()
