"""`sparsewatch train reference`: learn what is normal for a click-through job from files, or from its topic.

Files are read in the job's types, a topic as the job decodes it (`sparsewatch.pipelines.train.topic_stretch`); both are
counted by the job's windows (`sparsewatch.pipelines.train.windowed_counts`).
"""

from collections.abc import Sequence
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.compute as pc

from sparsewatch.detectors.counts.row_sample import DEFAULT_SAMPLE_ROWS
from sparsewatch.pipelines.console.durations import duration_us
from sparsewatch.pipelines.console.progress import BYTES, progress_bar
from sparsewatch.pipelines.ctr.settings import CtrJob
from sparsewatch.pipelines.job.job_file import load_job_of
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.pipelines.tables.options import INPUT_TIME_FORMAT_OPTION, reading_options
from sparsewatch.pipelines.tables.settings import PLAIN, Reading, TableSettings
from sparsewatch.pipelines.tables.streams import OnBytes
from sparsewatch.pipelines.tables.table import Table, open_table
from sparsewatch.pipelines.tables.times import Written, find_written, times_of
from sparsewatch.pipelines.train.reference_report import check_worth, report
from sparsewatch.pipelines.train.topic_stretch import Asked, OnRecords, TopicStretch
from sparsewatch.pipelines.train.windowed_counts import WindowedCounts
from sparsewatch.schemas.block import EVENT_TIME_US, OFFSET, PARTITION, ROW
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import read_password
from sparsewatch.transforms.codecs.stretch import Stretch

_ALL = Stretch()
#: Seconds between two lines of progress where there is no terminal.
_LINE_S = 5.0


def open_files(job: CtrJob, files: Sequence[Path], reading: Reading = PLAIN, on_bytes: OnBytes | None = None) -> Table:
    """The columns of files that a job uses, in the job's types, and its time column as the files write it.

    Args:
        job: Names the columns.
        files: Files, folders or patterns.
        reading: How texts are read.
        on_bytes: Called with the bytes read so far and in all, where all rows must be read to open the files.

    Raises:
        ConfigError: If a file cannot be read or lacks a column.
        SchemaError: If a file is damaged.
    """
    time, schema = job.source.time_column, ready(job).events.columns
    columns = (*job.ranked_features, job.label)
    settings = TableSettings(
        columns=(time, *columns),
        types={name: schema.field(name).type for name in columns},
        times=frozenset({time}),
        reading=reading,
    )
    return open_table(files, settings.for_source(job.source), on_bytes)


def count_rows(
    counts: WindowedCounts,
    job: CtrJob,
    source: Table,
    written: Written,
    on_bytes: OnBytes | None = None,
    stretch: Stretch = _ALL,
) -> int:
    """Count rows by the job's windows; gives how many rows have no usable time or label.

    Args:
        counts: Counts them.
        job: The job.
        source: As from `open_files`.
        written: How the files write event times.
        on_bytes: Called with the bytes read so far and in all.
        stretch: Only rows of this stretch of time, and those without a time.

    Raises:
        SchemaError: If a value is not of the job's type.
    """
    time, label = job.source.time_column, job.label
    columns = (*job.ranked_features, label)
    unusable = 0
    for rows in source.pieces(on_bytes):
        times, usable = written.read(rows.column(time))
        inside = ~usable | stretch.holds(times)
        rows, times, usable = rows.filter(pa.array(inside)), times[inside], usable[inside]
        usable &= pc.is_in(rows.column(label), pa.array([0, 1])).to_numpy(zero_copy_only=False)
        unusable += rows.num_rows - int(usable.sum())
        counts.add(rows.select(columns).filter(pa.array(usable)), times[usable])
    return unusable


def count_events(counts: WindowedCounts, job: CtrJob, stretch: TopicStretch, on_records: OnRecords) -> int:
    """Count the events of a topic by the job's windows; gives how many are rejects.

    Args:
        counts: Counts them.
        job: The job.
        stretch: Of its topic.
        on_records: Called with the number of records just read, and with that of all.

    Raises:
        ConfigError: If there is no event in the stretch.
        SourceError: If the broker does not answer.
    """
    columns = (*job.ranked_features, job.label)
    read = rejected = 0
    for decoded in stretch.decoded(on_records):
        rows = decoded.rows
        places = [rows.column(name).to_numpy() for name in (PARTITION, OFFSET, ROW)]
        counts.add(rows.select(columns), rows.column(EVENT_TIME_US).to_numpy(), places)
        read += rows.num_rows
        rejected += sum(reject.events for reject in decoded.rejects)
    if not read:
        raise ConfigError(f"expected events in the stretch of time, got none: {stretch.held()}")
    return rejected


_EXAMPLES = """\b
Examples:
  sparsewatch train reference clicks.toml last_week.parquet --out models/reference
  sparsewatch train reference clicks.toml --topic --last 2d --out models/reference
  sparsewatch train reference clicks.toml --topic --since 2026-01-05 --until 2026-01-12 --out models/reference
"""


@click.command("reference", epilog=_EXAMPLES)
@click.argument("job_file", metavar="JOB.toml", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("files", metavar="[FILE...]", nargs=-1, type=click.Path(path_type=Path))
@click.option("--topic", "of_topic", is_flag=True, help="Read the job's source topic; the default without a FILE.")
@click.option("--since", metavar="TIME", help="Only events of this time or later, e.g. 2026-01-31T08:00Z.")
@click.option("--until", metavar="TIME", help="Only events before this time.")
@click.option("--last", metavar="DURATION", help="Only the last so long of the topic, by its newest event, e.g. 2d.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the reference.")
@click.option("--no-sample", is_flag=True, help="Keep no rows with the reference: alerts then name no slice of rows.")
@INPUT_TIME_FORMAT_OPTION
@reading_options
def train_reference(
    job_file: Path,
    files: tuple[Path, ...],
    of_topic: bool,
    since: str | None,
    until: str | None,
    last: str | None,
    out: Path,
    no_sample: bool,
    input_time_format: str | None,
    reading: Reading,
) -> None:
    """Learn what is normal for the job JOB.toml from FILEs of normal operation, or from its own topic.

    A FILE is Parquet, CSV (.csv, .tsv) or JSON lines (.jsonl, .ndjson), plain or packed (.gz, .zst), or a folder of
    them. Without a FILE the job's source topic is read, as the job would decode it; it keeps no place there.

    Prints which losses the reference could find in an average window. Events of a single window, and windows too small
    to find anything, are refused.

    Some thousand rows are kept with the reference as they are, so that alerts can say in which rows a change is; none
    with --no-sample.
    """
    job = load_job_of(CtrJob, job_file, why="the only kind that has a reference")
    asked = _asked(since, until, last)
    if files and (of_topic or last is not None):
        raise ConfigError(f"{'--topic' if of_topic else '--last'}: reads the job's topic, expected no FILE")
    if not files and input_time_format is not None:
        raise ConfigError("--input-time-format: says how FILEs write event times, expected some")
    made, sample_rows = ready(job), 0 if no_sample else DEFAULT_SAMPLE_ROWS
    counts = WindowedCounts(
        made.windows.length_us,
        job.ranked_features,
        job.label,
        sample_rows,
        job.number_bins,
        job.checks.prediction,
    )
    if files:
        unusable = _of_files(counts, job, files, reading, input_time_format, asked.stretch)
    else:
        unusable = _of_topic(counts, job, asked)
    reference = counts.reference()
    for remark in check_worth(reference, job):
        click.echo(remark, err=True)
    report(reference, job.checks.thresholds.within(job.allowance), unusable)
    click.echo(f"saved as {reference.save(out)}")


def _asked(since: str | None, until: str | None, last: str | None) -> Asked:
    if last is None:
        return Asked(Stretch.parse(since, until))
    if since is not None or until is not None:
        raise ConfigError("--last: says how long the stretch is, expected neither --since nor --until")
    return Asked(last_us=duration_us("--last", last))


def _of_files(
    counts: WindowedCounts,
    job: CtrJob,
    files: Sequence[Path],
    reading: Reading,
    input_time_format: str | None,
    stretch: Stretch,
) -> int:
    with progress_bar("scanning", unit=BYTES) as bar:
        source = open_files(job, files, reading, bar.move)
    names, time = ", ".join(map(str, files[:3])), job.source
    written = find_written(
        names, times_of(source, time.time_column), time.time_column, time.time_format, input_time_format
    )
    with progress_bar("counting", unit=BYTES) as bar:
        unusable = count_rows(counts, job, source, written, bar.move, stretch)
    for remark in (*source.remarks(), *written.remarks):
        click.echo(remark, err=True)
    return unusable


def _of_topic(counts: WindowedCounts, job: CtrJob, asked: Asked) -> int:
    read_password(job.kafka)
    stretch = TopicStretch(ready(job), asked)
    for remark in stretch.remarks():
        click.echo(remark, err=True)
    done = 0
    with progress_bar(f"reading {job.source.topic}", unit="records", lines_s=_LINE_S) as bar:

        def moved(records: int, of: int) -> None:
            nonlocal done
            done += records
            bar.move(done, of)

        return count_events(counts, job, stretch, moved)
