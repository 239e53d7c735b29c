"""Rejected records listed and replayed: `sparsewatch rejects list` and `sparsewatch rejects replay`."""

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
from sparsewatch.pipelines.rejects.repairs import read_repairs, shell_repair
from sparsewatch.pipelines.rejects.replay import ReplayPlan
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import Count

_EXAMPLES = """
\b
Examples:
  sparsewatch rejects replay clicks.toml --code broken_json --repair "sed 's/,}/}/'"
  sparsewatch rejects list clicks.toml --json > bad.jsonl    # edit it, then
  sparsewatch rejects replay clicks.toml --repair-file bad.jsonl
"""


@click.group()
def rejects() -> None:
    """List rejected records, replay repaired ones."""


_CODES = click.option("--code", "codes", multiple=True, metavar="C", help="Only rejects with this code; repeatable.")


@rejects.command("list")
@place_options
@_CODES
@click.option(
    "--limit", type=ranged(Count), metavar="N", help=f"Only the newest N. [default: {TABLE_RECORDS}; all in JSON]"
)
@click.option("--json", "as_json", is_flag=True, help="One line a reject, with its whole value.")
def list_rejects(
    topic: str | None,
    job: Path | None,
    bootstrap: tuple[str, ...],
    client: str,
    codes: tuple[str, ...],
    limit: int | None,
    as_json: bool,
) -> None:
    """List records that could not be used, and why.

    They are those of JOB.toml's source topic, or of TOPIC, whichever job read them. Duplicates that a job wrote after
    a crash are counted once. JSON is one line per reject with its whole value (`value`, or `value_base64` where it is
    no UTF-8); the counts go to standard error. Edited, these lines are a --repair-file.
    """
    list_aside(where_of("reject", topic, job, bootstrap, client), codes, limit, as_json=as_json)


@rejects.command("replay", epilog=_EXAMPLES)
@place_options
@_CODES
@click.option("--only", multiple=True, metavar="ID", help="Only this reject; repeatable.")
@click.option(
    "--repair", metavar="COMMAND", help="Shell command: original bytes on stdin, repaired bytes on stdout; may fail."
)
@click.option("--repair-file", type=click.Path(path_type=Path), metavar="FILE.jsonl", help="Repaired values by id.")
@click.option("--dry-run", is_flag=True, help="Print what would be done, write nothing; --repair is run.")
@click.option("--again", is_flag=True, help="Also replay rejects that were replayed before.")
@click.option("--force", is_flag=True, help="Also replay unrepaired records that would be rejected again.")
def replay_rejects(
    topic: str | None,
    job: Path | None,
    bootstrap: tuple[str, ...],
    client: str,
    codes: tuple[str, ...],
    only: tuple[str, ...],
    repair: str | None,
    repair_file: Path | None,
    dry_run: bool,
    again: bool,
    force: bool,
) -> None:
    """Send rejects back, repaired, to the topic they came from.

    That is JOB.toml's source topic, or TOPIC. They keep key, headers, partition and Kafka timestamp; headers
    sparsewatch.* are removed, and sparsewatch.replayed-from (the reject's id) is added. Each reject is replayed once,
    even if a replay was interrupted: its id is recorded in TOPIC.rejects.replayed (run one replay of a topic at a
    time). A replayed event whose window has closed by then is late; and the topic's retention counts from the original
    timestamp, so run the job soon.

    A line of a repair file is {"id": ..., "value": text} or {"id": ..., "value_base64": ...}; a line without a value is
    skipped, a reject that the file does not name is not replayed. Without --force a record that the repair leaves
    unchanged is not replayed; nor is a record whose repair failed.
    """
    if repair is not None and repair_file is not None:
        raise ConfigError("expected --repair or --repair-file, got both")
    where = where_of("reject", topic, job, bootstrap, client)
    values = {} if repair_file is None else read_repairs(repair_file)
    plan = ReplayPlan(
        origin=where.origin,
        to=where.origin.topic,
        partitions=partitions_to(where.kafka, where.origin.topic),
        values=values,
        repair=None if repair is None else shell_repair(repair),
        force=force,
        dry_run=dry_run,
    )
    replay_aside(where, plan, codes, named(only, None if repair_file is None else values), again)
