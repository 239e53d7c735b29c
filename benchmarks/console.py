"""How fast a console's pages are with much to remember, and what it takes: `make bench-console`.

A job of 1,000 features with 90 days of windows of five minutes, and one with 50,000 verdicts on wafers. Records are
taken as they are from topics, by another process, so that the memory measured is that of serving; every page is then
asked over HTTP, one after the other, so many times. What follows topics is not running: there is no broker.
"""

import multiprocessing
import resource
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.harness import Result, cost, write_results
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.web_console.access import Guard
from sparsewatch.pipelines.web_console.app import Console, application
from sparsewatch.pipelines.web_console.server import Server
from sparsewatch.pipelines.web_console.watched import Watched
from sparsewatch.schemas.units import DAY_US
from tests.kit.job_files import write_click_job, write_wafer_job
from tests.pipelines.notify.incident_records import START_US, incident
from tests.pipelines.web_console.filled import MINUTE_US, alert, fill, window
from tests.pipelines.web_console.test_clicks import WAFER

FEATURES, DAYS, WAFERS, INCIDENTS = 1_000, 90, 50_000, 500
#: Minutes of a window; records that are taken at once.
_MINUTES, _AT_ONCE = 5, 200
_PAGE_S, _MEMORY_MB = 1.0, 300.0
_VERDICTS = ("known", "normal", "novel")
_BROKER = "127.0.0.1:1"


def watched_jobs(folder: Path) -> dict[str, Watched]:
    """A job of clicks and one of wafers, with their stores in a folder."""
    files = (
        write_click_job(folder, _BROKER, "clicks"),
        write_wafer_job(folder, _BROKER, "fab", folder / "model"),
    )
    return {job.name: Watched(job, folder / "state") for job in map(load_job, files)}


def fill_stores(folder: Path, days: int, features: int = FEATURES, wafers: int = WAFERS) -> None:
    """Let both jobs take what their topics would hold."""
    jobs = watched_jobs(folder)
    clicks, fab = jobs["clicks"], jobs["fab"]
    names = [f"feature {number:04d}" for number in range(features)]
    random = np.random.default_rng(1)
    count = days * DAY_US // (_MINUTES * MINUTE_US)
    for first in range(-count, 0, _AT_ONCE):
        minutes = range(_MINUTES * first, min(0, _MINUTES * (first + _AT_ONCE)), _MINUTES)
        shares = dict(zip(names, random.random(features).round(4).tolist(), strict=True))
        fill(clicks, "windows", {f"clicks/{minute}": window(minute, features=shares) for minute in minutes})
    told = {f"clicks-{number}": incident(number, "resolved") for number in range(1, INCIDENTS)}
    fill(clicks, "incidents", {**told, f"clicks-{INCIDENTS}": incident(INCIDENTS)})
    raised = [alert(-number, f"clicks-{INCIDENTS}", {}, names[0]) for number in range(1, INCIDENTS)]
    fill(clicks, "alerts", {one.id: one for one in raised})
    for first in range(0, wafers, _AT_ONCE):
        fill(fab, "wafers", dict(_wafers(range(first, min(first + _AT_ONCE, wafers)))))
    for job in jobs.values():
        job.store.close()


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


def measure(folder: Path, rounds: int) -> list[Result]:
    """Seconds of each page, and the memory of the process at its most."""
    jobs = watched_jobs(folder)
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


@click.command()
@click.option("--rounds", default=40, show_default=True, type=click.IntRange(1), help="Times that a page is asked for.")
@click.option("--days", default=DAYS, show_default=True, type=click.IntRange(1), help="Days of windows.")
def main(rounds: int, days: int) -> None:
    """Seconds of a console's pages."""
    with tempfile.TemporaryDirectory() as name:
        filling = multiprocessing.get_context("spawn").Process(target=fill_stores, args=(Path(name), days))
        filling.start()
        filling.join()
        if filling.exitcode:
            raise click.ClickException(f"the stores were not filled: exit code {filling.exitcode}")
        results = measure(Path(name), rounds)
    write_results("console", results)


if __name__ == "__main__":
    main()
