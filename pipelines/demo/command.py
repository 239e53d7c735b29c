"""`sparsewatch demo`: everything together, found live, with a verdict."""

import contextlib
import json
import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import click
import msgspec
from rich.console import Console

from sparsewatch.pipelines.console.numbers import ranged
from sparsewatch.pipelines.console.stopping import ended_with_it
from sparsewatch.pipelines.demo import clicks, fab, show
from sparsewatch.pipelines.demo.faults import Fault, judge
from sparsewatch.pipelines.demo.jobs import train_rows, train_wafers, write_job_files
from sparsewatch.pipelines.demo.ledger import Ledger, scraped_account
from sparsewatch.pipelines.demo.stream import CLICK_PARTITIONS, WAFER_PARTITIONS, Published, publish_live
from sparsewatch.pipelines.demo.watch import OnRecord, TopicWatch, window_records
from sparsewatch.pipelines.demo.workers import JobWorker
from sparsewatch.pipelines.exporter.command import Exporter
from sparsewatch.pipelines.job.broker_checks import check_broker
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.pipelines.run.run import load_job_progress
from sparsewatch.pipelines.run.runners import find_prism
from sparsewatch.schemas.accounts import Account
from sparsewatch.schemas.alerts import Alert
from sparsewatch.schemas.errors import ConfigError, SourceError
from sparsewatch.schemas.incidents import IncidentRecord
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.schemas.settings import Range
from sparsewatch.testing import EmbeddedBroker
from sparsewatch.transforms.kafka.client import NewTopic
from sparsewatch.transforms.kafka.open import open_admin, open_writer

_HOUR_US = 3_600_000_000
_ROWS = 1_200
_WAFERS = 100
#: Windows of clicks written at first, enough to close a window of either stream: its result shows that the job is up.
_WARM_UP_WINDOWS = 5
_START_S = 120.0
_LEAST_HOURS = -(-clicks.LEAST_WINDOWS * clicks.WINDOW_US // _HOUR_US)


@dataclass
class Demo:
    """One run of the demo."""

    folder: Path
    runner: str
    seed: int
    hours: float
    pace_s: float
    console: Console
    alerts: list[Alert] = field(default_factory=list)
    #: As they stand, by id, and how long after their first window's last event they were told.
    incidents: dict[str, IncidentRecord] = field(default_factory=dict)
    delays_s: dict[str, float | None] = field(default_factory=dict)
    written: Published = field(default_factory=Published)

    def __post_init__(self) -> None:
        # The stream ends now: event times lie behind the clock, as they do in production.
        windows = round(self.hours * _HOUR_US / clicks.WINDOW_US)
        span = windows * clicks.WINDOW_US
        start = (int(time.time() * 1e6) - span) // _HOUR_US * _HOUR_US
        self.clicks = clicks.Clicks(self.seed, start, windows, _ROWS).plant(recreate=self.runner == "prism")
        self.fab = fab.Fab(self.seed, start, span // fab.WINDOW_US, _WAFERS)
        self.faults: list[Fault] = [*self.clicks.faults, *self.fab.faults]

    def run(self) -> bool:
        """Run it all; whether everything was found, nothing else was raised and the numbers add up."""
        started = time.monotonic()
        with contextlib.ExitStack() as stack:
            broker = stack.enter_context(EmbeddedBroker())
            stack.enter_context(ended_with_it(broker.stop))
            kafka = KafkaSettings(bootstrap_servers=[broker.bootstrap])
            jobs, workers = self._prepared(kafka, broker.bootstrap, stack)
            exporters = [stack.enter_context(Exporter(kafka, ready(job).topics.metrics, port=0)) for job in jobs]
            self.console.print(f"[bold]Metrics[/bold] for Prometheus: {' and '.join(e.url for e in exporters)}")
            watched: dict[str, OnRecord] = {ready(job).topics.alerts: self._on_alert for job in jobs}
            watched |= {ready(job).topics.incidents: self._on_incident for job in jobs}
            watch = stack.enter_context(TopicWatch(kafka, watched))
            prepared = time.monotonic()
            self._stream(kafka, jobs, workers)
            self._finish(workers)
            watch.stop()
            passed = self._conclude(kafka, jobs, exporters)
        took = time.monotonic() - started
        self.console.print(f"\n{took:.0f} s in all, {prepared - started:.0f} s of them to train")
        return passed

    def _prepared(
        self, kafka: KafkaSettings, bootstrap: str, stack: contextlib.ExitStack
    ) -> tuple[list[Job], list[JobWorker]]:
        job_files = write_job_files(self.folder, bootstrap)
        admin = open_admin(kafka)
        admin.create_topics([NewTopic(clicks.STREAM, CLICK_PARTITIONS), NewTopic(fab.STREAM, WAFER_PARTITIONS)])
        admin.close()
        jobs = [load_job(path) for path in job_files]
        workers = [JobWorker(path, self.runner) for path in job_files]
        for worker in workers:
            stack.callback(worker.stop)
            stack.enter_context(ended_with_it(worker.stop))
        with self.console.status("training the row model on clean clicks …"):
            train_rows(self.folder, self.seed, self.clicks.start_us, _ROWS)
        check_broker(ready(jobs[0]))
        workers[0].start()
        with self.console.status("training the wafer model …") as status:
            train_wafers(self.folder, self.seed, lambda epoch: _show_epoch(status, epoch.number))
        check_broker(ready(jobs[1]))
        workers[1].start()
        return jobs, workers

    def _stream(self, kafka: KafkaSettings, jobs: list[Job], workers: list[JobWorker]) -> None:
        writer, admin = open_writer(kafka), open_admin(kafka)
        try:
            for window in publish_live(writer, self.clicks, self.fab, self.pace_s, self.written, admin=admin):
                for worker in workers:
                    worker.check()
                if window == _WARM_UP_WINDOWS:
                    self._wait_for_start(kafka, jobs, workers)
        finally:
            writer.close()
            admin.close()

    def _wait_for_start(self, kafka: KafkaSettings, jobs: list[Job], workers: list[JobWorker]) -> None:
        deadline = time.monotonic() + _START_S
        with self.console.status("waiting for the first windows …"):
            while not all(window_records(kafka, ready(job).topics.windows) for job in jobs):
                for worker in workers:
                    worker.check()
                if time.monotonic() > deadline:
                    raise SourceError(f"no window was closed within {_START_S:.0f} s; see {self.folder}")
        self.console.print(
            "[bold]Both jobs run;[/bold] the one of clicks learns for an hour of events what is usual. "
            "Incidents as they come and go (in brackets: after the window's last event)"
        )

    def _finish(self, workers: list[JobWorker]) -> None:
        with self.console.status("reading what is left, closing all windows …"):
            for worker in workers:
                worker.finish()

    def _on_alert(self, value: bytes, _at_s: float) -> None:
        self.alerts.append(msgspec.json.decode(value, type=Alert))

    def _on_incident(self, value: bytes, at_s: float) -> None:
        incident = msgspec.json.decode(value, type=IncidentRecord)
        delay_s = self._delay_s(incident.window_end_us, at_s)
        self.incidents[incident.id] = incident
        self.delays_s.setdefault(incident.id, delay_s)
        self.console.print(show.incident_line(incident, delay_s))

    def _delay_s(self, window_end_us: int, at_s: float) -> float | None:
        written = self.written.written(window_end_us)
        return None if written is None else max(0.0, at_s - written)

    def _conclude(self, kafka: KafkaSettings, jobs: list[Job], exporters: list[Exporter]) -> bool:
        told = show.Told(list(self.incidents.values()), self.delays_s, self.alerts)
        verdict = judge(self.faults, told.incidents)
        books = {"ctr": _ledger(self.written.clicks, jobs[0], exporters[0])}
        books["wafer"] = _ledger(self.written.wafers, jobs[1], exporters[1])
        balanced = all(ledger.balanced for ledger in books.values())
        self._print_ranking(kafka, jobs[0])
        self.console.print(show.accounts_table(books))
        self.console.print(show.found_table(self.faults, told))
        for line in show.verdict_lines(verdict, balanced):
            self.console.print(line)
        rates = {
            "clicks_per_second": self.written.clicks.read / self.written.seconds,
            "wafers_per_second": self.written.wafers.read / self.written.seconds,
            "event_time_factor": self.clicks.windows * clicks.WINDOW_US / 1e6 / self.written.seconds,
        }
        self.report = show.report(self.faults, verdict, told, books, rates)
        return verdict.passed and balanced

    def _print_ranking(self, kafka: KafkaSettings, job: Job) -> None:
        records = window_records(kafka, ready(job).topics.windows)
        lost = next(f for f in self.clicks.faults if f.rules[0] == "feature_signal_lost")
        before, after = records.get(lost.start_us - clicks.WINDOW_US), records.get(lost.start_us)
        if before and after:
            self.console.print(show.ranking_table(before, after))
            for line in show.drift_lines(after):
                self.console.print(line)


def _show_epoch(status: object, epoch: int) -> bool:
    status.update(f"training the wafer model, epoch {epoch} …")  # type: ignore[attr-defined]
    return True


def _ledger(written: Account, job: Job, exporter: Exporter) -> Ledger:
    progress = load_job_progress(job)
    accounted = Account() if progress is None else progress.totals
    return Ledger(written, accounted, scraped_account(exporter.url, job.name, accounted))


def choose_mode(runner: str) -> str:
    """`prism` where it can be had, else repeated bounded runs.

    Raises:
        ConfigError: If Prism is asked for and missing.
    """
    if runner == "prism" and find_prism() is None:
        raise ConfigError("--runner prism: no Prism binary found; `make services-prism` builds it")
    if runner == "auto":
        return "inprocess" if find_prism() is None else "prism"
    return runner


def _mode_text(asked: str, mode: str) -> str:
    if mode == "prism":
        return "both jobs run continuously on Prism"
    why = "no Prism here; `make services-prism` builds it" if asked == "auto" else "as asked"
    return f"bounded runs, repeated ({why}); the topic of clicks is made anew only while jobs run continuously"


@click.command()
@click.option(
    "--report",
    "report_file",
    type=click.Path(path_type=Path),
    help="Write planted faults, incidents, alerts and accounts as JSON.",
)
@click.option("--seed", default=1, show_default=True, help="Seed of the streams and models.")
@click.option(
    "--hours",
    default=8.0,
    show_default=True,
    type=ranged(Annotated[float, Range(at_least=_LEAST_HOURS, at_most=48)]),
    help="Hours of event time.",
)
@click.option("--pace", default=0.45, show_default=True, help="Seconds for five minutes of event time.")
@click.option("--runner", type=click.Choice(["auto", "prism", "inprocess"]), default="auto", show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="Keep job files, models and logs in this folder.")
@click.option("--quiet", is_flag=True, help="Print nothing; only the exit code shows the result.")
def demo(
    report_file: Path | None, seed: int, hours: float, pace: float, runner: str, keep: Path | None, quiet: bool
) -> None:
    """See it all in under two minutes: a broker, two streams, planted faults, incidents, accounts.

    Hours of clicks (31 features, up to 100,000 values) and of a fab's wafers (six known patterns, one withheld) pass
    in under a minute. The clicks' job has no reference: it learns the first hour. Exit code 0 means that every planted
    fault was one incident, which names its cause and is resolved, that there was no other, and that every event written
    is accounted for; or that the demo was stopped.
    """
    console, mode = show.console(quiet), choose_mode(runner)
    with tempfile.TemporaryDirectory(prefix="sparsewatch-demo-") as temporary, _errors_only("sparsewatch.transforms"):
        folder = (keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        running = Demo(folder, mode, seed, hours, pace, console)
        console.print(f"[bold]Mode[/bold]: {_mode_text(runner, mode)}")
        console.print(show.planted_table(running.faults))
        try:
            passed = running.run()
        except KeyboardInterrupt:
            console.print("stopped; broker, jobs and exporters are stopped, too")
            return
        if report_file is not None:
            report_file.write_text(json.dumps(running.report, indent=1), encoding="utf-8")
    console.print("[bold green]passed[/bold green]" if passed else "[bold red]failed[/bold red]")
    if not passed:
        sys.exit(1)


@contextlib.contextmanager
def _errors_only(name: str) -> Iterator[None]:
    # The last run is done in this process; its warnings are shown as alerts already. The process may go on to others.
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
