"""`sparsewatch incidents`: what is wrong with a stream, since when, and what people decided about it."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.text import Text

from sparsewatch.pipelines.console.printable import printable
from sparsewatch.pipelines.console.tables import output, table
from sparsewatch.pipelines.incidents.order_commands import ack, close, mute, unmute
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.ready import Ready, ready
from sparsewatch.pipelines.orders.desk import Desk, find_incident, incidents_of
from sparsewatch.pipelines.orders.wording import described
from sparsewatch.pipelines.records.listing import FINDINGS, INCIDENTS
from sparsewatch.pipelines.records.originals import Original, offsets_of, originals
from sparsewatch.pipelines.records.reading import MAX_BYTES, Record, newest_records
from sparsewatch.pipelines.records.showing import Shown, list_options, show_records, since_us
from sparsewatch.schemas.alerts import Severity, runbook_of
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.incidents import SEVERITIES
from sparsewatch.schemas.units import moment_text
from sparsewatch.transforms.kafka.compacted import Compacted
from sparsewatch.transforms.kafka.orders import read_orders

_EXAMPLES = """
\b
Examples:
  sparsewatch incidents list clicks.toml --firing
  sparsewatch incidents show clicks.toml clicks-17 --records
  sparsewatch incidents ack clicks.toml clicks-17 --why "the feed is down, ticket 4711"
  sparsewatch incidents mute clicks.toml clicks-17 --for 2h
"""


@click.group(epilog=_EXAMPLES)
def incidents() -> None:
    """Incidents of a job: findings of one cause, since when, and whether they are over."""


@incidents.command("list", epilog=_EXAMPLES)
@list_options
@click.option("--firing", is_flag=True, help="Only incidents that are not over.")
@click.option("--muted", is_flag=True, help="Only incidents whose findings are silent now, by order of a person.")
@click.option("--severity", type=click.Choice(SEVERITIES), help="Only incidents at least as severe.")
@click.option("--alertmanager", metavar="URL", help="Name those that are silenced there, and by whom.")
def list_incidents(
    job_file: Path,
    last: int | None,
    follow: bool,
    as_json: bool,
    since: str | None,
    firing: bool,
    muted: bool,
    severity: Severity | None,
    alertmanager: str | None,
) -> None:
    """List incidents as they stand; docs/alerts.md explains them.

    With --follow each change is a line: opened, grew, worse, lasts, resolved, reopened, and what people ordered.
    Acks and mutes are orders to the job; an Alertmanager knows silences only, those of the moment at which it is asked.
    """
    job = load_job(job_file)
    least = 0 if severity is None else SEVERITIES.index(severity)
    silent = {order.incident for order in Desk.of(job).silencing()} if muted else set()

    def wanted(incident: Record) -> bool:
        return (
            (not firing or incident["state"] == "firing")
            and (not muted or incident["id"] in silent)
            and SEVERITIES.index(incident["severity"]) >= least
        )

    made = ready(job)
    added = dict if alertmanager is None else _with_silences(alertmanager, made.identity.job)
    topic = made.topics.incidents
    shown = Shown(topic, INCIDENTS, last, follow, as_json, since_us(since), stands=True, added=added)
    show_records(job, shown, "incident", wanted)


def _with_silences(alertmanager: str, job: str) -> Callable[[Record], Record]:
    # It takes a third of a second to import, and few ask for it.
    from sparsewatch.pipelines.notify.alertmanager import Alertmanager

    silences = Alertmanager(alertmanager).silenced(job)
    said = {incident: {"silenced": asdict(silence)} for incident, silence in silences.items()}
    return lambda record: record | said.get(record["id"], {})


@incidents.command("show", epilog=_EXAMPLES)
@click.argument("job_file", metavar="JOB.toml", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("incident", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="The record, whole, as the job wrote it.")
@click.option(
    "--records", "with_records", is_flag=True, help="Print up to ten records of the source topic that show it."
)
def show_incident(job_file: Path, incident: str, as_json: bool, with_records: bool) -> None:
    """Show an incident: its root suspect, all else that was found, and what people ordered about it.

    Where alerts name records that show it, their partitions and offsets are told, and with --records their values.
    """
    if as_json and with_records:
        raise ConfigError("expected one of --json and --records, got both")
    made = ready(load_job(job_file))
    found = find_incident(incidents_of(made), incident, made.identity.job)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    click.echo(printable(INCIDENTS.line(found)))
    if where := found.get("where"):
        click.echo(printable(f"where: {where}"))
    click.echo(f"what to do: {runbook_of(found['rule'])}")
    output().print(table(FINDINGS.columns, map(FINDINGS.cells, found["findings"]), title=FINDINGS.title))
    for order in read_orders(made.identity):
        if order.incident == found["id"]:
            click.echo(printable(f"{described(order)} (acts from {moment_text(order.from_us)} UTC on)"))
    _show_samples(made, sample_offsets(made, found), with_values=with_records)


def sample_offsets(made: Ready, incident: Record) -> list[tuple[int, int]]:
    """Partition and offset of records that show an incident, as the first alert of its root suspect names them."""
    suspect = [incident[name] for name in ("id", "rule", "subject")]

    def is_of_suspect(alert: Record) -> bool:
        return [alert.get(name) for name in ("incident", "rule", "subject")] == suspect

    with Compacted(made.identity.kafka, made.topics.alerts, MAX_BYTES) as topic:
        alerts = list(newest_records(topic, None, is_of_suspect)) if topic.is_there else []
    # Of a window that was written again the last counts.
    first = min(reversed(alerts), key=lambda alert: alert["window_start_us"], default=None)
    return [] if first is None else offsets_of(first["evidence"])


def _show_samples(made: Ready, offsets: list[tuple[int, int]], *, with_values: bool) -> None:
    source = printable(made.topics.source)
    if not offsets:
        click.echo(f"its alerts name no records of topic {source}")
        return
    if not with_values:
        places = ", ".join(f"{partition}:{offset}" for partition, offset in offsets)
        click.echo(f"records that show it, partition:offset of topic {source}: {places} (--records prints them)")
        return
    click.echo(f"records that show it, partition:offset of topic {source}")
    print_originals(originals(made, offsets), output())


def print_originals(found: Iterable[Original], console: Console) -> None:
    """Print records of a source topic, each a line that ends where the terminal does."""
    for one in found:
        said = "gone: the broker no longer has it" if one.value is None else printable(one.text)
        console.print(Text(f"{one.partition}:{one.offset}  {said}"), no_wrap=True, overflow="ellipsis")


for order_command in (ack, mute, unmute, close):
    incidents.add_command(order_command)
