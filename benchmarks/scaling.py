"""`make bench-scaling`: how a whole click job's rate and processor time grow with what it is given.

Five tables, each against its first line: features, rejects, length of windows, partitions, size of records.
A job reads JSON from a real Apache Kafka by `confluent-kafka`, in a process of its own, from its first read to its last
commit; processor time is the job's own. Where cost grows by more than its proportion, a note gives the reason.

All of it takes about six minutes at full scale.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import click
import numpy as np

from benchmarks.harness import Result, Rounds, rate, write_results
from benchmarks.timed_job import Timing
from benchmarks.whole_jobs import Bench, JobText, Topic, click_job, click_values, new_bench, say
from benchmarks.workloads import SHAPES

#: Rows of the topic that most tables share: 39 features, two partitions.
ROWS = 1_000_000
#: Every fourth of the features: as many of few values and of many. Wider rows repeat these ten.
TEN = {name: SHAPES[name] for name in tuple(SHAPES)[::4]}
#: Rows of a topic by number of features, and of each of its windows.
WIDTHS = {10: 1_200_000, 40: 600_000, 200: 180_000, 1_000: 60_000, 2_000: 30_000}
WIDE_WINDOW_ROWS = 30_000
SHARES = (0.01, 0.1)
WINDOWS = ("1h", "1m", "10s", "1s")
PARTITIONS = (1, 2, 8, 32)
#: Records of a topic by their bytes.
SIZES = {200: 1_000_000, 1_000: 600_000, 4_000: 200_000, 16_000: 60_000}
#: A burst of a tenth of rejects may slow a job by a third.
TARGET_OF_A_TENTH = 2 / 3
#: Cost above this times its proportion is remarked on.
_REMARKABLE = 1.25
_CPU = "µs of CPU a row"


@dataclass(frozen=True)
class Line:
    """A line of a table: how often its job was run over how many rows."""

    name: str
    rows: int
    runs: Sequence[Timing]
    #: What a row holds of what cost should grow with: cells of features, bytes.
    units: float = 1.0
    #: Target of its rate, as a share of the first line's.
    least_share: float | None = None

    def rates(self, units: float = 1.0) -> Rounds:
        """Rows, or units, a second."""
        return Rounds([self.rows * units / run.seconds for run in self.runs])

    def cost(self) -> Rounds:
        """Microseconds of the job's processor time a row."""
        return Rounds([run.processor_s / self.rows * 1e6 for run in self.runs])


def table(lines: Sequence[Line], unit: str = "", reason: str = "") -> list[Result]:
    """Rates and processor time of each line beside those of the first.

    Args:
        lines: As measured.
        unit: What a row holds several of, where their rate is a figure too.
        reason: Why cost grows by more than its proportion, where it does.
    """
    first = lines[0]
    results = [_beside(line, line.name, "rows/s", line.rates(), first.rates(), first) for line in lines]
    if unit:
        peer = first.rates(first.units)
        results += [
            _beside(line, f"{line.name}, {unit}", f"{unit}/s", line.rates(line.units), peer, first) for line in lines
        ]
    for line in lines:
        growth = line.cost().median / first.cost().median / (line.units / first.units)
        note = f"{growth:.2f} times its proportion; {reason}".rstrip("; ") if growth > _REMARKABLE else ""
        results.append(_beside(line, f"{line.name}, cpu", _CPU, line.cost(), first.cost(), first, note))
    return results


def _beside(line: Line, name: str, unit: str, value: Rounds, peer: Rounds, first: Line, note: str = "") -> Result:
    target = line.least_share * peer.median if line.least_share is not None and unit == "rows/s" else None
    return rate(name, value, unit, peer=first.name, peer_value=peer, target=target, note=note)


@dataclass
class Study:
    """The topic that most tables share, and its runs."""

    bench: Bench
    scale: float

    def __post_init__(self) -> None:
        self.values = list(click_values(self.rows(ROWS)))
        self.topic = self.filled("clicks", self.values)

    def rows(self, number: int) -> int:
        """A number of rows at this scale."""
        return max(1, round(number * self.scale))

    def filled(self, name: str, values: Sequence[bytes], partitions: int = 2) -> Topic:
        """A topic of records of one event each."""
        return self.bench.fill(Topic(name, partitions=partitions), values, len(values))

    def line(self, name: str, topic: Topic, job: JobText, units: float = 1.0, least_share: float | None = None) -> Line:
        """Run a job over a topic."""
        say(f"{name}: {topic.rows:,} rows")
        runs = [self.bench.run(job, topic.rows) for _ in range(self.bench.rounds)]
        return Line(name, topic.rows, runs, units, least_share)

    def job(self, topic: Topic, **more: Any) -> JobText:
        """A click job over a topic."""
        return click_job(self.bench, topic, "confluent", **more)

    @cached_property
    def shared(self) -> Line:
        """The line that most tables begin with or hold."""
        return self.line("39 features of a 487-byte record", self.topic, self.job(self.topic))

    def shared_as(self, name: str) -> Line:
        """The same, under the name it has in a table."""
        return replace(self.shared, name=name)


def features(study: Study) -> list[Result]:
    """10 to 2,000 features, windows of 30,000 rows; a cell is a feature of a row."""
    lines = []
    for width, rows in WIDTHS.items():
        shapes = {f"{name}_{i}": shape for i in range(width // len(TEN)) for name, shape in TEN.items()}
        values = list(click_values(study.rows(rows), window_rows=WIDE_WINDOW_ROWS, shapes=shapes))
        topic = study.filled(f"features-{width}", values)
        job = study.job(topic, columns={name: kind for name, (kind, _) in shapes.items()})
        lines.append(study.line(f"{width:,} features", topic, job, width))
    return table(lines, "cells", REASONS["features"])


def _without_label(value: bytes) -> bytes:
    # The label is the last field.
    return value[: value.rindex(b":") + 1] + b'"none"}'


#: What makes a reject of a record.
SPOILED: dict[str, Callable[[bytes], bytes]] = {
    "broken": lambda value: value[: len(value) // 2],
    "label": _without_label,
}


def rejects(study: Study) -> list[Result]:
    """No rejects, and 1 and 10 % of them: records cut short, and labels that are texts."""
    lines = [study.shared_as("no rejects")]
    for kind, spoiled in SPOILED.items():
        for share in SHARES:
            drawn = np.random.default_rng(1).random(len(study.values)) < share
            values = [spoiled(v) if bad else v for v, bad in zip(study.values, drawn.tolist(), strict=True)]
            topic = study.filled(f"rejects-{kind}-{share * 100:.0f}", values)
            least = TARGET_OF_A_TENTH if share == max(SHARES) else None
            lines.append(study.line(f"{kind}, {share:.0%}", topic, study.job(topic), least_share=least))
    return table(lines, reason=REASONS["rejects"])


def windows(study: Study) -> list[Result]:
    """Windows of an hour to a second of event time, at 2,500 rows a second of it."""
    lines = [
        study.shared_as(length)
        if length == "1m"
        else study.line(length, study.topic, study.job(study.topic, window=length))
        for length in WINDOWS
    ]
    return table(lines, reason=REASONS["windows"])


def partitions(study: Study) -> list[Result]:
    """1 to 32 partitions of the same records."""
    lines = []
    for number in PARTITIONS:
        name = f"{number} partition{'s' if number > 1 else ''}"
        if number == study.topic.partitions:
            lines.append(study.shared_as(name))
            continue
        topic = study.filled(f"partitions-{number}", study.values, number)
        lines.append(study.line(name, topic, study.job(topic)))
    return table(lines, reason=REASONS["partitions"])


def sizes(study: Study) -> list[Result]:
    """Records of 200 bytes to 16 kB: ten features, and a text that no column asks for."""
    lines = []
    most = list(click_values(study.rows(max(SIZES.values())), shapes=TEN))
    for size, rows in SIZES.items():
        values = (padded(value, size) for value in most[: study.rows(rows)])
        topic = study.bench.fill(Topic(f"bytes-{size}"), values, study.rows(rows))
        job = study.job(topic, columns={name: kind for name, (kind, _) in TEN.items()})
        lines.append(study.line(f"{size:,} bytes", topic, job, size))
    return table(lines, "bytes", REASONS["sizes"])


def padded(value: bytes, size: int) -> bytes:
    """The record with a text of no column, `size` bytes in all."""
    start = value[:-1] + b',"more":"'
    return start + b"x" * (size - len(start) - 2) + b'"}'


TABLES: dict[str, Callable[[Study], list[Result]]] = {
    "features": features,
    "rejects": rejects,
    "windows": windows,
    "partitions": partitions,
    "sizes": sizes,
}
#: Why cost grows by more than its proportion, by table.
REASONS = {
    "features": "a batch ends at 16 MB: wide rows come in blocks of fewer rows, and a column has a fixed cost a block",
    "rejects": "a reject is read once more by itself, for its code and message, and written with its original bytes",
    "windows": "a window has tables of its own: a value of many short windows is counted, coded and ranked in each",
    "partitions": "a batch holds a run of each partition, each with a fixed cost",
    "sizes": "",
}


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(TABLES)), help="Measure this table alone; repeatable.")
@click.option("--rounds", default=1, show_default=True, type=click.IntRange(1))
@click.option("--scale", default=1.0, show_default=True, help="Share of the default numbers of rows.")
def main(only: Sequence[str], rounds: int, scale: float) -> None:
    """Rate and processor time of whole click jobs against what they are given."""
    with new_bench(rounds) as bench:
        study = Study(bench, scale)
        for name in only or TABLES:
            # Each table is written when it is done.
            write_results(f"scaling_{name}", TABLES[name](study))


if __name__ == "__main__":
    main()
