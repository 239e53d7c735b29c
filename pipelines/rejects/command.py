"""Rejected records listed and replayed: `sparsewatch rejects list` and `sparsewatch rejects replay`."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from sparsewatch.pipelines.console.numbers import ranged
from sparsewatch.pipelines.console.printable import printable
from sparsewatch.pipelines.console.tables import output
from sparsewatch.pipelines.job.broker_checks import look_at, setting_faults
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.rejects.listing import RejectCounts, json_line, record_table, table_row
from sparsewatch.pipelines.rejects.repairs import read_repairs, shell_repair
from sparsewatch.pipelines.rejects.replay import Replay, ReplayCount, ReplayPlan
from sparsewatch.pipelines.rejects.replay_log import ReplayLog, begin_replay, end_replay, read_log
from sparsewatch.pipelines.rejects.topics import Originals, Reject, RejectsTopic, replayed_topic
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.schemas.settings import Count
from sparsewatch.transforms.kafka.client import NewTopic, Writer
from sparsewatch.transforms.kafka.open import ensure_topics, open_admin, open_writer, partitions_of

_T = TypeVar("_T")

_EXAMPLES = """
\b
Examples:
  sparsewatch rejects replay --job clicks.toml --code broken_json --repair "sed 's/,}/}/'"
  sparsewatch rejects list --job clicks.toml --format json > bad.jsonl    # edit it, then
  sparsewatch rejects replay --job clicks.toml --repair-file bad.jsonl
"""

_TABLE_RECORDS = 20


@dataclass(frozen=True, slots=True)
class Where:
    """Broker and source topic."""

    kafka: KafkaSettings
    topic: str
    #: Replicas of a topic created here.
    replication: int = 1


@click.group()
def rejects() -> None:
    """List rejected records, replay repaired ones."""


def _common(command: Callable[..., None]) -> Callable[..., None]:
    for decorate in (
        click.option("--code", "codes", multiple=True, metavar="C", help="Only rejects with this code; repeatable."),
        click.option(
            "--client", type=click.Choice(["kafka-python", "confluent"]), default="kafka-python", show_default=True
        ),
        click.option("--bootstrap", multiple=True, metavar="HOST:PORT", help="Broker, if no job file is given."),
        click.option(
            "--job", type=click.Path(path_type=Path), metavar="JOB.toml", help="Take broker and topic from a job file."
        ),
        click.argument("topic", metavar="[TOPIC]", required=False),
    ):
        command = decorate(command)
    return command


@rejects.command("list")
@_common
@click.option(
    "--limit", type=ranged(Count), metavar="N", help=f"Only the newest N. [default: {_TABLE_RECORDS}; all in JSON]"
)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def list_rejects(
    topic: str | None,
    job: Path | None,
    bootstrap: tuple[str, ...],
    client: str,
    codes: tuple[str, ...],
    limit: int | None,
    form: str,
) -> None:
    """List the records of source topic TOPIC that could not be used, and why.

    Duplicates that a job wrote after a crash are counted once. JSON is one line per reject with its whole value
    (`value`, or `value_base64` where it is no UTF-8); the counts go to standard error. Edited, these lines are a
    --repair-file.
    """
    where = _where(topic, job, bootstrap, client)
    done = read_log(where.kafka, where.topic).replayed
    counts = RejectCounts(done)
    with RejectsTopic(where.kafka, where.topic) as rejected:
        found = counts.watch(r for r in rejected.read() if not codes or r.record.code in codes)
        if form == "json":
            for line in _newest((json_line(r, r.id in done) for r in found), limit):
                click.echo(line)
        else:
            rows = _newest((table_row(r, r.id in done) for r in found), limit or _TABLE_RECORDS)
            output().print(record_table(rows), counts.table())
    total = f"{counted(counts.total, 'reject')} ({counted(counts.events, 'event')})"
    click.echo(f"{total} of {where.topic!r}{counts.by_code}", err=form == "json")


@rejects.command("replay", epilog=_EXAMPLES)
@_common
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
    """Send rejects back to source topic TOPIC, repaired.

    They keep key, headers, partition and Kafka timestamp; headers sparsewatch.* are removed, and
    sparsewatch.replayed-from (the reject's id) is added. Each reject is replayed once, even if a replay was
    interrupted: its id is recorded in TOPIC.rejects.replayed (run one replay of a topic at a time). A replayed event
    whose window has closed by then is late; and the topic's retention counts from the original timestamp, so run the
    job soon.

    A line of a repair file is {"id": ..., "value": text} or {"id": ..., "value_base64": ...}; a line without a value is
    skipped, a reject that the file does not name is not replayed. Without --force a record that the repair leaves
    unchanged is not replayed; nor is a record whose repair failed.
    """
    if repair is not None and repair_file is not None:
        raise ConfigError("expected --repair or --repair-file, got both")
    where = _where(topic, job, bootstrap, client)
    values = {} if repair_file is None else read_repairs(repair_file)
    partitions = partitions_of(where.kafka, where.topic)
    if not partitions:
        raise ConfigError(f"the broker has no topic {where.topic!r}")
    plan = ReplayPlan(
        topic=where.topic,
        partitions=partitions,
        values=values,
        repair=None if repair is None else shell_repair(repair),
        force=force,
        dry_run=dry_run,
    )
    log = read_log(where.kafka, where.topic)
    done = set() if again else log.replayed
    with RejectsTopic(where.kafka, where.topic) as rejected:
        places = _places(rejected, codes, _named(only, None if repair_file is None else values))
        chosen = [place for id_, place in places.items() if id_ not in done]
        count = _replay(where, plan, log, rejected.read_again(chosen))
    _report(where.topic, count, len(places) - len(chosen), dry_run)


def _where(topic: str | None, job: Path | None, bootstrap: tuple[str, ...], client: str) -> Where:
    if job is not None:
        settings = load_job(job)
        return Where(settings.kafka, topic or settings.source.topic, settings.output.replication)
    if not bootstrap or topic is None:
        raise ConfigError("expected --job JOB.toml, or TOPIC and --bootstrap HOST:PORT")
    return Where(KafkaSettings(bootstrap_servers=list(bootstrap), client=client), topic)  # type: ignore[arg-type]


def _named(only: Iterable[str], values: Iterable[str] | None) -> set[str] | None:
    """Ids to replay, None for all."""
    asked = set(only) or None
    if values is None or asked is None:
        return asked if values is None else set(values)
    return asked & set(values)


def _places(rejected: RejectsTopic, codes: tuple[str, ...], named: set[str] | None) -> dict[str, tuple[int, int]]:
    places, known = {}, set()
    for reject in rejected.read():
        if named is not None and reject.id not in named:
            continue
        known.add(reject.id)
        if not codes or reject.record.code in codes:
            places[reject.id] = reject.place
    if unknown := sorted((named or set()) - known):
        shown = ", ".join(repr(id_) for id_ in unknown[:3])
        raise ConfigError(f"{counted(len(unknown), 'id')} not among the rejects of {rejected.topic!r}: {shown}")
    return places


def _replay(where: Where, plan: ReplayPlan, log: ReplayLog, chosen: Iterator[Reject]) -> ReplayCount:
    if not plan.dry_run:
        _make_replayed_topic(where)
    writer: Writer = open_writer(where.kafka)
    try:
        if not plan.dry_run:
            begin_replay(where.kafka, where.topic, plan.partitions, log, writer)
        with Originals(where.kafka, where.topic) as originals:
            replay = Replay(plan, writer, originals, on_left=lambda line: click.echo(printable(line)))
            for reject in chosen:
                replay.take(reject)
            replay.finish()
        if not plan.dry_run:
            end_replay(where.topic, writer)
        return replay.count
    finally:
        writer.close()


def _make_replayed_topic(where: Where) -> None:
    log = NewTopic(replayed_topic(where.topic), compact=True)
    with closing(open_admin(where.kafka)) as admin:
        ensure_topics(admin, [log], where.replication)
        [found] = look_at(admin, [log])
    # The ids are a set: they may lie in any number of partitions.
    if faults := setting_faults(found, where.kafka):
        raise ConfigError("; ".join(faults))


def _report(topic: str, count: ReplayCount, before: int, dry_run: bool) -> None:
    rejects = f"{counted(count.replayed, 'reject')} ({counted(count.events, 'event')})"
    summary = (
        f"{rejects} {'would be ' if dry_run else ''}replayed to {topic!r}, "
        f"{count.repaired:,} of them repaired; {count.left:,} left, {before:,} replayed before"
    )
    if count.left and not count.replayed:
        raise ConfigError(summary)
    click.echo(summary)


def _newest(items: Iterable[_T], limit: int | None) -> Iterable[_T]:
    return items if limit is None else deque(items, maxlen=limit)
