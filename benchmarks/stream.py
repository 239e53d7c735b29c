"""`make bench-stream`: whole jobs from a real Apache Kafka on this machine, beside polars decoding the same bytes.

A topic is filled beforehand; the job runs in a process of its own as `sparsewatch run --until latest` would. A rate is
the topic's rows over the time from the job's first read to its last commit, broker and job on the same cores. The
time before the first read (imports, models, looking at the broker) is a result of its own. The peer decodes what the
topic holds, as many records at a time as the job gathers, and does nothing else.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
import msgspec
import polars as pl
from confluent_kafka import Producer

from benchmarks.harness import Result, Rounds, interleave, rate, seconds, write_results
from benchmarks.timed_job import Timing
from benchmarks.workloads import (
    FEATURES,
    LABEL,
    TIME,
    arrow_records,
    click_table,
    json_records,
    wafer_labels,
    wafer_table,
)
from sparsewatch.detectors.sparse_net.train import TrainConfig
from sparsewatch.detectors.wafers.training import WaferTrainingConfig, train_wafer_model
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic

PARTITIONS = 2
BLOCK_ROWS = 16_384
#: Rows of a window of event time, one minute.
WINDOW_ROWS = 150_000
_PIECE_ROWS = 100_000
_PROCESS_S = 600
_CLICK_JOB = """
kind = "ctr"
name = "{name}"
label = "{label}"
[kafka]
bootstrap_servers = ["{bootstrap}"]
client = "{client}"
[source]
topic = "{topic}"
time_column = "{time}"
format = "{format}"
block_rows = {block_rows}
[windows]
length = "1m"
[columns]
{columns}
"""
_WAFER_JOB = """
kind = "wafer"
name = "{name}"
[kafka]
bootstrap_servers = ["{bootstrap}"]
[source]
topic = "{topic}"
time_column = "{time}"
[windows]
length = "1m"
[wafers]
model = "{model}"
"""
DEFECTS = 1_000
GRID = 16_384
#: Wafers of a window of event time.
WINDOW_WAFERS = 500
_TRAINING_WAFERS = 800


@dataclass
class Topic:
    """A filled topic and the bytes it holds."""

    name: str
    format: str
    rows: int
    values: list[bytes]


@dataclass
class Bench:
    """A broker, a folder for job files, and how often each case is measured."""

    bootstrap: str
    folder: Path
    rounds: int
    jobs: int = 0
    timings: list[Timing] = field(default_factory=list)

    def fill(self, topic: Topic) -> Topic:
        """Write the topic's records, spread over its partitions."""
        create_topic(self.bootstrap, topic.name, PARTITIONS)
        producer = Producer(
            {"bootstrap.servers": self.bootstrap, "message.max.bytes": 16 << 20, "linger.ms": 20, "acks": "all"}
        )
        for number, value in enumerate(topic.values):
            while True:
                try:
                    producer.produce(topic.name, value, partition=number % PARTITIONS)
                    break
                except BufferError:
                    producer.poll(0.1)
            if number % 1000 == 0:
                producer.poll(0)
        if producer.flush(_PROCESS_S):
            raise TimeoutError(f"topic {topic.name!r} could not be filled")
        return topic

    def run(self, job: Callable[[str], str], rows: int) -> float:
        """Run a new job over a whole topic; rows a second from first read to last commit.

        Args:
            job: The job file for a name.
            rows: What it must count.

        Raises:
            RuntimeError: If the job fails or counts other rows.
        """
        self.jobs += 1
        job_file = self.folder / f"job-{self.jobs}.toml"
        job_file.write_text(job(f"bench-{self.jobs}"), encoding="utf-8")
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.timed_job", str(job_file)],
            capture_output=True,
            timeout=_PROCESS_S,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{job_file.name} failed: {done.stderr.decode()[-2000:]}")
        timing = msgspec.json.decode(done.stdout.splitlines()[-1], type=Timing)
        if timing.rows != rows:
            raise RuntimeError(f"expected {rows} rows counted, got {timing.rows}: {timing.summary}")
        timing.start_up = timing.first_read - started
        self.timings.append(timing)
        return rows / (timing.last_commit - timing.first_read)

    def compare(self, name: str, topic: Topic, job: Callable[[str], str], target: float, unit: str) -> list[Result]:
        """A job's rate beside the bare decoding of its topic, and what else its runs cost."""
        self.timings = []
        ours, peer = interleave(
            [lambda: self.run(job, topic.rows), lambda: topic.rows / seconds(lambda: decode_bare(topic))], self.rounds
        )
        busy = Rounds([topic.rows / (t.processor_at_last_commit - t.processor_at_first_read) for t in self.timings])
        return [
            rate(name, ours, unit, peer="polars decoding alone", peer_value=peer, target=target),
            rate(f"{name}_processor", busy, f"{unit.partition('/')[0]}/processor second of the job"),
            rate(f"{name}_start_up", Rounds([t.start_up for t in self.timings]), "s to the first read"),
            rate(f"{name}_memory", Rounds([t.peak_memory_mb for t in self.timings]), "MB at most"),
        ]


def decode_bare(topic: Topic) -> None:
    """Decode a topic's values with polars, a block's worth at a time."""
    if topic.format == "arrow":
        for value in topic.values:
            pl.read_ipc_stream(value)
        return
    for start in range(0, len(topic.values), BLOCK_ROWS):
        pl.read_ndjson(b"\n".join(topic.values[start : start + BLOCK_ROWS]), infer_schema_length=100)


def click_job(bench: Bench, topic: Topic, client: str) -> Callable[[str], str]:
    """The job file of a click-through job over `topic`, for a name."""
    columns = "\n".join(f'{name} = "{kind}"' for name, kind in {**FEATURES, LABEL: "int"}.items())

    def job(name: str) -> str:
        return _CLICK_JOB.format(
            name=name,
            label=LABEL,
            bootstrap=bench.bootstrap,
            client=client,
            topic=topic.name,
            time=TIME,
            format=topic.format,
            block_rows=BLOCK_ROWS,
            columns=columns,
        )

    return job


def click_topic(bench: Bench, format_: str, rows: int) -> Topic:
    """A filled topic of clicks."""
    values: list[bytes] = []
    for number, first in enumerate(range(0, rows, _PIECE_ROWS)):
        piece = min(_PIECE_ROWS, rows - first)
        table = click_table(piece, number, rows_per_second=WINDOW_ROWS / 60, first_row=first)
        values += json_records(table) if format_ == "json" else arrow_records(table, number)
    return bench.fill(Topic(f"clicks-{format_}", format_, rows, values))


def bench_json(bench: Bench, rows: int) -> Iterator[Result]:
    """`json_kafka_python` and `json_confluent`, over one topic."""
    topic = click_topic(bench, "json", rows)
    for client, target in (("kafka-python", 40_000), ("confluent", 100_000)):
        yield from bench.compare(
            f"json_{client.replace('-', '_')}", topic, click_job(bench, topic, client), target, "rows/s"
        )


def bench_arrow(bench: Bench, rows: int) -> Iterator[Result]:
    """`arrow`: records of 1,024 to 4,096 rows."""
    topic = click_topic(bench, "arrow", rows)
    yield from bench.compare("arrow", topic, click_job(bench, topic, "kafka-python"), 300_000, "rows/s")


def train_model(folder: Path) -> Path:
    """A wafer model of the default size; its speed does not depend on how well it was trained."""
    labels = wafer_labels(_TRAINING_WAFERS, 1)
    rows = wafer_table(labels, 1, defects=DEFECTS, wafers_per_second=1).drop_columns(TIME).combine_chunks()
    config = WaferTrainingConfig(grid=GRID, train=TrainConfig(epochs=2))
    model, _ = train_wafer_model(rows.to_batches()[0], labels, config)
    return model.save(folder, metrics={}, training={})


def bench_wafers(bench: Bench, rows: int) -> Iterator[Result]:
    """`wafers`: JSON, 1,000 defects a wafer, 16,384 cells a side."""
    model = train_model(bench.folder / "model")
    table = wafer_table(wafer_labels(rows, 2), 2, defects=DEFECTS, wafers_per_second=WINDOW_WAFERS / 60)
    topic = bench.fill(Topic("wafers", "json", rows, json_records(table)))

    def job(name: str) -> str:
        return _WAFER_JOB.format(name=name, bootstrap=bench.bootstrap, topic=topic.name, time=TIME, model=model)

    yield from bench.compare("wafers", topic, job, 300, "wafers/s")


CASES: dict[str, Callable[[Bench, int], Iterator[Result]]] = {
    "json": bench_json,
    "arrow": bench_arrow,
    "wafers": bench_wafers,
}
ROWS = {"json": 600_000, "arrow": 3_000_000, "wafers": 4_000}


@contextmanager
def new_bench(rounds: int) -> Iterator[Bench]:
    """A broker of its own and a folder, both deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="sparsewatch-bench-") as folder, KafkaBroker() as broker:
        yield Bench(broker.bootstrap, Path(folder), rounds)


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(CASES)), help="Measure this part alone; repeatable.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--scale", default=1.0, show_default=True, help="Share of the default numbers of rows.")
def main(only: Sequence[str], rounds: int, scale: float) -> None:
    """Whole jobs from a real Kafka."""
    results: list[Result] = []
    with new_bench(rounds) as bench:
        for name in only or CASES:
            results += CASES[name](bench, round(ROWS[name] * scale))
    write_results("stream", results, keep_others=bool(only))


if __name__ == "__main__":
    main()
