"""Long runs of the click-through job on Prism and Apache Kafka, against an offline recount.

`continuous`: ten minutes at a steady rate with two idle partitions; windows, memory and delays are watched.
`kill`: the job is killed with SIGKILL at seeded random moments and started again; late, disordered and broken records
are in the stream. Both meet the troubles of `soak_troubles`: an lz4 topic with aborted transactions, an added
partition, a broker that restarts, a second instance. Afterwards every window, score and number must equal an offline
recount.
"""

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import polars as pl

from benchmarks.harness import Result, write_results
from benchmarks.soak_incidents import compare_incidents
from benchmarks.soak_stream import DISORDER_S, Stream
from benchmarks.soak_troubles import Aborter, add_partition, restart, second_instance
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.run.run import load_job_progress
from tests.kit.services import KafkaBroker
from tests.kit.topics import Raw, create_topic, newest_by_key, read_all
from tests.oracles.accounts import Record, recount
from tests.oracles.windows import assert_window_equals, json_events, window_truths

WINDOW_S = 5
FEATURES = {"ad": "int", "site": "str", "user": "int", "hour": "int", "device": "str", "mobile": "bool"}
JOB = """
kind = "ctr"
name = "soak"
label = "label"
[kafka]
bootstrap_servers = ["{bootstrap}"]
[source]
topic = "soak"
time_column = "t"
time_format = "epoch_ms"
# Shares that windows have by turns: incidents open, end and come back.
[stream]
late_high = 0.01
rejects_high = 0.005
min_set_aside = 5
[incidents]
resolve_after = 1
reopen_within = 2
[windows]
length = "{window}s"
disorder = "{disorder}s"
idle_after = "3s"
[columns]
{columns}
label = "int"
"""


@dataclass
class Run:
    """The job as a user starts it, in a process group of its own."""

    job_file: Path
    log: Path
    until: str = "forever"

    def start(self) -> "Run":
        """Start `sparsewatch run`."""
        runner = "prism" if self.until == "forever" else "inprocess"
        command = ["sparsewatch", "run", str(self.job_file), "--until", self.until, "--runner", runner]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).parent / command[0]), *command[1:]],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def kill(self) -> None:
        """SIGKILL to the job and the runner it started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def memory_mb(self) -> float:
        """Resident memory of the job's process and its children."""
        total, waiting = 0.0, [self.process.pid]
        while waiting:
            pid = waiting.pop()
            try:
                status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
            except FileNotFoundError:
                continue
            total += next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024
            waiting += [int(child) for child in children.split()]
        return total


def prepared(folder: Path, bootstrap: str, partitions: int) -> Path:
    """The job file, with its topic created."""
    create_topic(bootstrap, "soak", partitions)
    columns = "\n".join(f'{name} = "{kind}"' for name, kind in FEATURES.items())
    job_file = folder / "soak.toml"
    job_file.write_text(JOB.format(bootstrap=bootstrap, window=WINDOW_S, disorder=DISORDER_S, columns=columns))
    return job_file


def compare(job: Job, bootstrap: str) -> dict[str, Any]:
    """The job's topics against an offline recount of its source; raises AssertionError where they differ."""
    raw = read_all(bootstrap, "soak")
    topic: dict[int, list[Record]] = {}
    #: Aborted transactions leave gaps between the offsets.
    offsets: dict[int, list[int]] = {}
    for record in raw:
        broken = (record.value or b"").startswith(b"{b")
        topic.setdefault(record.partition, []).append(None if broken else [json.loads(record.value or b"")["t"] * 1000])
        offsets.setdefault(record.partition, []).append(record.offset)
    truth = recount(topic, WINDOW_S * 1_000_000, DISORDER_S * 1_000_000)
    late = {(p, offsets[p][i]) for p, i, _ in truth.late}
    written = read_all(bootstrap, "soak.windows")
    closed = newest_by_key(written)
    windows = {key: window for key, window in closed.items() if window["rows"]}
    assert {w["window_start_us"]: w["rows"] for w in windows.values()} == dict(truth.windows)
    starts = {w["window_start_us"] for w in closed.values()}
    assert starts >= set(truth.reached(WINDOW_S * 1_000_000)), "a window without rows has no record"
    for record in written:
        assert rows_of(record) == closed[(record.key or b"").decode()]["rows"], (
            "a window was written with other numbers"
        )
    events = _on_time(raw, late)
    truths = window_truths(events, "t", WINDOW_S * 1_000_000, list(FEATURES), "label")
    for window in windows.values():
        assert_window_equals(window, truths[window["window_start_us"]])
    progress = load_job_progress(job)
    assert progress is not None
    totals = progress.totals
    assert (totals.counted, totals.late, totals.rejected) == (
        sum(truth.windows.values()),
        len(truth.late),
        len(truth.rejected),
    )
    assert totals.read == len(raw)
    assert totals.lost == 0
    assert not any(event["site"] == "aborted" for event in map(_event_of, raw)), "an aborted event was read back"
    assert ids_of(read_all(bootstrap, "soak.late")) == late
    assert ids_of(read_all(bootstrap, "soak.rejects")) == {(p, offsets[p][i]) for p, i in truth.rejected}
    incidents = compare_incidents("soak", bootstrap, progress)
    return {
        "records": len(raw),
        "windows": len(windows),
        "late": totals.late,
        "rejected": totals.rejected,
        "incidents": incidents,
    }


def _event_of(record: Raw) -> dict[str, Any]:
    value = record.value or b""
    return {"site": None} if value.startswith(b"{b") else json.loads(value)


def rows_of(record: Raw) -> int:
    """Rows of a record of the windows topic."""
    return int(json.loads(record.value or b"{}")["rows"])


def ids_of(records: list[Raw]) -> set[tuple[int, int]]:
    """Partition and offset that side records came from."""
    found = [dict(record.headers) for record in records]
    return {(int(h["sparsewatch.partition"]), int(h["sparsewatch.offset"])) for h in found}


def _on_time(raw: list[Raw], late: set[tuple[int, int]]) -> pl.DataFrame:
    return json_events(
        r.value for r in raw if r.value and not r.value.startswith(b"{b") and (r.partition, r.offset) not in late
    )


@click.group()
def soak() -> None:
    """Long runs against an offline recount."""


@soak.command()
@click.option("--kills", default=20, show_default=True)
@click.option("--rate", default=600, show_default=True, help="Events a second.")
@click.option("--seed", default=1, show_default=True)
def kill(kills: int, rate: int, seed: int) -> None:
    """Kill the job again and again, with troubles in between, then recount."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name, KafkaBroker() as broker:
        folder = Path(name)
        job_file = prepared(folder, broker.bootstrap, 3)
        waits = [rng.uniform(6, 20) for _ in range(kills)]
        stream = Stream(broker.bootstrap, rate, sum(waits) + 60, 3, dirty=True, seed=seed)
        aborter = Aborter(broker.bootstrap, "soak")
        stream.start()
        aborter.start()
        run = Run(job_file, folder / "run.log")
        troubles = {round(kills * share): trouble for share, trouble in TROUBLES.items()}
        for number, wait in enumerate(waits, 1):
            run.start()
            time.sleep(wait)
            assert run.process.poll() is None, run.log.read_text()[-3000:]
            if number in troubles:
                run = troubles[number](broker, stream, run)
            run.kill()
            click.echo(f"kill {number} after {wait:.1f} s, {stream.sent} events sent")
        found = _settled(broker, stream, aborter, run)
    write_results("soak_kill", [Result(name=f"kills_{k}", value=float(v), unit=k) for k, v in found.items()])


def _more_partitions(broker: KafkaBroker, stream: Stream, run: Run) -> Run:
    add_partition(broker.bootstrap, "soak", stream.topic_partitions + 1)
    stream.topic_partitions += 1
    # Written to at once, as producers do: the job must not have closed windows without it.
    stream.extra = stream.topic_partitions - 1
    time.sleep(8)
    return run


def _broker_restarts(broker: KafkaBroker, stream: Stream, run: Run) -> Run:
    del stream
    restart(broker)
    time.sleep(8)
    return run


def _second_instance(broker: KafkaBroker, stream: Stream, run: Run) -> Run:
    del broker, stream
    other = Run(run.job_file, run.log.with_name("second.log"))
    second_instance(run.process, lambda: other.start().process)
    time.sleep(8)
    return other


#: Troubles by the share of a soak after which they come.
TROUBLES = {0.25: _more_partitions, 0.5: _broker_restarts, 0.75: _second_instance}


def _settled(broker: KafkaBroker, stream: Stream, aborter: Aborter, run: Run) -> dict[str, Any]:
    """Read the rest in a bounded run, and compare with a recount."""
    while not stream.done.wait(1):
        assert stream.is_alive(), "the stream ended by itself"
    aborter.stop()
    last = Run(run.job_file, run.log, until="latest").start().process
    assert last.wait() == 0, run.log.read_text()[-3000:]
    found = compare(load_job(run.job_file), broker.bootstrap) | {"aborted": aborter.events}
    click.echo(f"equal to the recount: {found}")
    return found


@soak.command()
@click.option("--seconds", default=600, show_default=True)
@click.option("--rate", default=2000, show_default=True, help="Events a second.")
def continuous(seconds: int, rate: int) -> None:
    """Run on, with troubles, and watch windows, memory and delays."""
    with tempfile.TemporaryDirectory() as name, KafkaBroker() as broker:
        folder = Path(name)
        # Two of four partitions never get a record.
        job_file = prepared(folder, broker.bootstrap, 4)
        run = Run(job_file, folder / "run.log").start()
        stream = Stream(broker.bootstrap, rate, seconds, 2, dirty=False, seed=3, topic_partitions=4)
        aborter = Aborter(broker.bootstrap, "soak")
        stream.start()
        aborter.start()
        memory: list[float] = []
        troubled: list[float] = []
        begun = time.monotonic()
        for share, trouble in TROUBLES.items():
            memory += _watch(run, stream, begun + share * seconds)
            troubled.append(time.time())
            run = trouble(broker, stream, run)
        memory += _watch(run, stream)
        _wait_for_windows(broker.bootstrap, seconds // WINDOW_S - 2)
        run.kill()
        delays = _delays(broker.bootstrap, troubled)
        found = _settled(broker, stream, aborter, run)
    half = len(memory) // 2
    results = [
        Result(name="windows", value=float(found["windows"]), unit="windows"),
        Result(name="records", value=float(found["records"]), unit="records"),
        Result(name="memory_first_half", value=statistics.median(memory[half // 2 : half]), unit="MB"),
        Result(name="memory_second_half", value=statistics.median(memory[half:]), unit="MB"),
        Result(name="delay_median", value=statistics.median(delays), unit="s after the window's end"),
        Result(
            name="delay_worst",
            value=max(delays),
            unit="s after the window's end",
            target=2.0,
            met=max(delays) <= 2.0,
            note="one window + 2 s of its cause; without the minute after each trouble",
        ),
    ]
    write_results("soak_continuous", results)


def _watch(run: Run, stream: Stream, until: float = float("inf")) -> Iterator[float]:
    while time.monotonic() < until and not stream.done.wait(5):
        assert run.process.poll() is None, run.log.read_text()[-3000:]
        yield run.memory_mb()


def _wait_for_windows(bootstrap: str, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(newest_by_key(read_all(bootstrap, "soak.windows"))) < count:
        assert time.monotonic() < deadline, f"fewer than {count} windows were written"


def _delays(bootstrap: str, troubled: list[float]) -> list[float]:
    """Seconds from each window's end to its record, without the first (the job was starting) and troubled minutes."""
    written = sorted(
        (json.loads(r.value or b"{}")["window_end_us"], r.timestamp_ms) for r in read_all(bootstrap, "soak.windows")
    )
    return [
        stamp / 1e3 - end / 1e6
        for end, stamp in written[2:]
        if not any(moment - WINDOW_S <= end / 1e6 <= moment + 60 for moment in troubled)
    ]


if __name__ == "__main__":
    soak()
