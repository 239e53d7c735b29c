"""`make bench-profilers`: a whole click job beside other tools that count or profile the same rows on the same cores.

Ours reads JSON from a real Apache Kafka by `confluent-kafka`, from its first read to its last commit, with accounts,
ranking and results. Quix Streams and Bytewax count the same in Python, from the same broker, from the first event on.
polars (by hand), whylogs and TensorFlow Data Validation read a file of the same records; their decoding counts. Each
peer has an environment of its own, which make sets up, and may use all cores.

Three rounds take about five minutes at full scale.
"""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import msgspec

from benchmarks.harness import Result, Rounds, interleave, rate, write_results
from benchmarks.whole_jobs import Bench, Topic, click_job, click_values, new_bench, say

ROOT = Path(__file__).resolve().parent.parent
#: Made by `make bench-profilers`.
ENVIRONMENTS = ROOT / ".cache" / "peers"
SCRIPTS = ROOT / "benchmarks" / "peers"
ROWS = 2_000_000
#: What slower peers read of them: a window.
FEW_ROWS = 150_000
_PROCESS_S = 600


class Run(msgspec.Struct, frozen=True):
    """What a peer prints, see `peers/click_counts.py`."""

    rows: int
    clicks: int
    seconds: float
    processor_s: float


@dataclass(frozen=True)
class Peer:
    """A tool beside ours."""

    #: Of its environment and script.
    name: str
    title: str
    #: What it does, in words.
    work: str
    reads_kafka: bool = False
    #: Whether it reads as many rows as ours, or one window of them.
    is_fast: bool = False


PEERS = (
    Peer("polars", "polars by hand", "counts of values and clicks; types unchecked, no accounts", is_fast=True),
    Peer("whylogs", "whylogs", "sketches of each column, no clicks a value"),
    Peer("tfdv", "TensorFlow Data Validation", "statistics of each column, no clicks a value; one process"),
    Peer("quix", "Quix Streams", "counts of values and clicks in Python, in memory; one process", reads_kafka=True),
    Peer("bytewax", "Bytewax", "counts of values and clicks in Python, in memory; one process", reads_kafka=True),
)


@dataclass(frozen=True)
class Rows:
    """The same rows as a topic and as a file; `few` are the first of them."""

    topic: Topic
    few: Topic
    path: Path

    def arguments(self, bench: Bench, peer: Peer) -> list[str]:
        """What a peer's script is told."""
        topic = self.topic if peer.is_fast else self.few
        if peer.reads_kafka:
            return [bench.bootstrap, topic.name, str(topic.rows)]
        return [str(self.path), str(topic.rows)]


def rows_in(bench: Bench, rows: int, few: int) -> Rows:
    """Write the rows to two topics and a file."""
    path = bench.folder / "clicks.ndjson"
    with path.open("wb") as file:
        for value in click_values(rows):
            file.write(value + b"\n")
    with path.open("rb") as lines:
        topic = bench.fill(Topic("clicks"), (line.rstrip() for line in lines), rows)
    with path.open("rb") as lines:
        first = bench.fill(Topic("clicks-few"), (next(lines).rstrip() for _ in range(few)), few)
    return Rows(topic, first, path)


def run_peer(peer: Peer, arguments: Sequence[str], rows: int) -> Run:
    """Run a peer's script in its environment.

    Raises:
        FileNotFoundError: If there is no such environment.
        RuntimeError: If it fails, or counts other rows.
    """
    python = ENVIRONMENTS / peer.name / "bin" / "python"
    if not python.exists():
        raise FileNotFoundError(f"no environment of {peer.title} in {python}: `make bench-profilers` sets it up")
    done = subprocess.run(
        [str(python), "-W", "ignore", str(SCRIPTS / f"{peer.name}_clicks.py"), *arguments],
        capture_output=True,
        check=False,
        timeout=_PROCESS_S,
    )
    if done.returncode:
        raise RuntimeError(f"{peer.title} ended with {done.returncode}: {done.stderr.decode()[-2000:]}")
    run = msgspec.json.decode(done.stdout.splitlines()[-1], type=Run)
    if run.rows != rows:
        raise RuntimeError(f"{peer.title}: expected {rows} rows, got {run.rows}")
    say(f"{peer.title}: {run.rows / run.seconds:,.0f} rows/s, {run.processor_s / run.seconds:.2f} cores busy")
    return run


def compare(bench: Bench, rows: Rows, peers: Sequence[Peer]) -> Iterator[Result]:
    """Rates of all, and rates a processor second, with ours as what each is compared with."""
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in ("ours", *(peer.name for peer in peers))}

    def ours() -> float:
        timing = bench.run(click_job(bench, rows.topic, "confluent"), rows.topic.rows)
        runs["ours"].append((rows.topic.rows / timing.seconds, rows.topic.rows / timing.processor_s))
        return 0.0

    def theirs(peer: Peer) -> float:
        expected = rows.topic.rows if peer.is_fast else rows.few.rows
        run = run_peer(peer, rows.arguments(bench, peer), expected)
        runs[peer.name].append((run.rows / run.seconds, run.rows / run.processor_s))
        return 0.0

    calls: list[Callable[[], float]] = [ours, *(partial(theirs, peer) for peer in peers)]
    interleave(calls, bench.rounds)
    for at, unit in enumerate(("rows/s", "rows/processor second")):
        figures = {name: Rounds([run[at] for run in each]) for name, each in runs.items()}
        yield rate(f"ours, {unit}", figures["ours"], unit, note=f"a whole job, {rows.topic.rows:,} rows" * (at == 0))
        for peer in peers:
            read = rows.topic.rows if peer.is_fast else rows.few.rows
            yield rate(
                f"{peer.title}, {unit}",
                figures[peer.name],
                unit,
                peer="our whole job",
                peer_value=figures["ours"],
                note=f"{peer.work}; {read:,} of the rows" * (at == 0),
            )


@click.command()
@click.option(
    "--only", multiple=True, type=click.Choice([p.name for p in PEERS]), help="Beside this alone; repeatable."
)
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--scale", default=1.0, show_default=True, help="Share of the default numbers of rows.")
def main(only: Sequence[str], rounds: int, scale: float) -> None:
    """Rows a second beside other tools."""
    peers = [peer for peer in PEERS if not only or peer.name in only]
    with new_bench(rounds) as bench:
        data = rows_in(bench, round(ROWS * scale), round(FEW_ROWS * scale))
        write_results("profilers", list(compare(bench, data, peers)), keep_others=bool(only))


if __name__ == "__main__":
    main()
