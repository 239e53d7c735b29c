"""`sparsewatch train reference`: learn from files what is normal for a click-through job.

The files are cut into the job's windows; every window but the first and the last, which may be partial, is one
measurement of each figure.
"""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparsewatch.detectors.clicks.reference import Reference, fit_reference
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.number_bins import NO_BINS, NumberBins
from sparsewatch.detectors.counts.row_sample import DEFAULT_SAMPLE_ROWS, RowSample, row_identities, sampled_rows
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
from sparsewatch.schemas.block import EVENT_TIME_US

#: Fewest windows of which the first and the last are left out.
_TRIMMED_FROM = 4


class WindowedCounts:
    """Counts of rows by window.

    Args:
        window_us: Length of a window; windows start at multiples of it since the epoch.
        features: Columns to count.
        label: Column of clicks.
        sample_rows: Rows that are kept with the reference, at most; 0 for none.
        bins: Features that are counted in bins.
    """

    def __init__(
        self,
        window_us: int,
        features: Sequence[str],
        label: str,
        sample_rows: int = DEFAULT_SAMPLE_ROWS,
        bins: NumberBins = NO_BINS,
    ) -> None:
        self._window_us = window_us
        self._bins = bins
        self._features = tuple(features)
        self._label = label
        self._windows: dict[int, FeatureCounts] = {}
        columns = (*self._features, label, EVENT_TIME_US)
        self._sample = RowSample(columns, sampled_rows(sample_rows, len(columns))) if sample_rows else None
        self._rows = 0

    def add(self, rows: pa.RecordBatch, times_us: np.ndarray) -> None:
        """Count rows.

        Args:
            rows: The features and the label, n rows.
            times_us: Event times in microseconds since the epoch, shape (n,).

        Raises:
            SchemaError: If a row does not fit; see `FeatureCounts.update`.
        """
        if not rows.num_rows:
            return
        self._take(rows, times_us)
        windows = times_us // self._window_us
        order = np.argsort(windows, kind="stable")
        starts, first = np.unique(windows[order], return_index=True)
        ordered = rows.take(pa.array(order))
        for start, begin, end in zip(starts.tolist(), first, [*first[1:], rows.num_rows], strict=True):
            if start not in self._windows:
                self._windows[start] = FeatureCounts(
                    self._features, self._label, numbers=self._bins.features, number_bits=self._bins.bits
                )
            self._windows[start].update(ordered.slice(begin, end - begin))

    def reference(self) -> Reference:
        """A reference of the windows, less the first and the last where there are at least four.

        Raises:
            ConfigError: If there are no rows.
        """
        starts = sorted(self._windows)
        whole = starts[1:-1] if len(starts) >= _TRIMMED_FROM else starts
        return fit_reference(
            [self._windows[start] for start in whole],
            self._window_us,
            [start * self._window_us for start in whole],
            None if self._sample is None else self._sample.rows(),
        )

    def _take(self, rows: pa.RecordBatch, times_us: np.ndarray) -> None:
        """Sample rows by their place in the stream, whatever the pieces it comes in."""
        places = np.arange(self._rows, self._rows + rows.num_rows)
        self._rows += rows.num_rows
        if self._sample is not None:
            whole = rows.select([*self._features, self._label]).append_column(EVENT_TIME_US, pa.array(times_us))
            self._sample.update(whole, row_identities(places))


def fit_reference_from_table(
    table: pa.Table,
    time_column_us: str,
    window_us: int,
    features: Sequence[str],
    label: str,
    sample_rows: int = DEFAULT_SAMPLE_ROWS,
    bins: NumberBins = NO_BINS,
) -> Reference:
    """A reference of the windows of a table.

    Args:
        table: Rows with features, label and event time.
        time_column_us: Column of event times, microseconds since the epoch as integers, never null.
        window_us: Length of a window.
        features: Columns to learn.
        label: Column of clicks, 0 or 1.
        sample_rows: As for `WindowedCounts`.
        bins: Features that are counted in bins.

    Raises:
        ConfigError: If there are no rows.
        SchemaError: If a column is missing or does not fit.
    """
    counts = WindowedCounts(window_us, features, label, sample_rows, bins)
    for rows in table.to_batches():
        counts.add(rows, rows.column(time_column_us).to_numpy())
    return counts.reference()


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
    job: CtrJob,
    source: Table,
    written: Written,
    on_bytes: OnBytes | None = None,
    sample_rows: int = DEFAULT_SAMPLE_ROWS,
) -> tuple[WindowedCounts, int]:
    """Counts of rows by the job's windows, and how many rows have no usable time or label.

    Args:
        job: The job.
        source: As from `open_files`.
        written: How the files write event times.
        on_bytes: Called with the bytes read so far and in all.
        sample_rows: As for `WindowedCounts`.

    Raises:
        SchemaError: If a value is not of the job's type.
    """
    time, label = job.source.time_column, job.label
    columns = (*job.ranked_features, label)
    counts = WindowedCounts(ready(job).windows.length_us, job.ranked_features, label, sample_rows, job.number_bins)
    unusable = 0
    for rows in source.pieces(on_bytes):
        times, usable = written.read(rows.column(time))
        usable &= pc.is_in(rows.column(label), pa.array([0, 1])).to_numpy(zero_copy_only=False)
        unusable += rows.num_rows - int(usable.sum())
        counts.add(rows.select(columns).filter(pa.array(usable)), times[usable])
    return counts, unusable


@click.command("reference")
@click.argument("job_file", metavar="JOB.toml", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the reference.")
@click.option("--no-sample", is_flag=True, help="Keep no rows with the reference: alerts then name no slice of rows.")
@INPUT_TIME_FORMAT_OPTION
@reading_options
def train_reference(
    job_file: Path,
    files: tuple[Path, ...],
    out: Path,
    no_sample: bool,
    input_time_format: str | None,
    reading: Reading,
) -> None:
    """Learn what is normal for the job JOB.toml from FILEs of normal operation.

    A FILE is Parquet, CSV (.csv, .tsv) or JSON lines (.jsonl, .ndjson), plain or packed (.gz, .zst), or a folder of
    them.

    Prints which losses the reference could find in an average window. Files of a single window, and windows too small
    to find anything, are refused.

    Some thousand rows are kept with the reference as they are, so that alerts can say in which rows a change is; none
    with --no-sample.
    """
    job = load_job_of(CtrJob, job_file, why="the only kind that has a reference")
    with progress_bar("scanning", unit=BYTES) as bar:
        source = open_files(job, files, reading, bar.move)
    names, time = ", ".join(map(str, files[:3])), job.source
    written = find_written(
        names, times_of(source, time.time_column), time.time_column, time.time_format, input_time_format
    )
    with progress_bar("counting", unit=BYTES) as bar:
        counts, unusable = count_rows(job, source, written, bar.move, 0 if no_sample else DEFAULT_SAMPLE_ROWS)
    for remark in (*source.remarks(), *written.remarks):
        click.echo(remark, err=True)
    reference = counts.reference()
    for remark in check_worth(reference, job):
        click.echo(remark, err=True)
    report(reference, job.checks.thresholds, unusable)
    click.echo(f"saved as {reference.save(out)}")
