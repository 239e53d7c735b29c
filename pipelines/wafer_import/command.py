"""`sparsewatch wafers import`: files of inspected wafers into the topic a wafer job reads."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import click

from sparsewatch.pipelines.console.numbers import ranged
from sparsewatch.pipelines.console.printable import printable
from sparsewatch.pipelines.job.broker_options import BOOTSTRAP_OPTION, JOB_OPTION, broker_of
from sparsewatch.pipelines.job.job_file import load_job_of
from sparsewatch.pipelines.wafer.settings import WaferJob
from sparsewatch.pipelines.wafer_files.formats import ReadOptions
from sparsewatch.pipelines.wafer_files.klarf.fields import DieOrigin
from sparsewatch.pipelines.wafer_files.reading_options import (
    COUNTS_OPTION,
    DIE_ORIGIN_OPTION,
    NO_DIE_OPTION,
    TIMEZONE_OPTION,
    expand,
    zone_of,
)
from sparsewatch.pipelines.wafer_import.importing import ImportPlan, import_files
from sparsewatch.pipelines.wafer_import.survey import Defaults, Retests
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import TimeFormat, rejects_topic
from sparsewatch.schemas.settings import Count, parse_duration_us, parse_size
from sparsewatch.schemas.units import parse_moment_us

_EXAMPLES = """\b
sparsewatch wafers import results/ --topic wafers --bootstrap localhost:9092
sparsewatch wafers import 'lot42/*.001' maps.npz --job wafer.toml --step M1_CMP --start 2026-01-01
sparsewatch wafers import results/ --dry-run
"""


@click.command("import", epilog=_EXAMPLES)
@click.argument("files", nargs=-1, required=True)
@click.option("--topic", help="Topic to write to; the job's source topic if --job is given.")
@JOB_OPTION
@BOOTSTRAP_OPTION
@click.option("--rejects", metavar="TOPIC", help="Topic of files that cannot be used.  [default: TOPIC.rejects]")
@click.option("--step", default="", metavar="S", help="Step of wafers whose file names none.")
@click.option("--tool", default="", metavar="T", help="Tool of wafers whose file names none.")
@click.option(
    "--retests",
    type=click.Choice(["keep-last", "keep-all"]),
    default="keep-last",
    show_default=True,
    help="Where a wafer was inspected several times in a lot and step: write the newest inspection, or all.",
)
@COUNTS_OPTION
@DIE_ORIGIN_OPTION
@NO_DIE_OPTION
@TIMEZONE_OPTION
@click.option(
    "--time-column", metavar="C", help="Column of event times, read and written.  [default: time, or the job's]"
)
@click.option(
    "--time-format",
    type=click.Choice(["epoch_s", "epoch_ms", "epoch_us", "iso8601"]),
    help="How event times are written.  [default: epoch_ms, or the job's]",
)
@click.option("--start", metavar="TIME", help="First event time (ISO-8601) of wafers whose file states none.")
@click.option("--interval", default="1s", show_default=True, help="Step between event times made from --start.")
@click.option("--label-column", metavar="C", help="Write the class of labelled wafers, too, as this column.")
@click.option("--format", "coding", type=click.Choice(["json", "arrow"]), default="json", show_default=True)
@click.option("--partitions", type=ranged(Count), metavar="N", help="Create the topic with N partitions if missing.")
@click.option("--dry-run", is_flag=True, help="Read and report, write nothing; needs no broker.")
@click.option(
    "--client", type=click.Choice(["kafka-python", "confluent"]), help="[default: that of the job, else kafka-python]"
)
def import_wafers(
    files: tuple[str, ...],
    topic: str | None,
    job: Path | None,
    bootstrap: tuple[str, ...],
    rejects: str | None,
    step: str,
    tool: str,
    retests: Retests,
    counts: str,
    die_origin: DieOrigin,
    no_die: tuple[str, ...],
    timezone: str,
    time_column: str | None,
    time_format: TimeFormat | None,
    start: str | None,
    interval: str,
    label_column: str | None,
    coding: Literal["json", "arrow"],
    partitions: int | None,
    dry_run: bool,
    client: str | None,
) -> None:
    """Read FILES, folders or wildcards among them, and write their wafers to a topic as a wafer job reads them.

    Formats are recognised by content: KLARF 1.1, 1.2 and 1.8, bin maps as text (plain or SINF), npz of die maps, JSON
    lines, Parquet and Arrow IPC; text also packed with gzip or zstd. Defects count from the wafer's centre in
    micrometres with the notch down. docs/wafer-files.md describes each.

    All files are read before anything is written. A file that cannot be read to its end goes to the rejects topic
    whole, with the fault; no wafer of it counts. If a wafer, lot, step and slot comes again, the inspection with the
    latest time counts (the last read of equal times), and the others are superseded. Defects of a wafer in the same
    square micrometre are duplicates.

    Exit code 0: nothing was rejected; 1: something was; 2: a setting is wrong.
    """
    read_as = _wafer_job(job)
    plan = _plan(read_as, topic or ("" if read_as is None else read_as.source.topic), rejects, dry_run=dry_run)
    options = ReadOptions(
        zone=zone_of(timezone),
        check_counts=counts == "declared",
        die_origin=die_origin,
        no_die=no_die,
        time_column=time_column or plan.options.time_column,
        time_format=time_format or plan.options.time_format,
    )
    plan = replace(
        plan,
        options=options,
        start_us=None if start is None else parse_moment_us(start),
        interval_us=parse_duration_us(interval),
        defaults=Defaults(step, tool),
        retests=retests,
        label_column=label_column,
        format=coding,
        partitions=partitions,
    )
    kafka = None if dry_run else broker_of(job, bootstrap, client)
    count = import_files(expand(files), plan, kafka, lambda line: click.echo(printable(line)))
    click.echo(count.line("importable" if dry_run else "imported"))
    if count.faults:
        sys.exit(1)


def _wafer_job(job_file: Path | None) -> WaferJob | None:
    return None if job_file is None else load_job_of(WaferJob, job_file, why="the only kind that reads wafers")


def _plan(job: WaferJob | None, topic: str, rejects: str | None, *, dry_run: bool) -> ImportPlan:
    """The plan by the job, or by the defaults without a job."""
    if not topic and not dry_run:
        raise ConfigError("expected --topic T, or --job JOB.toml that names the topic")
    rejects = rejects or rejects_topic(topic)
    if job is None:
        return ImportPlan(topic=topic, rejects=rejects, options=ReadOptions())
    source = job.source
    options = ReadOptions(time_column=source.time_column, time_format=source.time_format)
    return ImportPlan(topic=topic, rejects=rejects, options=options, most_bytes=parse_size(source.max_record_bytes))
