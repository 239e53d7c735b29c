"""`make bench-stages`: processor time a row by stage of a click-through job, from a real Apache Kafka.

Fetching, decoding, routing to windows, counting, coding what was counted, and closing windows, for JSON with both
clients and for Arrow. With `--before COMMIT` the same is measured of that commit's code, in turn with this one's; it is
taken out of git and only its own package is used, so the commit may be older than this program:

    python -m benchmarks.stages --before 35b67d9

Three rounds of both take about four minutes.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec

from benchmarks.harness import Result, Rounds, rate, write_results
from benchmarks.stages_run import STAGES
from benchmarks.whole_jobs import Bench, Topic, click_job, click_values, new_bench, say

ROOT = Path(__file__).resolve().parent.parent
#: Format and client of each case.
CASES = {
    "json_kafka_python": ("json", "kafka-python"),
    "json_confluent": ("json", "confluent"),
    "arrow": ("arrow", "kafka-python"),
}
ROWS = {"json": 300_000, "arrow": 1_500_000}
_PROCESS_S = 300
#: Microseconds a row by stage, of a round.
Stages = dict[str, float]


@dataclass(frozen=True)
class Code:
    """A state of the code: its name, and where Python finds it."""

    name: str
    path: str


@contextmanager
def code_of(commit: str | None) -> Iterator[list[Code]]:
    """The code as it is, and with a commit also as it was then: a folder that holds nothing but its package.

    Raises:
        subprocess.CalledProcessError: If git has no such commit.
    """
    now = Code("now", str(ROOT))
    if commit is None:
        yield [now]
        return
    with tempfile.TemporaryDirectory(prefix="sparsewatch-before-") as name:
        whole, alone = Path(name) / "whole", Path(name) / "alone"
        whole.mkdir()
        alone.mkdir()
        packed = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x"], cwd=whole, input=packed, check=True)
        (alone / "sparsewatch").symlink_to(whole / "sparsewatch")
        # The programs of benchmarks are those of today.
        yield [now, Code(commit, os.pathsep.join([str(alone), str(ROOT)]))]


def measure(job_file: Path, rows: int, code: Code) -> Stages:
    """One run of all stages in a process of its own.

    Raises:
        RuntimeError: If it fails; it says how.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-m", "benchmarks.stages_run", str(job_file), str(rows)],
        env={**os.environ, "PYTHONPATH": code.path},
        capture_output=True,
        check=False,
        timeout=_PROCESS_S,
    )
    if done.returncode:
        raise RuntimeError(f"{job_file.name} of the code of {code.name} failed: {done.stderr.decode()[-2000:]}")
    stages: Stages = msgspec.json.decode(done.stdout.splitlines()[-1], type=dict[str, float])
    say(f"{job_file.stem}, {code.name}: " + ", ".join(f"{name} {us:.2f}" for name, us in stages.items()))
    return stages


def results_of(case: str, rounds: Mapping[str, Sequence[Stages]], rows: int) -> list[Result]:
    """A result for each stage and for their sum, with the earlier code's as the peer.

    Args:
        case: Name of the case.
        rounds: Rounds of `now` and, where it was measured, of a commit.
        rows: Events in the topic.
    """
    wholes = {name: [{**one, "whole": sum(one.values())} for one in each] for name, each in rounds.items()}
    before = next((name for name in wholes if name != "now"), None)
    return [
        rate(
            f"{case}_{stage}",
            Rounds([one[stage] for one in wholes["now"]]),
            "µs of CPU a row",
            peer=None if before is None else f"before ({before})",
            peer_value=None if before is None else Rounds([one[stage] for one in wholes[before]]),
            note=f"{rows:,} rows" if stage == "whole" else "",
        )
        for stage in (*STAGES, "whole")
    ]


def bench_case(bench: Bench, case: str, topic: Topic, client: str, codes: Sequence[Code]) -> list[Result]:
    """All stages of a case, of each code in turn."""
    job_file = bench.folder / f"{case}.toml"
    job_file.write_text(click_job(bench, topic, client)(case), encoding="utf-8")
    rounds: dict[str, list[Stages]] = {code.name: [] for code in codes}
    for _ in range(bench.rounds):
        for code in codes:
            rounds[code.name].append(measure(job_file, topic.rows, code))
    return results_of(case, rounds, topic.rows)


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(CASES)), help="Measure this part alone; repeatable.")
@click.option("--before", metavar="COMMIT", help="Measure this commit's code, too.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--scale", default=1.0, show_default=True, help="Share of the default numbers of rows.")
def main(only: Sequence[str], before: str | None, rounds: int, scale: float) -> None:
    """Processor time a row by stage."""
    if before is not None and shutil.which("git") is None:
        raise click.UsageError("--before: git is needed to take the commit out")
    results: list[Result] = []
    with new_bench(rounds) as bench, code_of(before) as codes:
        topics: dict[str, Topic] = {}
        for case in only or CASES:
            format_, client = CASES[case]
            rows = round(ROWS[format_] * scale)
            if format_ not in topics:
                topics[format_] = bench.fill(Topic(f"clicks-{format_}", format_), click_values(rows, format_), rows)
            results += bench_case(bench, case, topics[format_], client, codes)
    write_results("stages", results, keep_others=bool(only))


if __name__ == "__main__":
    main()
