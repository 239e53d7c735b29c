"""What `rejects` and `late` share: records set aside, listed and replayed."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from sparsewatch.pipelines.console.printable import printable
from sparsewatch.pipelines.console.tables import output
from sparsewatch.pipelines.job.broker_checks import look_at, setting_faults
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.rejects.listing import RejectCounts, json_line, record_table, table_row
from sparsewatch.pipelines.rejects.replay import Replay, ReplayCount, ReplayPlan
from sparsewatch.pipelines.rejects.replay_log import ReplayLog, begin_replay, end_replay, read_log
from sparsewatch.pipelines.rejects.topics import Origin, Originals, SetAside, SetAsideTopic
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.schemas.side_records import SideKind
from sparsewatch.transforms.kafka.client import NewTopic, Writer
from sparsewatch.transforms.kafka.open import ensure_topics, open_admin, open_writer, partitions_of

_T = TypeVar("_T")
TABLE_RECORDS = 20
#: How many records of one fate a replay names; the others are counted.
SAME_FATE = 10


@dataclass(frozen=True, slots=True)
class Where:
    """Broker and source topic."""

    kafka: KafkaSettings
    origin: Origin
    #: Replicas of a topic created here.
    replication: int = 1


def place_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that name broker and source topic."""
    for decorate in (
        click.option(
            "--client", type=click.Choice(["kafka-python", "confluent"]), default="kafka-python", show_default=True
        ),
        click.option("--bootstrap", multiple=True, metavar="HOST:PORT", help="Broker, if no job file is given."),
        click.option(
            "--job", type=click.Path(path_type=Path), metavar="JOB.toml", help="Take broker and topic from a job file."
        ),
        click.argument("topic", metavar="[JOB.toml|TOPIC]", required=False),
    ):
        command = decorate(command)
    return command


def list_aside(where: Where, codes: tuple[str, ...], limit: int | None, *, as_json: bool) -> None:
    """Print the records set aside of a topic.

    Args:
        where: Broker and origin.
        codes: Only records with these codes; all if empty.
        limit: Only the newest; None for the command's default.
        as_json: One line a record instead of a table.
    """
    done = read_log(where.kafka, where.origin).replayed
    counts = RejectCounts(done)
    with SetAsideTopic(where.kafka, where.origin) as aside:
        found = counts.watch(r for r in aside.read() if not codes or r.record.code in codes)
        if as_json:
            for line in _newest((json_line(r, r.id in done) for r in found), limit):
                click.echo(line)
        else:
            rows = _newest((table_row(r, r.id in done) for r in found), limit or TABLE_RECORDS)
            records = record_table(rows, where.origin.noun)
            if counts.total:
                output().print(records, counts.table(where.origin.noun))
    total = f"{counted(counts.total, where.origin.noun)} ({counted(counts.events, 'event')})"
    click.echo(f"{total} of {where.origin.topic!r}{counts.by_code}", err=as_json)


def replay_aside(
    where: Where, plan: ReplayPlan, codes: tuple[str, ...], chosen_ids: set[str] | None, again: bool
) -> None:
    """Replay records set aside and report.

    Args:
        where: Broker and origin.
        plan: What to do with each.
        codes: Only records with these codes; all if empty.
        chosen_ids: Only these; None for all.
        again: Whether those replayed before are replayed, too.
    """
    log = read_log(where.kafka, where.origin)
    done = set() if again else log.replayed
    with SetAsideTopic(where.kafka, where.origin) as aside:
        places = _places(aside, codes, chosen_ids)
        chosen = [place for id_, place in places.items() if id_ not in done]
        count = _replay(where, plan, log, aside.read_again(chosen))
    _report(plan, count, len(places) - len(chosen))


def partitions_to(kafka: KafkaSettings, topic: str) -> tuple[int, ...]:
    """Partitions of a topic that records are sent to.

    Raises:
        ConfigError: If there is no such topic.
    """
    if partitions := partitions_of(kafka, topic):
        return partitions
    raise ConfigError(f"the broker has no topic {topic!r}")


def where_of(kind: SideKind, topic: str | None, job: Path | None, bootstrap: tuple[str, ...], client: str) -> Where:
    """Broker and origin that the options of a command name; TOPIC may be a job's file, too.

    Raises:
        ConfigError: If they name none, or the job's file is wrong.
    """
    if job is None and topic is not None and topic.endswith(".toml"):
        job, topic = Path(topic), None
    if job is not None:
        settings = load_job(job)
        return Where(settings.kafka, Origin(topic or settings.source.topic, kind), settings.output.replication)
    if not bootstrap or topic is None:
        raise ConfigError("expected JOB.toml, or TOPIC and --bootstrap HOST:PORT")
    kafka = KafkaSettings(bootstrap_servers=list(bootstrap), client=client)  # type: ignore[arg-type]
    return Where(kafka, Origin(topic, kind))


def named(only: Iterable[str], values: Iterable[str] | None) -> set[str] | None:
    """Ids to replay, None for all."""
    asked = set(only) or None
    if values is None or asked is None:
        return asked if values is None else set(values)
    return asked & set(values)


def _places(found: SetAsideTopic, codes: tuple[str, ...], named: set[str] | None) -> dict[str, tuple[int, int]]:
    places, known = {}, set()
    for reject in found.read():
        if named is not None and reject.id not in named:
            continue
        known.add(reject.id)
        if not codes or reject.record.code in codes:
            places[reject.id] = reject.place
    if unknown := sorted((named or set()) - known):
        shown = ", ".join(repr(id_) for id_ in unknown[:3])
        raise ConfigError(f"{counted(len(unknown), 'id')} not in {found.origin.side_topic!r}: {shown}")
    return places


class _Lines:
    """Says what becomes of records; of many of one fate the first, then how many more there are."""

    def __init__(self) -> None:
        self._fates: Counter[str] = Counter()

    def add(self, id_: str, fate: str) -> None:
        self._fates[fate] += 1
        if self._fates[fate] <= SAME_FATE:
            click.echo(printable(f"{id_}: {fate}"))

    def end(self) -> None:
        for fate, number in self._fates.items():
            if number > SAME_FATE:
                click.echo(printable(f"{number - SAME_FATE:,} more: {fate}"))


def _replay(where: Where, plan: ReplayPlan, log: ReplayLog, chosen: Iterator[SetAside]) -> ReplayCount:
    if not plan.dry_run:
        _make_replayed_topic(where)
    writer: Writer = open_writer(where.kafka)
    try:
        if not plan.dry_run:
            begin_replay(where.kafka, where.origin, plan.to, plan.partitions, log, writer)
        with Originals(where.kafka, where.origin.topic) as originals:
            lines = _Lines()
            replay = Replay(plan, writer, originals, on_left=lines.add)
            for reject in chosen:
                replay.take(reject)
            replay.finish()
            lines.end()
        if not plan.dry_run:
            end_replay(where.origin, writer)
        return replay.count
    finally:
        writer.close()


def _make_replayed_topic(where: Where) -> None:
    log = NewTopic(where.origin.replayed_topic, compact=True)
    with closing(open_admin(where.kafka)) as admin:
        ensure_topics(admin, [log], where.replication)
        [found] = look_at(admin, [log])
    # The ids are a set: they may lie in any number of partitions.
    if faults := setting_faults(found, where.kafka):
        raise ConfigError("; ".join(faults))


def _report(plan: ReplayPlan, count: ReplayCount, before: int) -> None:
    rejects = f"{counted(count.replayed, plan.origin.noun)} ({counted(count.events, 'event')})"
    summary = (
        f"{rejects} {'would be ' if plan.dry_run else ''}replayed to {plan.to!r}, "
        f"{count.repaired:,} of them repaired; {count.left:,} left, {before:,} replayed before"
    )
    if count.left and not count.replayed:
        raise ConfigError(summary)
    click.echo(summary)


def _newest(items: Iterable[_T], limit: int | None) -> Iterable[_T]:
    return items if limit is None else deque(items, maxlen=limit)
