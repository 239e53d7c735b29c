"""Late records listed and replayed: `sparsewatch late list` and `sparsewatch late replay`."""

from pathlib import Path

import click

from sparsewatch.pipelines.console.numbers import ranged
from sparsewatch.pipelines.rejects.aside import (
    TABLE_RECORDS,
    list_aside,
    named,
    partitions_to,
    place_options,
    replay_aside,
    where_of,
)
from sparsewatch.pipelines.rejects.replay import ReplayPlan
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import Count

_EXAMPLES = """
\b
Examples:
  sparsewatch late list clicks.toml
  sparsewatch late replay clicks.toml --to clicks.again --dry-run
  sparsewatch late replay clicks.toml --to clicks.again
"""


@click.group(epilog=_EXAMPLES)
def late() -> None:
    """List records whose window had closed, replay them to a topic of their own."""


@late.command("list", epilog=_EXAMPLES)
@place_options
@click.option(
    "--limit", type=ranged(Count), metavar="N", help=f"Only the newest N. [default: {TABLE_RECORDS}; all in JSON]"
)
@click.option("--json", "as_json", is_flag=True, help="One line a record, with its whole value.")
def list_late(
    topic: str | None, job: Path | None, bootstrap: tuple[str, ...], client: str, limit: int | None, as_json: bool
) -> None:
    """List records that came after their window had closed.

    They are those of JOB.toml's source topic, or of TOPIC, whichever job read them.

    Duplicates that a job wrote after a crash are counted once. JSON is one line per record with its whole value; the
    counts go to standard error. Many late records ask for a longer `windows.disorder`.
    """
    list_aside(where_of("late", topic, job, bootstrap, client), (), limit, as_json=as_json)


@late.command("replay", epilog=_EXAMPLES)
@place_options
@click.option("--to", metavar="TOPIC", help="Where they go: the source topic of a job that counts them anew.")
@click.option("--only", multiple=True, metavar="ID", help="Only this record; repeatable.")
@click.option("--dry-run", is_flag=True, help="Print what would be done, write nothing.")
@click.option("--again", is_flag=True, help="Also replay records that were replayed before.")
@click.option(
    "--force", is_flag=True, help="Without --to: send them back to their own topic, where they are late again."
)
def replay_late(
    topic: str | None,
    job: Path | None,
    bootstrap: tuple[str, ...],
    client: str,
    to: str | None,
    only: tuple[str, ...],
    dry_run: bool,
    again: bool,
    force: bool,
) -> None:
    """Send late records, as they came, to another topic.

    Their windows are closed, so that in their own topic they are late again: give them to a topic of a job of another
    name, whose windows are open. They keep key, headers, Kafka timestamp and, where the topic has it, partition;
    headers sparsewatch.* are removed, and sparsewatch.replayed-from (the late record's id) is added. Each is replayed
    once, even if a replay was interrupted.
    """
    where = where_of("late", topic, job, bootstrap, client)
    own = where.origin.topic
    if to in (None, own) and not force:
        raise ConfigError(
            f"expected --to TOPIC: sent back to {own!r} the records are late again. With --force they are sent there"
        )
    plan = ReplayPlan(
        origin=where.origin,
        to=to or own,
        partitions=partitions_to(where.kafka, to or own),
        force=force,
        dry_run=dry_run,
    )
    replay_aside(where, plan, (), named(only, None), again)
