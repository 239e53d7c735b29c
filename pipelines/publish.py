"""Files into Kafka: `sparsewatch publish`. Columnar until the record is made, paced by the clock if asked."""

import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import polars as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipelines.event_files import EventFile, TimeRule, open_events, parse_moment_us, read_events
from pipelines.job_files import load_job
from schemas.errors import ConfigError
from schemas.jobs import KafkaSettings, parse_duration_us
from transforms.codecs.arrow import encode_arrow
from transforms.codecs.decode import ARROW_TYPE
from transforms.kafka.client import Headers, NewTopic, Writer, open_admin, open_writer

#: Paced sending works in slices of so many seconds.
_SLICE_S = 0.05
_FLUSH_RECORDS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How events become records."""

    topic: str
    partitions: int
    format: str = "json"
    #: Events a record, Arrow only.
    rows_per_record: int = 1024
    #: Events a second; as fast as it goes if None.
    rate: float | None = None
    #: JSON only: the record's key, which also chooses its partition.
    key_column: str | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """What was written."""

    events: int
    records: int
    seconds: float


def publish_batches(
    writer: Writer, batches: Iterable[pl.DataFrame], plan: Plan, on_events: Callable[[int], None] = lambda _: None
) -> Published:
    """Write batches of events; returns when all are durable.

    Args:
        writer: Where to.
        batches: Events, columnar.
        plan: How they become records.
        on_events: Told how many more events were sent.

    Raises:
        SinkError: If the broker refuses a record.
    """
    started = time.monotonic()
    events = records = unflushed = 0
    for piece in _paced(batches, plan.rate):
        for partition, key, value, headers in _records(piece, plan, records, events):
            writer.send(plan.topic, key, value, headers, partition=partition)
            records += 1
            unflushed += 1
        if unflushed >= _FLUSH_RECORDS:
            writer.flush()
            unflushed = 0
        events += piece.height
        on_events(piece.height)
    writer.flush()
    return Published(events, records, time.monotonic() - started)


def _paced(batches: Iterable[pl.DataFrame], rate: float | None) -> Iterator[pl.DataFrame]:
    if rate is None:
        yield from batches
        return
    started, sent = time.monotonic(), 0
    for batch in batches:
        for piece in batch.iter_slices(max(1, round(rate * _SLICE_S))):
            time.sleep(max(0.0, started + sent / rate - time.monotonic()))
            yield piece
            sent += piece.height


_Record = tuple[int, bytes | None, bytes, Headers]


def _records(piece: pl.DataFrame, plan: Plan, records: int, events: int) -> Iterator[_Record]:
    if plan.format == "arrow":
        for number, rows in enumerate(piece.iter_slices(plan.rows_per_record), records):
            value = encode_arrow(rows.to_arrow(compat_level=pl.CompatLevel.oldest()))
            yield number % plan.partitions, None, value, [("content-type", ARROW_TYPE)]
        return
    lines = piece.write_ndjson().encode().split(b"\n")[: piece.height]
    if plan.key_column is None:
        for number, line in enumerate(lines, events):
            yield number % plan.partitions, None, line, ()
        return
    for key, line in zip(piece[plan.key_column].cast(pl.String).fill_null("").to_list(), lines, strict=True):
        coded = key.encode()
        yield zlib.crc32(coded) % plan.partitions, coded, line, ()


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--topic", required=True, help="Where to.")
@click.option("--time-column", required=True, metavar="C", help="Column of event times; with --start, the one to make.")
@click.option("--job", type=click.Path(path_type=Path), metavar="JOB.toml", help="Take the broker from a job file.")
@click.option("--bootstrap", multiple=True, metavar="HOST:PORT", help="Broker, if no job file is given.")
@click.option("--format", "coding", type=click.Choice(["json", "arrow"]), default="json", show_default=True)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), metavar="N", help="Events a second.")
@click.option(
    "--partitions", type=click.IntRange(1), metavar="N", help="Create the topic with N partitions if missing."
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Stop after N events.")
@click.option("--key-column", metavar="K", help="Column of record keys; equal keys go to one partition (JSON only).")
@click.option("--sort", is_flag=True, help="Read the file whole and order it by time first.")
@click.option(
    "--time-format",
    type=click.Choice(["epoch_s", "epoch_ms", "epoch_us", "iso8601"]),
    default="epoch_ms",
    show_default=True,
    help="How event times are written; must equal the job's source.time_format.",
)
@click.option("--input-time-format", metavar="FMT", help="strptime pattern of the file's times, e.g. %y%m%d%H.")
@click.option("--start", metavar="TIME", help="Make event times: the first (ISO-8601).")
@click.option("--interval", default="1s", show_default=True, help="Make event times: the step between events.")
@click.option(
    "--rows-per-record", type=click.IntRange(1), default=1024, show_default=True, help="Arrow: events a record."
)
@click.option("--client", type=click.Choice(["kafka-python", "confluent"]), default="kafka-python", show_default=True)
def publish(
    file: Path,
    topic: str,
    time_column: str,
    job: Path | None,
    bootstrap: tuple[str, ...],
    coding: str,
    rate: float | None,
    partitions: int | None,
    limit: int | None,
    key_column: str | None,
    sort: bool,
    time_format: str,
    input_time_format: str | None,
    start: str | None,
    interval: str,
    rows_per_record: int,
    client: str,
) -> None:
    r"""Write FILE (Parquet, CSV, or wafers as npz) to a topic.

    \b
    sparsewatch publish clicks.parquet --topic clicks --time-column click_time --bootstrap localhost:9092
    sparsewatch publish maps.npz --topic wafers --time-column time --start 2026-01-01 --interval 2s --job wafer.toml
    """
    kafka = _kafka(job, bootstrap, client)
    events = open_events(file)
    rule = TimeRule(
        column=time_column,
        output=time_format,  # type: ignore[arg-type]
        pattern=input_time_format,
        start_us=None if start is None else parse_moment_us(start),
        interval_us=parse_duration_us(interval),
    )
    _check_key(key_column, coding, events)
    plan = Plan(
        topic=topic,
        partitions=_partitions(kafka, topic, partitions),
        format=coding,
        rows_per_record=rows_per_record,
        rate=rate,
        key_column=key_column,
    )
    writer = open_writer(kafka)
    try:
        done = _with_progress(writer, _limited(read_events(events, rule, sort=sort), limit), plan, events, limit)
    finally:
        writer.close()
    click.echo(
        f"{done.events} events in {done.records} records to {topic!r} ({plan.partitions} partitions) in "
        f"{done.seconds:.1f} s, {done.events / max(done.seconds, 1e-9):,.0f} events/s"
    )


def _kafka(job: Path | None, bootstrap: tuple[str, ...], client: str) -> KafkaSettings:
    if job is not None:
        return load_job(job).kafka
    if not bootstrap:
        raise ConfigError("expected --job JOB.toml or --bootstrap HOST:PORT")
    return KafkaSettings(bootstrap_servers=list(bootstrap), client=client)  # type: ignore[arg-type]


def _check_key(key_column: str | None, coding: str, events: EventFile) -> None:
    if key_column is not None and coding == "arrow":
        raise ConfigError("--key-column: an Arrow record holds many events and has no key; use --format json")
    if key_column is not None and key_column not in events.columns:
        raise ConfigError(f"--key-column {key_column!r}: {events.path} has the columns {', '.join(events.columns)}")


def _partitions(kafka: KafkaSettings, topic: str, wanted: int | None) -> int:
    admin = open_admin(kafka)
    try:
        found = len(admin.partitions(topic))
        if not found and wanted is None:
            raise ConfigError(f"the broker has no topic {topic!r}; --partitions N creates it")
        if not found:
            admin.create_topics([NewTopic(topic, partitions=wanted or 1)])
        return found or wanted or 1
    finally:
        admin.close()


def _limited(batches: Iterator[pl.DataFrame], limit: int | None) -> Iterator[pl.DataFrame]:
    left = limit
    for batch in batches:
        if left is None:
            yield batch
            continue
        yield batch.head(left)
        left -= min(left, batch.height)
        if not left:
            return


def _with_progress(
    writer: Writer, batches: Iterator[pl.DataFrame], plan: Plan, events: EventFile, limit: int | None
) -> Published:
    total = events.rows if limit is None else min(limit, events.rows or limit)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(events.path.name, total=total)
        return publish_batches(writer, batches, plan, lambda n: progress.update(task, advance=n))
