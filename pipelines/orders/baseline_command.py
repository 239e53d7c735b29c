"""`sparsewatch baseline show|accept|exclude|reset`: what a job compares with, and what people decide about it."""

from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from sparsewatch.detectors.learned_windows import STREAM
from sparsewatch.pipelines.console.printable import printable
from sparsewatch.pipelines.console.tables import output, table
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.pipelines.orders.compared import OwnBaseline, compared_lines, own_baseline, own_lines
from sparsewatch.pipelines.orders.desk import Asker, Desk, committed, names_of, who_and_why
from sparsewatch.pipelines.orders.making import accept_order
from sparsewatch.pipelines.orders.wording import held_until, stretch_text, subjects_text
from sparsewatch.pipelines.records.reading import Record
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.orders import MOST_NAMED, Order, in_force
from sparsewatch.schemas.settings import nearest
from sparsewatch.schemas.units import moment_text, parse_moment_us
from sparsewatch.transforms.kafka.orders import read_orders

_EXAMPLES = """
\b
Examples:
  sparsewatch baseline show clicks.toml
  sparsewatch baseline accept clicks.toml --incident clicks-17 --why "a new ad server"
  sparsewatch baseline accept clicks.toml --since 2026-01-31T08:00Z --subject site_id
  sparsewatch baseline exclude clicks.toml --from 2026-01-31T08:00Z --to 2026-01-31T09:30Z --why "load test"
  sparsewatch baseline reset clicks.toml --subject site_id
"""
_COLUMNS = ("order", "by", "at", "subjects", "about", "acts from", "why", "id")
_VERBS = ("accept", "exclude", "reset")

_JOB = click.argument("job_file", metavar="JOB.toml", type=click.Path(path_type=Path, dir_okay=False))
_SUBJECTS = click.option(
    "--subject", "subjects", multiple=True, metavar="NAME", help="Only this, such as a feature; repeatable."
)


@click.group(epilog=_EXAMPLES)
def baseline() -> None:
    """What a job compares its windows with: a reference or model that is fixed, or what it learns from its own windows.

    What is ordered here is written with who, when and why, and acts from the job's next window on, without a restart.
    """


class _Shown(msgspec.Struct, frozen=True, kw_only=True):
    """All that `show` shows."""

    job: str
    #: What the job compares with, in words.
    compares: list[str]
    #: What it has learned of its own windows, None if it learns nothing or has closed none.
    learned: OwnBaseline | None
    #: Orders about the baseline that are in force.
    orders: list[Order]


@baseline.command(epilog=_EXAMPLES)
@_JOB
@click.option("--json", "as_json", is_flag=True, help="All of it as one JSON object.")
def show(job_file: Path, as_json: bool) -> None:
    """Show what the job compares with, what it has learned so far, and the orders about it that are in force."""
    job = load_job(job_file)
    made = ready(job)
    progress = committed(made)
    given = () if progress is None else in_force(read_orders(made.identity), progress.closed_end_us)
    orders = [order for order in given if order.verb in _VERBS]
    learned = own_baseline(made, progress)
    shown = _Shown(job=job.name, compares=list(compared_lines(job)), learned=learned, orders=orders)
    if as_json:
        click.echo(msgspec.json.encode(shown).decode())
        return
    for line in (*shown.compares, *(own_lines(learned) if learned else ())):
        click.echo(printable(line))
    if orders:
        output().print(table(_COLUMNS, map(_cells, orders), title="Orders in force, newest last (UTC)"))
    else:
        click.echo("no orders")


@baseline.command(epilog=_EXAMPLES)
@_JOB
@click.option("--incident", "incidents", multiple=True, metavar="ID", help="What this incident found; repeatable.")
@click.option("--since", metavar="TIME", help="What was found since, in event time, e.g. 2026-01-31T08:00Z.")
@_SUBJECTS
@who_and_why
def accept(
    job_file: Path, incidents: tuple[str, ...], since: str | None, subjects: tuple[str, ...], by: str, why: str
) -> None:
    """Accept what is new as the new normal: of incidents, or since a time.

    The incidents are resolved with the job's next window. A job that learns takes the windows since into its baseline;
    what was found is silent until it has. Beside a fixed reference or model nothing is learned: what was found, rule by
    rule and subject by subject, is silent for as long as the job runs with that version. The next one is trained on
    what is normal now, and the silence ends with the first run that uses it; `sparsewatch incidents unmute` ends it at
    once.
    """
    if bool(incidents) == (since is not None):
        raise ConfigError("expected either --incident ID or --since TIME")
    if incidents and subjects:
        raise ConfigError("--subject goes with --since: an incident has its own subjects")
    desk = Desk.of(load_job(job_file))
    since_us = _moment_us("--since", since)
    records = (
        [desk.incident(named) for named in incidents] if since_us is None else _found_since(desk, since_us, subjects)
    )
    asker = Asker(by, why)
    orders = [accept_order(desk, record, asker) for record in records]
    if since_us is not None and desk.made.job.learns:
        orders.append(desk.order("accept", asker, since_us=since_us, subjects=_checked(subjects)))
    if not orders:
        about = f" on {', '.join(subjects)}" if subjects else ""
        raise ConfigError(f"no incident{about} began since {since}: there is nothing to accept")
    desk.give(orders)
    for line in _accept_lines(desk, records, orders):
        click.echo(printable(line))


@baseline.command(epilog=_EXAMPLES)
@_JOB
@click.option("--from", "since", required=True, metavar="TIME", help="Where the stretch begins, in event time.")
@click.option("--to", "until", required=True, metavar="TIME", help="Where it ends.")
@_SUBJECTS
@who_and_why
def exclude(job_file: Path, since: str, until: str, subjects: tuple[str, ...], by: str, why: str) -> None:
    """Never learn from a stretch of time; what was learned from it is forgotten.

    Windows that lie in it in part are excluded, too. They are checked like any other.
    """
    desk = _learning(load_job(job_file), "exclude")
    since_us, until_us = _moment_us("--from", since), _moment_us("--to", until)
    if since_us is None or until_us is None or since_us >= until_us:
        raise ConfigError(f"expected a stretch of time, got --from {since} --to {until}")
    learned = _known(desk, _checked(subjects))
    order = desk.order("exclude", Asker(by, why), since_us=since_us, until_us=until_us, subjects=learned)
    desk.give([order])
    click.echo(printable(f"{subjects_text(order)}: {stretch_text(order)} UTC is not learned, {desk.from_text}"))


@baseline.command(epilog=_EXAMPLES)
@_JOB
@_SUBJECTS
@who_and_why
def reset(job_file: Path, subjects: tuple[str, ...], by: str, why: str) -> None:
    """Forget what was learned, and learn anew from the job's next window on."""
    desk = _learning(load_job(job_file), "reset")
    learned = _known(desk, _checked(subjects))
    order = desk.order("reset", Asker(by, why), since_us=desk.from_us, subjects=learned)
    desk.give([order])
    click.echo(printable(f"{subjects_text(order)}: learned anew, {desk.from_text}"))


def _learning(job: Job, verb: str) -> Desk:
    """The desk of a job that learns.

    Raises:
        ConfigError: If it learns nothing.
    """
    if not job.learns:
        compares = "; ".join(compared_lines(job))
        raise ConfigError(
            f"job {job.name!r} learns no baseline: there is nothing to {verb}. What it compares with is {compares}"
        )
    return Desk.of(job)


def _found_since(desk: Desk, since_us: int, subjects: tuple[str, ...]) -> list[Record]:
    """Incidents that began since a time, on these subjects."""

    def wanted(record: Record) -> bool:
        return record["started_us"] >= since_us and (
            not subjects or any(named.subject in subjects for named in names_of(record))
        )

    return [record for record in desk.incidents.values() if wanted(record)]


def _accept_lines(desk: Desk, records: list[Record], orders: list[Order]) -> Iterator[str]:
    """What was accepted, and what that means for this job."""
    for record, order in zip(records, orders, strict=False):
        found = f"{record['rule']} {record['subject']}, {counted(len(order.findings), 'finding')}"
        yield f"{record['id']} ({found}) is accepted, {desk.from_text}"
    job = desk.made.job
    if job.learns:
        first = min(order.since_us or 0 for order in orders)
        yield f"windows from {moment_text(first)} UTC on become the baseline; until it is learned they are silent"
        return
    if not job.learned():
        yield "this job has no baseline: it is silent for as long as it goes on, as if closed by hand"
    for learned in job.learned():
        yield f"nothing is learned: it is silent until the job runs with another version of its {learned.what}"
        yield f"`{learned.made_by} --out {learned.path}` trains one on what is normal now"


def _cells(order: Order) -> tuple[str, ...]:
    about = ", ".join(part for part in (order.incident, stretch_text(order), held_until(order).strip()) if part)
    return (
        order.verb,
        order.by,
        moment_text(order.at_us),
        subjects_text(order),
        about,
        moment_text(order.from_us),
        order.why,
        order.id,
    )


def _checked(subjects: tuple[str, ...]) -> tuple[str, ...]:
    if len(subjects) > MOST_NAMED:
        raise ConfigError(f"--subject: expected at most {MOST_NAMED}, got {len(subjects)}")
    return tuple(dict.fromkeys(subjects))


def _known(desk: Desk, subjects: tuple[str, ...]) -> tuple[str, ...]:
    """Subjects of which a job learns something.

    Raises:
        ConfigError: If one is neither the stream nor a column of the job: the order would do nothing.
    """
    made = desk.made
    known = [STREAM, *made.job.learned_subjects(made.events.columns.names)]
    for name in subjects:
        if name not in known:
            raise ConfigError(f"--subject: expected one of {', '.join(known)}, got {name!r}{nearest(name, known)}")
    return subjects


def _moment_us(option: str, text: str | None) -> int | None:
    try:
        return None if text is None else parse_moment_us(text)
    except ConfigError as error:
        raise ConfigError(f"{option}: {error}") from error
