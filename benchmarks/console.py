"""How fast a console's pages are with much to remember, and what it takes: `make bench-console`.

A job of 1,000 features with 90 days of windows of five minutes, and one with 50,000 verdicts on wafers. Records are
taken as they are from topics, by another process, so that the memory measured is that of serving; every page is then
asked over HTTP, one after the other, so many times. `memory` is of that, without a broker. `memory_following` is of the
command itself, started over these stores beside a real broker whose topics hold the last two days: it reads them from
their beginning, as after any restart, and every page is asked for while it follows them.
"""

import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np
from confluent_kafka import Producer

from benchmarks.harness import Result, cost, write_results
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.web_console.access import Guard
from sparsewatch.pipelines.web_console.app import Console, application
from sparsewatch.pipelines.web_console.server import Server
from sparsewatch.pipelines.web_console.watched import Watched
from sparsewatch.schemas.units import DAY_US
from tests.kit.job_files import write_click_job, write_wafer_job
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic
from tests.pipelines.notify.incident_records import START_US, incident
from tests.pipelines.web_console.filled import MINUTE_US, alert, fill, window
from tests.pipelines.web_console.test_clicks import WAFER

FEATURES, DAYS, WAFERS, INCIDENTS = 1_000, 90, 50_000, 500
#: Minutes of a window; records that are taken at once.
_MINUTES, _AT_ONCE = 5, 200
_PAGE_S, _MEMORY_MB = 1.0, 300.0
_VERDICTS = ("known", "normal", "novel")
#: Days of windows that topics hold. They are read once the process takes fewer ticks of the processor in so many
#: seconds than a quarter of them: to ask brokers for more takes a tenth.
_TOPIC_DAYS, _IDLE_S = 2, 3
_BUSY_TICKS = _IDLE_S * os.sysconf("SC_CLK_TCK") // 4


def job_files(folder: Path, broker: str) -> tuple[Path, Path]:
    """Of a job of clicks and one of wafers."""
    return write_click_job(folder, broker, "clicks"), write_wafer_job(folder, broker, "fab", folder / "model")


def watched_jobs(folder: Path, broker: str) -> dict[str, Watched]:
    """Both jobs, with their stores in a folder."""
    return {job.name: Watched(job, folder / "state") for job in map(load_job, job_files(folder, broker))}


def fill_stores(folder: Path, broker: str, days: int, features: int = FEATURES, wafers: int = WAFERS) -> None:
    """Let both jobs take what their topics would hold."""
    jobs = watched_jobs(folder, broker)
    for name, topic, records in records_of(days, features, wafers):
        fill(jobs[name], topic, records)
    for job in jobs.values():
        job.store.close()


def records_of(days: int, features: int, wafers: int) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """What topics would hold, some records at a time: name of the job, which of its topics, records by key."""
    names = [f"feature {number:04d}" for number in range(features)]
    random = np.random.default_rng(1)
    count = days * DAY_US // (_MINUTES * MINUTE_US)
    for first in range(-count, 0, _AT_ONCE):
        minutes = range(_MINUTES * first, min(0, _MINUTES * (first + _AT_ONCE)), _MINUTES)
        shares = dict(zip(names, random.random(features).round(4).tolist(), strict=True))
        windows = {minute: {**window(minute, features=shares), "twins": _twins(names[:40])} for minute in minutes}
        yield "clicks", "windows", {f"clicks/{minute}": one for minute, one in windows.items()}
    told = {f"clicks-{number}": incident(number, "resolved") for number in range(1, INCIDENTS)}
    yield "clicks", "incidents", {**told, f"clicks-{INCIDENTS}": incident(INCIDENTS)}
    raised = [alert(-number, f"clicks-{INCIDENTS}", {}, names[0]) for number in range(1, INCIDENTS)]
    yield "clicks", "alerts", {one.id: one for one in raised}
    for first in range(0, wafers, _AT_ONCE):
        yield "fab", "wafers", dict(_wafers(range(first, min(first + _AT_ONCE, wafers))))


def _twins(names: Sequence[str]) -> Mapping[str, Any]:
    percent = [[(7 * row + column) % 100 for column in range(row)] for row in range(len(names))]
    return {"rows": 9_000, "features": 128, "groups": [], "map": {"features": names, "percent": percent}}


def _wafers(numbers: range) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number in numbers:
        id_ = f"wafers/0/{number}/0"
        own = {
            "id": id_,
            "wafer_id": f"W{number:06d}",
            "lot": f"L{number // 25:05d}",
            "tool": f"T{number % 7}",
            "event_time_us": START_US - number * MINUTE_US,
            "verdict": _VERDICTS[number % 3],
        }
        yield id_, {**WAFER, **own}


#: Pages by a name; those of a broker or a model folder are of what is not there.
PAGES = {
    "now": "/",
    "incidents": "/jobs/clicks/incidents",
    "incident": f"/jobs/clicks/incidents/clicks-{INCIDENTS}",
    "features": "/jobs/clicks/features",
    "features searched": "/jobs/clicks/features?q=0999",
    "redundancy": "/jobs/clicks/redundancy",
    "feature over a day": "/jobs/clicks/feature?name=feature+0500&days=1",
    "feature over 90 days": "/jobs/clicks/feature?name=feature+0500&days=90",
    "wafers": "/jobs/fab/wafers",
    "wafers searched": "/jobs/fab/wafers?q=W049",
    "wafers of a verdict": "/jobs/fab/wafers?label=%3Dnovel",
    "wafer": "/jobs/fab/result?id=wafers/0/77/0",
    "accounts": "/jobs/clicks/accounts",
    "models": "/jobs/clicks/models",
    "words": "/words",
}


def asked(url: str, rounds: int) -> tuple[float, int]:
    """Seconds within which nineteen of twenty answers came, and bytes of the page."""
    taken, size = [], 0
    for _ in range(rounds):
        began = time.perf_counter()
        with urllib.request.urlopen(url, timeout=60) as answer:
            size = len(answer.read())
        taken.append(time.perf_counter() - began)
    return float(np.quantile(taken, 0.95)), size


def measure(folder: Path, broker: str, rounds: int) -> list[Result]:
    """Seconds of each page, and the memory of the process at its most."""
    jobs = watched_jobs(folder, broker)
    began = time.perf_counter()
    console = Console(jobs, Guard({}, "ada"))
    results = []
    with Server(application(console), "127.0.0.1", 0) as server:
        first = asked(server.url, 1)
        results.append(cost("first page after", time.perf_counter() - began, "s", note=f"{first[1]:,} bytes"))
        for name, path in PAGES.items():
            seconds, size = asked(server.url.rstrip("/") + path, rounds)
            note = f"nineteen in twenty of {rounds}; {size:,} bytes"
            results.append(cost(f"page {name}", seconds, "s", target=_PAGE_S, note=note))
    for job in jobs.values():
        job.store.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000
    files = sum(path.stat().st_size for path in (folder / "state").iterdir()) / 1e6
    note = f"the largest it was, without what follows topics; its files have {files:,.0f} MB"
    return [*results, cost("memory", peak, "MB", target=_MEMORY_MB, note=note)]


def following(folder: Path, broker: str, rounds: int) -> Result:
    """Memory of the command at its most, while it follows topics and answers."""
    _fill_topics(folder, broker)
    files = map(str, job_files(folder, broker))
    command = [sys.executable, "-m", "sparsewatch", "console", *files, "--state", str(folder / "state"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1].rstrip("/")
        before, used = -_BUSY_TICKS, _ticks(process.pid)
        while used - before >= _BUSY_TICKS:
            time.sleep(_IDLE_S)
            before, used = used, _ticks(process.pid)
        for path in PAGES.values():
            asked(url + path, rounds)
        peak = _peak_mb(process.pid)
        process.terminate()
    note = f"the command's at its most, topics of {_TOPIC_DAYS} days of windows and {WAFERS:,} wafers read again"
    return cost("memory_following", peak, "MB", target=_MEMORY_MB, note=note)


def _fill_topics(folder: Path, broker: str) -> None:
    jobs = watched_jobs(folder, broker)
    topics = {name: {one.name.rpartition(".")[2]: one.name for one in job.followed} for name, job in jobs.items()}
    for one in {topic for own in topics.values() for topic in own.values()}:
        create_topic(broker, one, 1)
    producer = Producer({"bootstrap.servers": broker, "message.max.bytes": 16 << 20})
    for name, topic, records in records_of(_TOPIC_DAYS, FEATURES, WAFERS):
        for key, record in records.items():
            producer.produce(topics[name][topic], msgspec.json.encode(record), key.encode())
        producer.flush()
    for job in jobs.values():
        job.store.close()


def _ticks(process: int) -> int:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _peak_mb(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024 / 1e6


@click.command()
@click.option("--rounds", default=40, show_default=True, type=click.IntRange(1), help="Times that a page is asked for.")
@click.option("--days", default=DAYS, show_default=True, type=click.IntRange(1), help="Days of windows.")
def main(rounds: int, days: int) -> None:
    """Seconds of a console's pages."""
    with tempfile.TemporaryDirectory() as name, KafkaBroker() as broker:
        folder, at = Path(name), broker.bootstrap
        filling = multiprocessing.get_context("spawn").Process(target=fill_stores, args=(folder, at, days))
        filling.start()
        filling.join()
        if filling.exitcode:
            raise click.ClickException(f"the stores were not filled: exit code {filling.exitcode}")
        results = [*measure(folder, at, rounds), following(folder, at, rounds)]
    write_results("console", results)


if __name__ == "__main__":
    main()
