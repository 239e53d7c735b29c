"""`sparsewatch init`: a job file from a look at a topic, or at files."""

import re
import shlex
from pathlib import Path

import click

from sparsewatch.pipelines.console.numbers import ranged
from sparsewatch.pipelines.console.printable import printable
from sparsewatch.pipelines.console.progress import BYTES, progress_bar
from sparsewatch.pipelines.init.files import FileTimes, sample_of_files
from sparsewatch.pipelines.init.records import sample_of_records
from sparsewatch.pipelines.init.topic import look_at_topic
from sparsewatch.pipelines.init.write import Drafted, Seen, Wishes, draft_job, expect_free, write_job
from sparsewatch.pipelines.job.broker_options import asking, check_addresses
from sparsewatch.pipelines.job.kinds import KINDS
from sparsewatch.pipelines.tables.options import INPUT_TIME_FORMAT_OPTION, reading_options
from sparsewatch.pipelines.tables.settings import Reading
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import KafkaSettings, check_kafka, read_password
from sparsewatch.schemas.settings import Count, read_settings

#: Seconds between two lines of progress where there is no terminal.
_LINE_S = 2.0
_LONGEST_NAME = 200
_HERE = "localhost:9092"

_EXAMPLES = """\b
Examples:
  sparsewatch init --bootstrap localhost:9092 --topic clicks
  sparsewatch check clicks.toml
  sparsewatch run clicks.toml --until latest
\b
  sparsewatch init --bootstrap broker:9093 --topic clicks --kafka security_protocol=SASL_SSL \\
    --kafka sasl_mechanism=SCRAM-SHA-512 --kafka username=watch --kafka password_env=KAFKA_PASSWORD
  sparsewatch init --file day1.parquet --topic clicks --label is_attributed
"""


def _pairs(_ctx: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    if not all(key and equals for key, equals, _ in pairs):
        # Not repeated: it may be a password, by mistake.
        raise ConfigError("--kafka: expected KEY=VALUE, such as ca_file=ca.pem, got something else")
    return {key: value for key, _, value in pairs}


@click.command(epilog=_EXAMPLES)
@click.option("--bootstrap", multiple=True, metavar="HOST:PORT", help="Broker of the topic; may be repeated.")
@click.option("--topic", help="Topic to look at; with --file, the topic that the job will read.")
@click.option(
    "--file",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Look at a file or folder instead of a topic; may be repeated.",
)
@click.option("--kind", type=click.Choice(list(KINDS)), help="Kind of the job.  [default: what suits the events]")
@click.option("--name", help="Name of the job.  [default: that of the topic]")
@click.option("--label", metavar="C", help="Column of 0 and 1 to explain.  [default: found by name, then by rarity]")
@click.option(
    "--time-column",
    metavar="C",
    help="Column of event times; _timestamp for the records' own.  [default: found by values, name and order]",
)
@INPUT_TIME_FORMAT_OPTION
@click.option("--model", metavar="FOLDER", help="Model that the job uses; a wafer job needs one.")
@click.option("--events", type=ranged(Count), default=50_000, show_default=True, help="Events to look at, at most.")
@click.option(
    "--kafka",
    "settings",
    multiple=True,
    callback=_pairs,
    metavar="KEY=VALUE",
    help="A key of the job's table [kafka], such as ca_file=ca.pem; may be repeated.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write.  [default: NAME.toml]")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@reading_options
def init(
    bootstrap: tuple[str, ...],
    topic: str | None,
    files: tuple[Path, ...],
    kind: str | None,
    name: str | None,
    label: str | None,
    time_column: str | None,
    input_time_format: str | None,
    model: str | None,
    events: int,
    settings: dict[str, str],
    out: Path | None,
    force: bool,
    reading: Reading,
) -> None:
    """Write a job file for a topic nobody has described.

    Looks at the oldest and the newest events of the topic's partitions, finds columns, types, event times, the label,
    how far events are out of order and how many make a window, and writes a job file that runs as it is. Each choice
    stands in the file with its reason: read it, and change what you know better.

    A kind is chosen unless you name one: `ctr` where a column of 0 and 1 is a label, such as click, `wafer` for wafers,
    otherwise `rows`, whose first model is learned from the events looked at.

    Nothing is written to the broker. Passwords are named, as in job files, by --kafka password_env=VARIABLE or
    password_file=FILE.
    """
    if not files and topic is None:
        raise ConfigError("expected --topic T of a broker, or --file FILE")
    if input_time_format is not None and not (files and time_column):
        raise ConfigError("--input-time-format: says how the --time-column of a --file is written")
    kafka = _broker(bootstrap, settings, needed=not files)
    topic = topic or _topic_name(files[0])
    if out is not None:
        # Before the look, which takes seconds.
        expect_free(out, force=force)
    seen = (
        _look_at_files(files, events, reading, FileTimes(column=time_column, form=input_time_format))
        if files
        else _look_at_topic(kafka if "timeout" in settings else asking(kafka), topic, events, reading)
    )
    wishes = Wishes(kind=kind, name=name, label=label, time_column=time_column, model=model)
    drafted = draft_job(kafka, topic, seen, wishes, out)
    write_job(drafted, force=force)
    _report(drafted, files, input_time_format)


def _broker(bootstrap: tuple[str, ...], settings: dict[str, str], *, needed: bool) -> KafkaSettings:
    """The broker; where it is not asked, an address that a person may change."""
    if needed and not bootstrap:
        raise ConfigError("expected --bootstrap HOST:PORT of the topic's broker")
    check_addresses(bootstrap)
    given = {"bootstrap_servers": list(bootstrap or (_HERE,)), **settings}
    kafka = read_settings(given, KafkaSettings, "--kafka")
    check_kafka(kafka)
    # Before a file names it: what is no variable may be the password itself.
    read_password(kafka)
    return kafka


def _topic_name(file: Path) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", file.name.split(".")[0])[:_LONGEST_NAME].strip("-") or "events"


def _look_at_topic(kafka: KafkaSettings, topic: str, events: int, reading: Reading) -> Seen:
    with progress_bar(f"reading {topic}", unit="records", lines_s=_LINE_S) as bar:
        looked = look_at_topic(kafka, topic, events, bar.add)
    missing = reading.missing
    sample = sample_of_records(topic, looked.fetched, looked.records, missing)
    if markers := sample.markers:
        missing = (*missing, *markers)
        sample = sample_of_records(topic, looked.fetched, looked.records, missing)
    return Seen(
        sample=sample, missing=missing, fetched=looked.fetched, partitions=looked.partitions, topics=looked.topics
    )


def _look_at_files(files: tuple[Path, ...], events: int, reading: Reading, times: FileTimes) -> Seen:
    with progress_bar("reading", unit=BYTES, lines_s=_LINE_S) as bar:
        return Seen(sample=sample_of_files(files, events, reading, times, bar.move), missing=reading.missing)


def _report(drafted: Drafted, files: tuple[Path, ...], input_time_format: str | None) -> None:
    click.echo(f"{drafted.path}: job {drafted.job.name!r} of kind {drafted.choice.kind!r}")
    for what, told in drafted.told():
        click.echo(printable(f"{what:<10}{told}"))
    if drafted.remark:
        click.echo(printable(drafted.remark), err=True)
    job = shlex.quote(str(drafted.path))
    click.echo("\nNext:")
    if files:
        form = [] if input_time_format is None else ["--input-time-format", input_time_format]
        topic, time = drafted.job.source.topic, drafted.job.source.time_column
        words = [*map(str, files), "--topic", topic, "--time-column", time, *form, "--partitions", "1"]
        words += ["--sort"] if drafted.findings.pace.unsorted else []
        click.echo(f"  sparsewatch publish {shlex.join(words)} --job {job}")
    click.echo(f"  sparsewatch check {job}")
    click.echo(f"  sparsewatch run {job} --until latest")
