"""What benchmarks of whole jobs share: topics on a real Apache Kafka of their own, and jobs run over them, timed.

A topic is filled beforehand, in pieces, and only a sample of its values is kept for peers. A job runs in a process of
its own as `sparsewatch run --until latest` would; broker and job share the cores.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from confluent_kafka import Producer

from benchmarks.timed_job import Timing
from benchmarks.workloads import FEATURES, LABEL, SHAPES, TIME, arrow_records, click_table, json_records
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic

PARTITIONS = 2
BLOCK_ROWS = 16_384
#: Rows of a window of event time, one minute.
WINDOW_ROWS = 150_000
#: Bytes of a topic's first values that are kept for peers.
SAMPLE_BYTES = 150_000_000
_PIECE_CELLS = 4_000_000
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
length = "{window}"
[columns]
{columns}
"""
#: The text of a job file for a name.
JobText = Callable[[str], str]
_begun = time.monotonic()


def say(text: str) -> None:
    """A line of progress, with the seconds since the program began."""
    print(f"[{time.monotonic() - _begun:5.0f} s] {text}", file=sys.stderr, flush=True)


@dataclass
class Topic:
    """A topic that is being filled, and the first of its values."""

    name: str
    format: str = "json"
    partitions: int = PARTITIONS
    #: Events in it.
    rows: int = 0
    records: int = 0
    sample: list[bytes] = field(default_factory=list)
    sample_bytes: int = 0


@dataclass
class Bench:
    """A broker, a folder for job files, and how often each case is measured."""

    bootstrap: str
    folder: Path
    rounds: int
    jobs: int = 0

    def fill(self, topic: Topic, values: Iterable[bytes], rows: int) -> Topic:
        """Write more records to a topic, spread over its partitions.

        Args:
            topic: Made if it holds nothing yet.
            values: Of the records.
            rows: Events in them.

        Raises:
            TimeoutError: If the broker does not take them.
        """
        if not topic.records:
            create_topic(self.bootstrap, topic.name, topic.partitions)
        producer = Producer(
            {"bootstrap.servers": self.bootstrap, "message.max.bytes": 16 << 20, "linger.ms": 20, "acks": "all"}
        )
        for value in values:
            _produce(producer, topic.name, value, topic.records % topic.partitions)
            topic.records += 1
            if topic.sample_bytes < SAMPLE_BYTES:
                topic.sample.append(value)
                topic.sample_bytes += len(value)
        if producer.flush(_PROCESS_S):
            raise TimeoutError(f"topic {topic.name!r} could not be filled")
        topic.rows += rows
        say(f"topic {topic.name} holds {topic.rows:,} rows")
        return topic

    def run(self, job: JobText, rows: int, environment: Mapping[str, str] | None = None) -> Timing:
        """Run a new job over a whole topic.

        Args:
            job: Its file.
            rows: What it must count or reject.
            environment: Of the job's process; None for this one's.

        Raises:
            RuntimeError: If the job fails or accounts for other rows.
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
            env=None if environment is None else dict(environment),
        )
        if done.returncode:
            raise RuntimeError(f"{job_file.name} failed: {done.stderr.decode()[-2000:]}")
        timing = msgspec.json.decode(done.stdout.splitlines()[-1], type=Timing)
        if timing.rows + timing.rejected != rows:
            raise RuntimeError(f"expected {rows} rows in the accounts, got {timing.rows}: {timing.summary}")
        timing.start_up = timing.first_read - started
        say(f"{job_file.stem}: {rows / timing.seconds:,.0f} rows/s, {timing.cores:.2f} cores busy; {timing.summary}")
        return timing


def _produce(producer: Producer, topic: str, value: bytes, partition: int) -> None:
    while True:
        try:
            producer.produce(topic, value, partition=partition)
        except BufferError:
            producer.poll(0.1)
        else:
            return


def click_values(
    rows: int,
    format_: str = "json",
    first_row: int = 0,
    *,
    window_rows: int = WINDOW_ROWS,
    shapes: Mapping[str, tuple[str, int]] = SHAPES,
) -> Iterator[bytes]:
    """Values of records of clicks, made piece by piece: millions of rows take the memory of one piece.

    Args:
        rows: How many.
        format_: `json`, or `arrow` of 1,024 to 4,096 rows a record.
        first_row: Rows that came before: event times follow theirs, and values are other ones.
        window_rows: Rows of a minute of event time.
        shapes: Of the features, see `SHAPES`.
    """
    step = max(1, _PIECE_CELLS // len(shapes))
    for start in range(first_row, first_row + rows, step):
        piece = min(step, first_row + rows - start)
        table = click_table(piece, start, rows_per_second=window_rows / 60, first_row=start, shapes=shapes)
        yield from json_records(table) if format_ == "json" else arrow_records(table, start)


def click_job(
    bench: Bench,
    topic: Topic,
    client: str,
    *,
    window: str = "1m",
    columns: Mapping[str, str] = FEATURES,
    source: Sequence[str] = (),
) -> JobText:
    """The job file of a click-through job over a topic, for a name.

    Args:
        bench: Where it runs.
        topic: What it reads.
        client: Kafka client.
        window: Length of its windows.
        columns: Types of its features.
        source: Further lines about the source.
    """
    lines = "\n".join(f'{name} = "{kind}"' for name, kind in {**columns, LABEL: "int"}.items())

    def job(name: str) -> str:
        text = _CLICK_JOB.format(
            name=name,
            label=LABEL,
            bootstrap=bench.bootstrap,
            client=client,
            topic=topic.name,
            time=TIME,
            format=topic.format,
            block_rows=BLOCK_ROWS,
            window=window,
            columns=lines,
        )
        return text.replace("[source]\n", "\n".join(["[source]", *source, ""]))

    return job


@contextmanager
def new_bench(rounds: int) -> Iterator[Bench]:
    """A broker of its own and a folder, both deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="sparsewatch-bench-") as folder, KafkaBroker() as broker:
        say(f"Apache Kafka answers at {broker.bootstrap}")
        yield Bench(broker.bootstrap, Path(folder), rounds)
