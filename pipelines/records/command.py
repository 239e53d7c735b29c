"""`sparsewatch windows|alerts|results list`: what a job wrote, once or as it comes."""

from pathlib import Path

import click

from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.pipelines.records.listing import ALERTS, RESULTS, WINDOWS
from sparsewatch.pipelines.records.reading import Record
from sparsewatch.pipelines.records.showing import Shown, list_options, show_records, since_us
from sparsewatch.schemas.alerts import Severity
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.incidents import SEVERITIES

_EXAMPLES = """
\b
Examples:
  sparsewatch windows list clicks.toml --last 5
  sparsewatch alerts list clicks.toml --follow
  sparsewatch alerts list clicks.toml --rule feature_vanished --json | jq .evidence
  sparsewatch results list fab.toml --since 2026-01-31T08:00Z
"""


@click.group(epilog=_EXAMPLES)
def windows() -> None:
    """Windows that a job has closed."""


@windows.command("list", epilog=_EXAMPLES)
@list_options
def list_windows(job_file: Path, last: int | None, follow: bool, as_json: bool, since: str | None) -> None:
    """List closed windows: rows, alerts and what was found.

    `whole` is no for a window of which rows may be missing: the first of a job, and one cut off by the end of a run.
    """
    job = load_job(job_file)
    topic = ready(job).topics.windows
    show_records(job, Shown(topic, WINDOWS, last, follow, as_json, since_us(since)), "window")


@click.group(epilog=_EXAMPLES)
def alerts() -> None:
    """Alerts that a job has raised."""


@alerts.command("list", epilog=_EXAMPLES)
@list_options
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
    show_records(job, Shown(topic, ALERTS, last, follow, as_json, since_us(since)), "alert", wanted)


@click.group(epilog=_EXAMPLES)
def results() -> None:
    """Results of single rows or wafers."""


@results.command("list", epilog=_EXAMPLES)
@list_options
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
    shown = Shown(ready(job).topics.named(named[0]), RESULTS[named[0]], last, follow, as_json, since_us(since))
    show_records(job, shown, "result")
