"""`sparsewatch train reference`: learn from files what is normal for a click-through job.

The files are cut into the job's windows; every window but the first and the last, which may be partial, is one
measurement of each figure.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparsewatch.detectors.clicks.reference import FeatureReference, Reference, fit_reference
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.pipelines.console.progress import progress_bar
from sparsewatch.pipelines.console.tables import output, table
from sparsewatch.pipelines.ctr.settings import CtrJob
from sparsewatch.pipelines.job.job_file import load_job_of
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.pipelines.tables.rows import read_pieces
from sparsewatch.schemas.errors import SchemaError
from sparsewatch.schemas.jobs import TimeFormat
from sparsewatch.transforms.codecs.events import event_times_us

#: Fewest windows the first and the last of which are left out.
_TRIMMED_FROM = 4
#: Features the report shows.
_SHOWN = 10


class WindowedCounts:
    """Counts of rows by window.

    Args:
        window_us: Length of a window; windows start at multiples of it since the epoch.
        features: Columns to count.
        label: Column of clicks.
    """

    def __init__(self, window_us: int, features: Sequence[str], label: str) -> None:
        self._window_us = window_us
        self._features = tuple(features)
        self._label = label
        self._windows: dict[int, FeatureCounts] = {}

    def add(self, rows: pa.RecordBatch, times_us: np.ndarray) -> None:
        """Count rows.

        Args:
            rows: The features and the label, n rows.
            times_us: Event times in microseconds since the epoch, shape (n,).

        Raises:
            SchemaError: If a row does not fit; see `FeatureCounts.update`.
        """
        windows = times_us // self._window_us
        order = np.argsort(windows, kind="stable")
        starts, first = np.unique(windows[order], return_index=True)
        ordered = rows.take(pa.array(order))
        for start, begin, end in zip(starts.tolist(), first, [*first[1:], rows.num_rows], strict=True):
            if start not in self._windows:
                self._windows[start] = FeatureCounts(self._features, self._label)
            self._windows[start].update(ordered.slice(begin, end - begin))

    def whole(self) -> list[FeatureCounts]:
        """Windows in order, less the first and the last where there are at least four."""
        windows = [self._windows[start] for start in sorted(self._windows)]
        return windows[1:-1] if len(windows) >= _TRIMMED_FROM else windows


def fit_reference_from_table(
    table: pa.Table, time_column_us: str, window_us: int, features: Sequence[str], label: str
) -> Reference:
    """A reference of the windows of a table.

    Args:
        table: Rows with features, label and event time.
        time_column_us: Column of event times, microseconds since the epoch as integers, never null.
        window_us: Length of a window.
        features: Columns to learn.
        label: Column of clicks, 0 or 1.

    Raises:
        ConfigError: If there are no rows.
        SchemaError: If a column is missing or does not fit.
    """
    counts = WindowedCounts(window_us, features, label)
    for rows in table.to_batches():
        counts.add(rows, rows.column(time_column_us).to_numpy())
    return fit_reference(counts.whole())


def count_files(
    job: CtrJob, files: Sequence[Path], on_rows: Callable[[int], None] = lambda _: None
) -> tuple[WindowedCounts, int]:
    """Counts of the files by the job's windows, and how many rows have no usable time or label.

    Args:
        job: Whose columns and windows.
        files: What to count.
        on_rows: Called with the rows of each piece.

    Raises:
        ConfigError: If a file cannot be read or lacks a column.
        SchemaError: If a value is not of the job's type.
    """
    time, label = job.source.time_column, job.label
    columns = (*job.ranked_features, label)
    made = ready(job)
    types = {name: made.events.columns.field(name).type for name in columns}
    counts = WindowedCounts(made.windows.length_us, job.ranked_features, label)
    unusable = 0
    for file in files:
        for rows in read_pieces(file, (time, *columns), types):
            times, usable = _times_us(rows.column(time), job.source.time_format)
            usable &= pc.is_in(rows.column(label), pa.array([0, 1])).to_numpy(zero_copy_only=False)
            unusable += rows.num_rows - int(usable.sum())
            counts.add(rows.select(columns).filter(pa.array(usable)), times[usable])
            on_rows(rows.num_rows)
    return counts, unusable


@click.command("reference")
@click.argument("job_file", metavar="JOB.toml", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the reference.")
def train_reference(job_file: Path, files: tuple[Path, ...], out: Path) -> None:
    """Learn what is normal for the job JOB.toml from Parquet or CSV FILEs of a time without trouble."""
    job = load_job_of(CtrJob, job_file, why="which alone has a reference")
    with progress_bar("counting", unit="rows") as bar:
        counts, unusable = count_files(job, files, bar.add)
    reference = fit_reference(counts.whole())
    _report(reference, unusable, reference.save(out))


def _times_us(times: pa.Array, time_format: TimeFormat) -> tuple[np.ndarray, np.ndarray]:
    """As `event_times_us`, for a column as files hold it; their own timestamps need no format."""
    if pa.types.is_timestamp(times.type):
        return event_times_us(times.cast(pa.timestamp("us"), safe=False).cast(pa.int64()), "epoch_us")
    wanted = pa.string() if time_format == "iso8601" else pa.int64()
    try:
        return event_times_us(times.cast(wanted), time_format)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaError(f"expected event times in the format {time_format}, got {times.type}: {error}") from error


def _report(reference: Reference, unusable: int, version: Path) -> None:
    best = sorted(reference.features, key=lambda name: reference.features[name].rank)[:_SHOWN]
    columns = ("feature", "of the label's entropy", "cardinality", "nulls", "unseen")
    console = output(soft_wrap=True)
    console.print(table(columns, (_cells(name, reference.features[name]) for name in best)))
    console.print(
        f"{reference.windows} windows of {reference.volume.mean:.0f} ± {reference.volume.sd:.0f} rows, "
        f"{reference.click_rate.mean:.2%} clicks; {unusable} rows without a usable time or label left out"
    )
    console.print(f"saved as {version}")


def _cells(name: str, feature: FeatureReference) -> tuple[str, ...]:
    return (
        name,
        f"{feature.normalised.mean:.2%} ± {feature.normalised.sd:.2%}",
        f"{feature.cardinality.mean:.0f}",
        f"{feature.null_share.mean:.1%}",
        f"{feature.unseen_share.mean:.1%}" if feature.unseen_share else "-",
    )
