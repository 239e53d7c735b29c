"""`sparsewatch incidents ack|mute|unmute|close`: what people decide about incidents."""

from collections.abc import Callable
from pathlib import Path

import click

from sparsewatch.pipelines.console.durations import duration_us
from sparsewatch.pipelines.console.printable import printable
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.orders.desk import Asker, Desk, who_and_why
from sparsewatch.pipelines.orders.making import ack_order, close_order, mute_order, unmute_order
from sparsewatch.pipelines.records.reading import Record
from sparsewatch.schemas.orders import Order
from sparsewatch.schemas.units import moment_text

_EXAMPLES = """
\b
Examples:
  sparsewatch incidents ack clicks.toml clicks-17 --why "the feed of site_id is down, ticket 4711"
  sparsewatch incidents mute clicks.toml clicks-17 clicks-18 --for 2h
  sparsewatch incidents unmute clicks.toml clicks-17
  sparsewatch incidents close clicks.toml 17 --why "a campaign, as planned"
"""


def _arguments(command: Callable[..., None]) -> Callable[..., None]:
    for decorate in (
        who_and_why,
        click.argument("ids", metavar="ID...", nargs=-1, required=True),
        click.argument("job_file", metavar="JOB.toml", type=click.Path(path_type=Path, dir_okay=False)),
    ):
        command = decorate(command)
    return command


@click.command(epilog=_EXAMPLES)
@_arguments
def ack(job_file: Path, ids: tuple[str, ...], by: str, why: str) -> None:
    """Say that you look after incidents.

    `list`, `show` and `status` name you from the job's next window on, until the incident is resolved and comes back.
    Nothing else changes: what is found is told. ID is an id such as clicks-17, or its number.
    """
    desk = Desk.of(load_job(job_file))
    _give(desk, ids, lambda record: ack_order(desk, record, Asker(by, why)), "is yours")


@click.command(epilog=_EXAMPLES)
@_arguments
@click.option("--for", "span", metavar="DURATION", help="In event time, e.g. 2h. [default: until it is unmuted]")
def mute(job_file: Path, ids: tuple[str, ...], by: str, why: str, span: str | None) -> None:
    """Have what incidents found so far raise no alert and open no incident.

    From the job's next window on the findings of the incident, rule by rule and subject by subject, are silent; they
    are counted in the metric sparsewatch_window_muted_findings. What another rule or subject shows is told. The
    incident goes on in silence, and its end is told. `incidents list --muted` and `status` show what is muted.
    """
    desk = Desk.of(load_job(job_file))
    until_us = None if span is None else desk.from_us + duration_us("--for", span)
    until = "until it is unmuted" if until_us is None else f"until {moment_text(until_us)} UTC"
    _give(desk, ids, lambda record: mute_order(desk, record, Asker(by, why), until_us), f"is muted {until}")


@click.command(epilog=_EXAMPLES)
@_arguments
def unmute(job_file: Path, ids: tuple[str, ...], by: str, why: str) -> None:
    """Have findings told again that are silent since their incidents were muted, closed or accepted.

    From the job's next window on they raise alerts: in their incident if that goes on, else in a new one.
    """
    desk = Desk.of(load_job(job_file))
    _give(desk, ids, lambda record: unmute_order(desk, record, Asker(by, why)), "is told again")


@click.command(epilog=_EXAMPLES)
@_arguments
def close(job_file: Path, ids: tuple[str, ...], by: str, why: str) -> None:
    """Resolve incidents by hand.

    With the job's next window they are resolved. What they found is silent for as long as it goes on. Once it has been
    gone for as many windows as resolve an incident, it is over: when it comes back then, it is told like any other. If
    it is the new normal, `sparsewatch baseline accept` is the right order.
    """
    desk = Desk.of(load_job(job_file))
    _give(desk, ids, lambda record: close_order(desk, record, Asker(by, why)), "is closed")


def _give(desk: Desk, ids: tuple[str, ...], make: Callable[[Record], Order], what: str) -> None:
    """Give one order an incident, all or none."""
    records = list({record["id"]: record for record in map(desk.incident, ids)}.values())
    desk.give([make(record) for record in records])
    for record in records:
        found = f"{record['rule']} {record['subject']}"
        click.echo(printable(f"{record['id']} ({found}) {what}, {desk.from_text}"))
