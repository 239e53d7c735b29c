"""Training data of a retraining: rows that a job sampled from its last windows, or files.

The baseline is guarded: a window with a finding is not learned from, unless the user asks for it. Windows save samples
of one size; the same share of each is taken, so that the rows are a uniform sample of the windows.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from sparsewatch.detectors.counts.row_sample import RowSample
from sparsewatch.pipelines.console.progress import progress_bar
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.pipelines.retrain.plan import Plan
from sparsewatch.pipelines.retrain.window_records import records_of
from sparsewatch.pipelines.rows.kept_rows import RowPane
from sparsewatch.pipelines.rows.settings import RowsJob
from sparsewatch.pipelines.tables.settings import TableSettings
from sparsewatch.pipelines.tables.table import open_table
from sparsewatch.pipelines.train.file_sample import FileSample
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.transforms.kafka.open import partitions_of
from sparsewatch.transforms.window.panes import Pane, decode_panes, load_panes

#: Share of the rows of files that an offline shadow run takes.
_HELD_OUT_SHARE = 0.2
#: Share of the training rows for calibration, see `train_row_model`, and how many of these should lie above the
#: threshold: with fewer its rate is a guess.
_CALIBRATION_SHARE = 0.2
_ROWS_ABOVE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """Rows to learn from, and their origin."""

    table: pa.Table
    #: Rows for an offline shadow run; None without it.
    held_out: pa.Table | None
    #: Summary for the user.
    summary: str
    #: The same figures for the log and the manifest; JSON types.
    about: dict[str, int | list[str]]
    #: Rows that those to learn from are a sample of.
    rows_seen: int


def collect(plan: Plan, columns: Iterable[str]) -> Collected:
    """The training data of a plan.

    Args:
        plan: Files, or windows of the job.
        columns: Of the model.

    Raises:
        ConfigError: If there are too few rows or windows, or a column is missing.
        SchemaError: If a value of a file does not fit its column.
        SourceError: If the broker does not answer.
    """
    types = column_types(plan.job, columns)
    if plan.files:
        settings = TableSettings(columns=tuple(types), types=types, reading=plan.reading).for_source(plan.job.source)
        rows = collect_files(plan.files, settings, plan.sample_rows, plan.seed, hold_out=plan.offline)
    else:
        panes = _panes(plan.job)[-plan.last if plan.last else 0 :]
        rows = collect_panes(panes, _learner(plan), types, plan.sample_rows, plan.windows if plan.offline else 0)
    rate = plan.job.rows.alarm_rate
    least = round(_ROWS_ABOVE / (_CALIBRATION_SHARE * rate))
    if rows.table.num_rows < least:
        raise ConfigError(
            f"expected at least {least} rows to learn an alarm rate of {rate:.2%} from, got {rows.summary}. "
            "Wait for more windows, or see --learn and rows.sample_rows"
        )
    return rows


def collect_panes(
    panes: Sequence[Pane],
    may_learn: Callable[[Pane], bool],
    types: Mapping[str, pa.DataType],
    limit: int,
    hold_out: int,
) -> Collected:
    """Rows of a job's last windows.

    Args:
        panes: The windows, oldest first.
        may_learn: Whether a window belongs to the baseline.
        types: Columns to learn, and their types in the stream.
        limit: Most rows to learn from.
        hold_out: Newest windows of the baseline that are held out for the shadow run.

    Raises:
        ConfigError: If a column is not in the samples, or if there are too few windows.
    """
    saved = decode_panes(panes, RowPane)
    taken = [RowSample.from_bytes(state.sample) for pane, state in saved if may_learn(pane)]
    left_out = [state.rows for pane, state in saved if not may_learn(pane)]
    if len(taken) <= hold_out:
        raise ConfigError(
            f"expected more than {counted(hold_out, 'window')} to learn from, got {len(taken)}: {len(left_out)} of "
            f"{len(saved)} saved windows raised alerts and are left out"
        )
    cut = len(taken) - hold_out
    table = _uniform(taken[:cut], types, limit)
    seen = sum(sample.rows_seen for sample in taken[:cut])
    return Collected(
        table=table,
        held_out=_uniform(taken[cut:], types, limit) if hold_out else None,
        summary=(
            f"{counted(table.num_rows, 'row')} of {seen:,} in {counted(cut, 'window')}; left out: "
            f"{counted(len(left_out), 'window')} with alerts ({counted(sum(left_out), 'row')})"
        ),
        about={
            "rows": table.num_rows,
            "rows_seen": seen,
            "windows": cut,
            "windows_left_out": len(left_out),
            "rows_left_out": sum(left_out),
        },
        rows_seen=seen,
    )


def collect_files(
    files: Iterable[Path],
    settings: TableSettings,
    limit: int,
    seed: int,
    *,
    hold_out: bool,
) -> Collected:
    """Rows of files: Parquet, CSV or JSON lines.

    Args:
        files: Files, folders or patterns; all of their rows count as normal.
        settings: Columns to learn, their types in the stream, and how texts are read.
        limit: Most rows to take.
        seed: Of the sample.
        hold_out: Whether a random fifth of them is held out for the shadow run.

    Raises:
        ConfigError: If a file cannot be read, or there are no rows.
        SchemaError: If a value does not fit its column.
    """
    sample = FileSample(tuple(settings.types), limit, seed)
    table = open_table(tuple(files), settings)
    with progress_bar("reading", unit="rows") as bar:
        for part in table.parts:
            sample.add_file(part.path, table.pieces_of(part), bar.add)
    left_out = [f"left out: {counted(number, 'row')}, {why}" for why, number in table.rejected.counts.items()]
    remarks = "".join(f"; {remark}" for remark in (*left_out, *table.rejected.infinities()))
    rows, places = sample.table().cast(pa.schema(list(settings.types.items()))), sample.places()
    # Rows are ordered by hash, so the last are a random choice.
    cut = rows.num_rows - round(_HELD_OUT_SHARE * rows.num_rows) if hold_out else rows.num_rows
    return Collected(
        table=rows.take(pa.array(np.argsort(places[:cut], kind="stable"))),
        held_out=rows.slice(cut) if hold_out else None,
        summary=f"{counted(cut, 'row')} of {sample.rows_seen:,} in {counted(len(sample.files), 'file')}{remarks}",
        about={"rows": cut, "rows_seen": sample.rows_seen, "files": [file.name for file in sample.files]},
        rows_seen=sample.rows_seen,
    )


def column_types(job: RowsJob, columns: Iterable[str]) -> dict[str, pa.DataType]:
    """Types in the stream of a model's columns.

    Raises:
        ConfigError: If the job has no such column.
    """
    schema = ready(job).events.columns
    if missing := [name for name in columns if name not in schema.names]:
        raise ConfigError(f"expected the model's columns {missing} among those of job {job.name!r}")
    return {name: schema.field(name).type for name in columns}


def _panes(job: RowsJob) -> list[Pane]:
    topic = ready(job).topics.panes
    if not partitions_of(job.kafka, topic):
        raise ConfigError(
            f"the broker has no topic {topic!r}: the job must run with rows.panes and rows.sample_rows above 0 first, "
            "or name files with --files"
        )
    return load_panes(job.kafka, topic, job.name)


def _learner(plan: Plan) -> Callable[[Pane], bool]:
    if plan.learn == "all":
        return lambda _pane: True
    records = records_of(plan.job) if plan.learn == "drifted" else {}

    def may_learn(pane: Pane) -> bool:
        record = records.get(pane.start_us)
        return pane.learned or (record is not None and record.only_drifted(plan.job.scored_columns))

    return may_learn


def _uniform(samples: Sequence[RowSample], types: Mapping[str, pa.DataType], limit: int) -> pa.Table:
    """The same share of each window's rows, window by window.

    A sample's rows are in ascending order of hash, so its first rows are a uniform sample, too.
    """
    seen = np.array([sample.rows_seen for sample in samples])
    sampled = np.minimum(seen, [sample.capacity for sample in samples])
    share = min(limit / seen.sum(), float((sampled / seen).min()))
    parts = [_typed(sample, types).slice(0, round(share * n)) for sample, n in zip(samples, seen.tolist(), strict=True)]
    return pa.concat_tables(parts)


def _typed(sample: RowSample, types: Mapping[str, pa.DataType]) -> pa.Table:
    if missing := [name for name in types if name not in sample.columns]:
        raise ConfigError(f"expected the model's columns {missing} among those that windows save: {sample.columns}")
    return pa.table(sample.rows()).select(list(types)).cast(pa.schema(list(types.items())))
