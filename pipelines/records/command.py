"""`sparsewatch windows|alerts|incidents|results list`: what a job wrote, once or as it comes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec

from sparsewatch.pipelines.console.numbers import ranged
from sparsewatch.pipelines.console.printable import printable
from sparsewatch.pipelines.console.tables import output, table
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.pipelines.records.listing import ALERTS, FINDINGS, INCIDENTS, RESULTS, WINDOWS, View
from sparsewatch.pipelines.records.reading import MAX_BYTES, Record, following_records, newest_records, standing_records
from sparsewatch.schemas.alerts import Severity, counted
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.incidents import SEVERITIES
from sparsewatch.schemas.settings import Count
from sparsewatch.schemas.units import parse_moment_us
from sparsewatch.transforms.kafka.compacted import Compacted

_TABLE_RECORDS = 20

_EXAMPLES = """
\b
Examples:
  sparsewatch windows list clicks.toml --last 5
  sparsewatch alerts list clicks.toml --follow
  sparsewatch alerts list clicks.toml --rule feature_vanished --json | jq .evidence
  sparsewatch incidents list clicks.toml --firing
  sparsewatch incidents show clicks.toml clicks-17
  sparsewatch results list fab.toml --since 2026-01-31T08:00Z
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown of a topic and how."""

    topic: str
    view: View
    last: int | None
    follow: bool
    as_json: bool
    since_us: int
    #: Whether the newest record of a key says how something stands, and those before it do not count.
    stands: bool = False

    def newest(self, topic: Compacted, chosen: Callable[[Record], bool]) -> Iterable[Record]:
        """Records to show that there are now."""
        limit = self.last if self.last is not None or self.as_json else _TABLE_RECORDS
        return (standing_records if self.stands else newest_records)(topic, limit, chosen)

    def wants(self, record: Record) -> bool:
        """Whether a record is recent enough."""
        time_us = record["window_end_us"] if "window_end_us" in record else record.get("event_time_us", 0)
        return bool(time_us >= self.since_us)


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for decorate in (
        click.option("--since", metavar="TIME", help="Only of this time or later, e.g. 2026-01-31T08:00Z."),
        click.option("--json", "as_json", is_flag=True, help="One record a line, whole, as the job wrote it."),
        click.option("--follow", "-f", is_flag=True, help="Go on with new records until stopped."),
        click.option(
            "--last",
            type=ranged(Count),
            metavar="N",
            help=f"Only the newest N. [default: {_TABLE_RECORDS}; all with --json]",
        ),
        click.argument("job_file", metavar="JOB.toml", type=click.Path(path_type=Path, dir_okay=False)),
    ):
        command = decorate(command)
    return command


@click.group(epilog=_EXAMPLES)
def windows() -> None:
    """Windows that a job has closed."""


@windows.command("list", epilog=_EXAMPLES)
@_options
def list_windows(job_file: Path, last: int | None, follow: bool, as_json: bool, since: str | None) -> None:
    """List closed windows: rows, alerts and what was found.

    `whole` is no for a window of which rows may be missing: the first of a job, and one cut off by the end of a run.
    """
    job = load_job(job_file)
    topic = ready(job).topics.windows
    _show(job, Shown(topic, WINDOWS, last, follow, as_json, _since_us(since)), "window")


@click.group(epilog=_EXAMPLES)
def alerts() -> None:
    """Alerts that a job has raised."""


@alerts.command("list", epilog=_EXAMPLES)
@_options
@click.option("--rule", "rules", multiple=True, metavar="RULE", help="Only alerts of this rule; repeatable.")
@click.option("--subject", "subjects", multiple=True, metavar="NAME", help="Only alerts about this; repeatable.")
@click.option("--severity", type=click.Choice(SEVERITIES), help="Only alerts at least as severe.")
def list_alerts(
    job_file: Path,
    last: int | None,
    follow: bool,
    as_json: bool,
    since: str | None,
    rules: tuple[str, ...],
    subjects: tuple[str, ...],
    severity: Severity | None,
) -> None:
    """List the alerts that the job has raised; docs/alerts.md explains them.

    An alert that was written again after a crash is shown once.
    """
    least = 0 if severity is None else SEVERITIES.index(severity)

    def wanted(alert: Record) -> bool:
        return (
            (not rules or alert["rule"] in rules)
            and (not subjects or alert["subject"] in subjects)
            and SEVERITIES.index(alert["severity"]) >= least
        )

    job = load_job(job_file)
    topic = ready(job).topics.alerts
    _show(job, Shown(topic, ALERTS, last, follow, as_json, _since_us(since)), "alert", wanted)


@click.group(epilog=_EXAMPLES)
def incidents() -> None:
    """Incidents of a job: findings of one cause, since when, and whether they are over."""


@incidents.command("list", epilog=_EXAMPLES)
@_options
@click.option("--firing", is_flag=True, help="Only incidents that are not over.")
@click.option("--severity", type=click.Choice(SEVERITIES), help="Only incidents at least as severe.")
def list_incidents(
    job_file: Path,
    last: int | None,
    follow: bool,
    as_json: bool,
    since: str | None,
    firing: bool,
    severity: Severity | None,
) -> None:
    """List incidents as they stand; docs/alerts.md explains them.

    With --follow each change is a line: opened, grew, worse, lasts, resolved, reopened.
    """
    least = 0 if severity is None else SEVERITIES.index(severity)

    def wanted(incident: Record) -> bool:
        return (not firing or incident["state"] == "firing") and SEVERITIES.index(incident["severity"]) >= least

    job = load_job(job_file)
    topic = ready(job).topics.incidents
    _show(job, Shown(topic, INCIDENTS, last, follow, as_json, _since_us(since), stands=True), "incident", wanted)


@incidents.command("show", epilog=_EXAMPLES)
@click.argument("job_file", metavar="JOB.toml", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("incident", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="The record, whole, as the job wrote it.")
def show_incident(job_file: Path, incident: str, as_json: bool) -> None:
    """Show an incident: its root suspect, and all else that was found."""
    job = load_job(job_file)
    topic = ready(job).topics.incidents
    with Compacted(job.kafka, topic, MAX_BYTES) as records:
        found = list(newest_records(records, 1, lambda record: bool(record["id"] == incident)))
    if not found:
        raise ConfigError(
            f"topic {topic!r}: expected an incident {incident!r}, found none; see `sparsewatch incidents list`"
        )
    if as_json:
        click.echo(msgspec.json.encode(found[0]).decode())
        return
    click.echo(printable(INCIDENTS.line(found[0])))
    output().print(table(FINDINGS.columns, map(FINDINGS.cells, found[0]["findings"]), title=FINDINGS.title))


@click.group(epilog=_EXAMPLES)
def results() -> None:
    """Results of single rows or wafers."""


@results.command("list", epilog=_EXAMPLES)
@_options
def list_results(job_file: Path, last: int | None, follow: bool, as_json: bool, since: str | None) -> None:
    """List outliers among rows, or the verdict on each wafer.

    A click-through job has results with a row model (`rows.model`) only; its windows hold the ranking.
    """
    job = load_job(job_file)
    named = [side.what for side in job.side_topics() if side.what in RESULTS]
    if not named:
        raise ConfigError(
            f"job {job.name!r} writes no results of single rows: expected `rows.model` and `rows.results_per_window` "
            "above 0. See `sparsewatch windows list`"
        )
    shown = Shown(ready(job).topics.named(named[0]), RESULTS[named[0]], last, follow, as_json, _since_us(since))
    _show(job, shown, "result")


def _since_us(since: str | None) -> int:
    try:
        return 0 if since is None else parse_moment_us(since)
    except ConfigError as error:
        raise ConfigError(f"--since: {error}") from error


def _show(job: Job, shown: Shown, noun: str, wanted: Callable[[Record], bool] = lambda _: True) -> None:
    def chosen(record: Record) -> bool:
        return shown.wants(record) and wanted(record)

    with Compacted(job.kafka, shown.topic, MAX_BYTES) as topic:
        number = _print(shown, shown.newest(topic, chosen))
        if shown.follow:
            for record in following_records(topic, chosen):
                click.echo(_line(shown, record))
    click.echo(f"{counted(number, noun)} of job {job.name!r}, topic {shown.topic!r}", err=True)


def _print(shown: Shown, found: Iterable[Record]) -> int:
    """Print records; gives their number."""
    if shown.as_json:
        number = 0
        for record in found:
            click.echo(_line(shown, record))
            number += 1
        return number
    view, cells = shown.view, [shown.view.cells(record) for record in found]
    if cells:
        output().print(table(view.columns, cells, title=view.title, right=view.right))
    return len(cells)


def _line(shown: Shown, record: Record) -> str:
    return msgspec.json.encode(record).decode() if shown.as_json else printable(shown.view.line(record))
