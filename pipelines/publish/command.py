"""Files into Kafka: `sparsewatch publish`. Columnar until the record is made, paced by the clock if asked."""

import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click
import polars as pl

from sparsewatch.pipelines.console.numbers import ranged
from sparsewatch.pipelines.console.progress import BYTES, progress_bar
from sparsewatch.pipelines.job.broker_options import BOOTSTRAP_OPTION, broker_of
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.publish.event_files import EventFile, TimeRule, open_events, read_events
from sparsewatch.pipelines.tables.columns import listed
from sparsewatch.pipelines.tables.options import INPUT_TIME_FORMAT_OPTION, reading_options
from sparsewatch.pipelines.tables.settings import Reading
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import ConfigError, SchemaError
from sparsewatch.schemas.jobs import KafkaSettings, TimeFormat
from sparsewatch.schemas.settings import Count, Positive, parse_duration_us
from sparsewatch.schemas.units import parse_moment_us
from sparsewatch.transforms.codecs.arrow import encode_arrow
from sparsewatch.transforms.codecs.decode import ARROW_TYPE
from sparsewatch.transforms.kafka.client import NewTopic, Writer
from sparsewatch.transforms.kafka.open import ensure_topics, open_admin, open_reader, open_writer
from sparsewatch.transforms.records import Headers

#: Paced sending works in slices of this many seconds.
_SLICE_S = 0.05
_FLUSH_RECORDS = 20_000
#: A topic created here takes records of many events.
_MAX_RECORD_BYTES = 16 << 20
#: Seconds between two lines of progress where there is no terminal.
_LINE_S = 5.0
#: Of more partitions only the number is shown.
_SHOWN_PARTITIONS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How events become records."""

    topic: str
    partitions: int
    format: Literal["json", "arrow"] = "json"
    #: Events per record, Arrow only.
    rows_per_record: int = 1024
    #: Events per second; as fast as possible if None.
    rate: float | None = None
    #: JSON only: the record's key, which also chooses its partition; events without one alternate between partitions.
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
        writer: Sends the records.
        batches: Events, columnar.
        plan: How they become records.
        on_events: Called with the number of events just sent.

    Raises:
        SinkError: If the broker refuses a record.
    """
    started = time.monotonic()
    events = records = unflushed = 0
    for piece in _paced(batches, plan):
        for partition, key, value, headers in records_of(piece, plan, records, events):
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


def _paced(batches: Iterable[pl.DataFrame], plan: Plan) -> Iterator[pl.DataFrame]:
    if plan.rate is None:
        yield from batches
        return
    started, sent = time.monotonic(), 0
    rows = max(1, round(plan.rate * _SLICE_S), plan.rows_per_record if plan.format == "arrow" else 1)
    for batch in batches:
        for piece in batch.iter_slices(rows):
            time.sleep(max(0.0, started + sent / plan.rate - time.monotonic()))
            yield piece
            sent += piece.height


_Record = tuple[int, bytes | None, bytes, Headers]


def records_of(piece: pl.DataFrame, plan: Plan, records: int, events: int) -> Iterator[_Record]:
    """Records of some events: partition, key, value and headers.

    Args:
        piece: Events.
        plan: How they become records.
        records: Records made before; Arrow records go to the partitions in turn.
        events: Events made before; JSON events without a key go to the partitions in turn, too.
    """
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
    keys = piece[plan.key_column].cast(pl.String).to_list()
    for number, (key, line) in enumerate(zip(keys, lines, strict=True), events):
        coded = None if key is None else key.encode()
        yield (number if coded is None else zlib.crc32(coded)) % plan.partitions, coded, line, ()


_EXAMPLES = """\b
sparsewatch publish clicks.parquet --topic clicks --time-column click_time --bootstrap localhost:9092
sparsewatch publish maps.npz --topic wafers --time-column time --start 2026-01-01 --interval 2s --job wafer.toml
"""


@click.command(epilog=_EXAMPLES)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--topic", required=True, help="Topic to write to.")
@click.option("--time-column", required=True, metavar="C", help="Column of event times; with --start, its new name.")
@click.option(
    "--job",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="JOB.toml",
    help="Take broker and types of columns from a job.",
)
@BOOTSTRAP_OPTION
@click.option("--format", "coding", type=click.Choice(["json", "arrow"]), default="json", show_default=True)
@click.option("--rate", type=ranged(Positive), metavar="N", help="Events per second.")
@click.option("--partitions", type=ranged(Count), metavar="N", help="Create the topic with N partitions if missing.")
@click.option("--limit", type=ranged(Count), metavar="N", help="Stop after N events.")
@click.option("--key-column", metavar="K", help="Column of record keys; equal keys go to one partition (JSON only).")
@click.option("--sort", is_flag=True, help="Read all files whole and order events by time first.")
@click.option(
    "--time-format",
    type=click.Choice(["epoch_s", "epoch_ms", "epoch_us", "iso8601"]),
    help="How event times are written.  [default: the job's source.time_format, else epoch_ms]",
)
@INPUT_TIME_FORMAT_OPTION
@click.option("--start", metavar="TIME", help="Generate event times: the first (ISO-8601).")
@click.option("--interval", default="1s", show_default=True, help="Generate event times: the step between events.")
@click.option(
    "--rows-per-record", type=ranged(Count), default=1024, show_default=True, help="Arrow: events per record."
)
@click.option(
    "--client", type=click.Choice(["kafka-python", "confluent"]), help="[default: that of the job, else kafka-python]"
)
@reading_options
def publish(
    files: tuple[Path, ...],
    topic: str,
    time_column: str,
    job: Path | None,
    bootstrap: tuple[str, ...],
    coding: Literal["json", "arrow"],
    rate: float | None,
    partitions: int | None,
    limit: int | None,
    key_column: str | None,
    sort: bool,
    time_format: TimeFormat | None,
    input_time_format: str | None,
    start: str | None,
    interval: str,
    rows_per_record: int,
    client: str | None,
    reading: Reading,
) -> None:
    """Write FILEs to a topic.

    A FILE is Parquet, CSV (.csv, .tsv) or JSON lines (.jsonl, .ndjson), plain or packed (.gz, .zst), or a folder of
    them; or wafers as npz. With --job columns have the types that it declares, and a value of another type ends the
    command before the first event; without it types are inferred from all rows.

    Events go to the partitions in turn, so that the same files fill them in the same way each time. Columns of times
    are written in --time-format, numbers and text stay as they are. Memory does not depend on the size of the files,
    unless they are sorted.
    """
    kafka = broker_of(job, bootstrap, client)
    declared = None if job is None else load_job(job)
    rule = TimeRule(
        column=time_column,
        output=_output(time_format, declared),
        pattern=input_time_format,
        start_us=None if start is None else parse_moment_us(start),
        interval_us=parse_duration_us(interval),
    )
    with progress_bar("scanning", unit=BYTES) as bar:
        looked_at = None if sort else limit
        events = open_events(*files, job=declared, rule=rule, reading=reading, limit=looked_at, on_bytes=bar.move)
    for remark in (*events.table.found, *(events.written.remarks if events.written else ())):
        click.echo(remark, err=True)
    if absent := [name for name in _columns_of(declared) if name not in events.columns]:
        click.echo(f"{events.name} lacks the columns {listed(absent)} of the job: they will be missing", err=True)
    _check_key(key_column, coding, events)
    plan = Plan(
        topic=topic,
        partitions=topic_partitions(kafka, topic, partitions),
        format=coding,
        rows_per_record=rows_per_record,
        rate=rate,
        key_column=key_column,
    )
    batches = _limited(read_events(events, rule, sort=sort), limit)
    total = events.rows if limit is None else min(limit, events.rows or limit)
    writer, written, stopped = open_writer(kafka), 0, False

    def on_events(number: int) -> None:
        nonlocal written
        written += number
        bar.add(number)

    try:
        with progress_bar(files[0].name, total, "events", lines_s=_LINE_S) as bar:
            done = publish_batches(writer, batches, plan, on_events)
    except KeyboardInterrupt:
        stopped = True
    finally:
        writer.close()
    if stopped:
        click.echo(f"stopped after {counted(written, 'event')} to {topic!r}")
        return
    for remark in events.table.rejected.summary():
        click.echo(remark, err=True)
    if not done.events:
        raise SchemaError(f"{events.name}: expected events, got none")
    click.echo(
        f"{counted(done.events, 'event')} in {counted(done.records, 'record')} to {topic!r} in {done.seconds:.1f} s, "
        f"{done.events / max(done.seconds, 1e-9):,.0f} events/s; {_ends(kafka, topic, plan.partitions)}"
    )


def _output(asked: TimeFormat | None, job: Job | None) -> TimeFormat:
    """How event times are written: as the job reads them."""
    if job is None:
        return asked or "epoch_ms"
    if asked not in (None, job.source.time_format):
        raise ConfigError(f"--time-format {asked}: expected that of the job, {job.source.time_format}")
    return job.source.time_format


def _columns_of(job: Job | None) -> list[str]:
    return [] if job is None else [field.name for field in job.event_columns().fields]


def _check_key(key_column: str | None, coding: str, events: EventFile) -> None:
    if key_column is not None and coding == "arrow":
        raise ConfigError("--key-column: an Arrow record holds many events and has no key; use --format json")
    if key_column is not None and key_column not in events.columns:
        raise ConfigError(f"--key-column {key_column!r}: {events.name} has the columns {', '.join(events.columns)}")


def topic_partitions(kafka: KafkaSettings, topic: str, wanted: int | None) -> int:
    """Partitions of a topic; it is created with `wanted` partitions if it is missing.

    Raises:
        ConfigError: If it is missing and `wanted` is None.
    """
    with closing(open_admin(kafka)) as admin:
        if wanted is not None:
            ensure_topics(admin, [NewTopic(topic, wanted, max_record_bytes=_MAX_RECORD_BYTES)])
        found = len(admin.partitions(topic))
    if not found and wanted is None:
        raise ConfigError(f"the broker has no topic {topic!r}; --partitions N creates it")
    return found or wanted or 1


def _ends(kafka: KafkaSettings, topic: str, partitions: int) -> str:
    with closing(open_reader(kafka, topic, _MAX_RECORD_BYTES)) as reader:
        reader.assign(dict.fromkeys(range(partitions), 0))
        ends = reader.end_offsets()
    if partitions > _SHOWN_PARTITIONS:
        return f"{partitions} partitions"
    return "partitions end at " + ", ".join(str(ends[p]) for p in sorted(ends))


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
