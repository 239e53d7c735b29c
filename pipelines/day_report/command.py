"""`sparsewatch report`: a day of a job as a page that needs no network."""

from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
import msgspec

from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.schemas.errors import ConfigError

_EXAMPLES = """
\b
Examples:
  sparsewatch report clicks.toml                           # yesterday: clicks-2026-01-30.html
  sparsewatch report clicks.toml --day 2026-01-31 --timezone Europe/Berlin --out today.html
  sparsewatch report fab.toml --json | jq .patterns
"""


@click.command(epilog=_EXAMPLES)
@click.argument("job_file", metavar="JOB.toml", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--day", "named", metavar="YYYY-MM-DD", help="The day, of event time. [default: yesterday]")
@click.option("--timezone", "zone_name", default="UTC", show_default=True, help="Where the day begins at midnight.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="OUT.html", help="[default: JOB-DAY.html]"
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output, and no page.")
def report(job_file: Path, named: str | None, zone_name: str, out: Path | None, as_json: bool) -> None:
    """Write a day of a job as a page: what was wrong, how rows and click rate went, what people decided.

    Of clicks it also has the features as they were ranked at the end of the day beside its beginning, of wafers their
    verdicts and patterns, of rows those above the model's threshold. The page is one file, prints, and needs no
    network. It reads what the job wrote to its topics, as far as they reach back, and works whether the job runs or
    not.
    """
    job = load_job(job_file)
    zone = _zone(zone_name)
    day = _day(named, zone)
    from sparsewatch.pipelines.console.progress import progress_bar
    from sparsewatch.pipelines.day_report.day import read_day, span_of

    made = ready(job)
    with progress_bar(f"reading {day.isoformat()}"):
        found = read_day(made, span_of(day, zone))
    if not found.outcome.windows:
        raise ConfigError(
            f"--day: job {job.name!r} closed no window on {day.isoformat()} ({zone_name}), or {made.topics.windows!r} "
            "no longer holds it; `sparsewatch windows list` shows which there are"
        )
    if as_json:
        click.echo(msgspec.json.encode(found.record()))
        return
    from sparsewatch.pipelines.day_report.page import page, sentences
    from sparsewatch.pipelines.report.files import save

    path = out or Path(f"{job.name}-{day.isoformat()}.html")
    source = f"{day.isoformat()}, midnight to midnight in {zone_name}; records of {made.topics.windows}. Times are UTC."
    save(path, page(job.name, source, found))
    for line in sentences(job.name, found):
        click.echo(line)
    click.echo(f"wrote {path}")


def _zone(name: str) -> tzinfo:
    try:
        # Where no time zones are installed there is this one.
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigError(f"--timezone: expected a name such as Europe/Berlin, got {name!r}") from error


def _day(named: str | None, zone: tzinfo) -> date:
    if named is None:
        return datetime.now(UTC).astimezone(zone).date() - timedelta(days=1)
    try:
        return date.fromisoformat(named)
    except ValueError as error:
        raise ConfigError(f"--day: expected a date as 2026-01-31, got {named!r}") from error
