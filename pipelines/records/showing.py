"""What lists of records have in common: their options, and how they are printed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec

from sparsewatch.pipelines.console.numbers import ranged
from sparsewatch.pipelines.console.printable import printable
from sparsewatch.pipelines.console.tables import output, table
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.records.listing import View
from sparsewatch.pipelines.records.reading import MAX_BYTES, Record, following_records, newest_records, standing_records
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import Count
from sparsewatch.schemas.units import parse_moment_us
from sparsewatch.transforms.kafka.compacted import Compacted

_TABLE_RECORDS = 20


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
    #: Adds to a record what others say of it.
    added: Callable[[Record], Record] = dict

    def newest(self, topic: Compacted, chosen: Callable[[Record], bool]) -> Iterable[Record]:
        """Records to show that there are now."""
        limit = self.last if self.last is not None or self.as_json else _TABLE_RECORDS
        return (standing_records if self.stands else newest_records)(topic, limit, chosen)

    def wants(self, record: Record) -> bool:
        """Whether a record is recent enough."""
        time_us = record["window_end_us"] if "window_end_us" in record else record.get("event_time_us", 0)
        return bool(time_us >= self.since_us)


def list_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options of every command that lists records."""
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


def since_us(since: str | None) -> int:
    """Microseconds of `--since`, 0 without it.

    Raises:
        ConfigError: If it is no time.
    """
    try:
        return 0 if since is None else parse_moment_us(since)
    except ConfigError as error:
        raise ConfigError(f"--since: {error}") from error


def show_records(job: Job, shown: Shown, noun: str, wanted: Callable[[Record], bool] = lambda _: True) -> None:
    """Print the records of a topic, once or as they come.

    Args:
        job: Whose they are.
        shown: The topic and how.
        noun: What a record is.
        wanted: Which of them.
    """

    def chosen(record: Record) -> bool:
        return shown.wants(record) and wanted(record)

    with Compacted(job.kafka, shown.topic, MAX_BYTES) as topic:
        number = _print(shown, map(shown.added, shown.newest(topic, chosen)))
        if shown.follow:
            for record in following_records(topic, chosen):
                click.echo(_line(shown, shown.added(record)))
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
