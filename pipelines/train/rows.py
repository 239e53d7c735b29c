"""`sparsewatch train rows`: train the model that scores rows, from files of any size or their samples.

Files are read once, in pieces, and a seeded sample of their rows is taken. A sample can be written instead of a model,
so that many machines read and one trains.
"""

import functools
import inspect
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import numpy as np
import pyarrow as pa

from sparsewatch.detectors.rows.encoding.encode import EncoderConfig, one_batch
from sparsewatch.pipelines.console.numbers import ranged
from sparsewatch.pipelines.console.progress import BYTES, progress_bar
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.kinds import kinds_that_score_rows
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.pipelines.tables.named_columns import are_patterns, matching, named_columns
from sparsewatch.pipelines.tables.options import names_of, reading_options
from sparsewatch.pipelines.tables.settings import Reading, TableSettings
from sparsewatch.pipelines.tables.table import open_table
from sparsewatch.pipelines.train.file_sample import SUFFIX, FileSample, read_sample, write_sample
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import AlarmRate, Count, CountOrNone, Range, nearest

if TYPE_CHECKING:
    from sparsewatch.detectors.rows.methods.scorer import Fit
    from sparsewatch.detectors.rows.model import RowModel

#: Rows to learn from by default.
_SAMPLE_ROWS = 200_000
#: Rows by which the speed of scoring is measured.
_TIMED_ROWS = 50_000
#: Columns the report names.
_SHOWN = 5

_EXAMPLES = """\b
Examples:
  sparsewatch train rows clicks/*.parquet --job job.toml --out models/rows
  sparsewatch train rows fab.csv --columns 's*' --out models/sensors
  sparsewatch train rows sensors.csv --columns temperature,pressure,valve --categorical valve --out models/fab
\b
Many machines, one model: each samples the files it has, one merges the samples and trains.
  sparsewatch train rows day1/*.parquet --columns a,b,c --sample-out part1.sample
  sparsewatch train rows day2/*.parquet --columns a,b,c --sample-out part2.sample
  sparsewatch train rows part1.sample part2.sample --out models/rows
"""


class _MethodsHelp(click.Command):
    """Help with the list of methods, which are imported only for it."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The methods, one line each, then the examples."""
        from sparsewatch.detectors.rows.methods.registry import DEFAULT, METHODS

        with formatter.section("Methods"):
            marks = {name: " (default)" if name == DEFAULT else "" for name in METHODS}
            formatter.write_dl([(name + marks[name], method.summary) for name, method in METHODS.items()])
        super().format_epilog(ctx, formatter)


def job_columns(path: Path) -> dict[str, pa.DataType]:
    """The features of a job whose rows are scored, and their types.

    Raises:
        ConfigError: If the file is no valid job of such a kind.
    """
    job = load_job(path)
    if not job.scores_rows:
        kinds = " or ".join(map(repr, kinds_that_score_rows()))
        raise ConfigError(f"{path}: expected a job of kind {kinds}, the only kinds that score rows")
    schema = ready(job).events.columns
    return {name: schema.field(name).type for name in job.scored_columns}


@click.command("rows", cls=_MethodsHelp, epilog=_EXAMPLES)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--columns", metavar="A,B,C", help="Columns to learn, separated by commas; patterns such as 's*'.")
@click.option("--job", metavar="JOB.toml", type=click.Path(path_type=Path), help="Take the features of this job.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the model; a version is written below it.")
@click.option(
    "--sample-out", type=click.Path(path_type=Path), help=f"Write the sample, named *{SUFFIX}, and train nothing."
)
@click.option("--method", metavar="NAME", help="How rows are scored; see Methods.")
@click.option("--categorical", default="", metavar="A,B", help="Columns of numbers that are categories; patterns, too.")
@click.option(
    "--scaling",
    type=click.Choice(["plain", "robust"]),
    help="Scale numbers by mean and deviation, or by median and quartiles.  [default: the method's own]",
)
@click.option("--steps", type=ranged(Count), help="Adam steps of an autoencoder.")
@click.option(
    "--trim",
    type=ranged(Annotated[float, Range(at_least=0, below=1)]),
    help="Share of the training rows, the most outlying, that an autoencoder leaves out.",
)
@click.option("--seed", type=ranged(CountOrNone), default=0, show_default=True, help="Seed of sample, split and fit.")
@click.option(
    "--alarm-rate", type=ranged(AlarmRate), default=0.01, show_default=True, help="Share of normal rows to flag."
)
@click.option("--sample-rows", type=ranged(Count), help=f"Rows to learn from.  [default: {_SAMPLE_ROWS}]")
@click.option("--promote/--no-promote", default=True, help="Make the version the latest, which jobs use, or not.")
@reading_options
def train_rows(
    files: tuple[Path, ...],
    columns: str | None,
    job: Path | None,
    out: Path | None,
    sample_out: Path | None,
    method: str | None,
    categorical: str,
    scaling: str | None,
    steps: int | None,
    trim: float | None,
    seed: int,
    alarm_rate: float,
    sample_rows: int | None,
    promote: bool,
    reading: Reading,
) -> None:
    """Train the model that scores rows from FILEs, or from samples of such files.

    A FILE is Parquet, CSV (.csv, .tsv) or JSON lines (.jsonl, .ndjson), plain or packed (.gz, .zst), or a folder of
    them.

    The rows should be of normal operation; a few outliers do no harm. They are taken in the order of the stream: files
    by name, and the rows as a file has them. How far stretches of them differ is what windows of the job may differ by,
    too. A fifth of the sample is held out of the fit and
    calibrates the scores. A column with a single value is learned, too: it changes no score until its value changes.
    """
    _check_targets(out, sample_out)
    chosen = None if out is None else method_of(method, steps, trim)
    started = time.monotonic()
    sample = _sampled(files, columns, job, sample_rows, seed, reading)
    read_s = time.monotonic() - started
    if sample_out is not None:
        write_sample(sample, sample_out)
        sampled = min(sample.capacity, sample.rows_seen)
        click.echo(
            f"{sampled:,} of {counted(sample.rows_seen, 'row')} of {counted(len(sample.files), 'file')} to {sample_out}"
        )
    if out is None or chosen is None:
        return
    name, fit = chosen
    table = sample.in_order()
    encoder = EncoderConfig(categorical=_categorical(categorical, sample.columns), scaling=_scaling(name, scaling))  # type: ignore[arg-type]
    model, fit_s = train_with_progress(table, name, fit, encoder, seed, sample.rows_seen)
    threshold = model.threshold(alarm_rate)
    about = {"files": [file.name for file in sample.files], "rows_seen": sample.rows_seen, "rows": table.num_rows}
    settings = {"method": name, "scaling": encoder.scaling, "steps": steps, "trim": trim, "seed": seed}
    version = model.save(out, about=about | settings, promote=promote)
    _report(model, sample, alarm_rate, threshold, version, (read_s, fit_s, _rows_per_s(model, table)))


def _check_targets(out: Path | None, sample_out: Path | None) -> None:
    if (out is None) == (sample_out is None):
        raise ConfigError("expected either --out or --sample-out")
    if sample_out is not None and sample_out.suffix != SUFFIX:
        raise ConfigError(f"--sample-out: expected a name that ends in {SUFFIX}, got {sample_out}")


def method_of(name: str | None, steps: int | None, trim: float | None) -> "tuple[str, Fit]":
    """A method by name, the default if None, and its fit with the settings of autoencoders.

    Raises:
        ConfigError: If the method is unknown, or has no such settings and one is given.
    """
    from sparsewatch.detectors.rows.methods.registry import DEFAULT, METHODS

    name = name or DEFAULT
    if name not in METHODS:
        raise ConfigError(f"--method: expected one of {', '.join(METHODS)}, got {name!r}{nearest(name, METHODS)}")
    fit: Any = METHODS[name].fit
    if steps is None and trim is None:
        return name, fit
    if "training" not in inspect.signature(fit).parameters:
        raise ConfigError(f"--steps and --trim are settings of autoencoders, which {name!r} is not")
    return name, functools.partial(fit, training=_training(fit, steps, trim))


def _training(fit: Any, steps: int | None, trim: float | None) -> Any:
    from sparsewatch.detectors.rows.methods.apre.train import TrainConfig

    defaults = inspect.signature(fit).parameters["training"].default or TrainConfig()
    return replace(
        defaults,
        steps=defaults.steps if steps is None else steps,
        trim_share=defaults.trim_share if trim is None else trim,
    )


def _scaling(method: str, scaling: str | None) -> str:
    from sparsewatch.detectors.rows.methods.registry import METHODS

    return scaling or METHODS[method].scaling


def _sampled(
    files: tuple[Path, ...],
    columns: str | None,
    job: Path | None,
    limit: int | None,
    seed: int,
    reading: Reading,
) -> FileSample:
    """The sample of all files, those that are samples among them."""
    samples = [read_sample(file) for file in files if file.suffix == SUFFIX]
    if samples:
        if not (columns is None and job is None and limit is None):
            raise ConfigError("the samples fix --columns, --job and --sample-rows: expected none of them")
        sample, types = FileSample(samples[0].columns, samples[0].capacity, samples[0].seed), {}
    else:
        chosen = _chosen_columns(files, columns, job, reading)
        limit = _SAMPLE_ROWS if limit is None else limit
        sample, types = FileSample(tuple(chosen), limit, seed), {n: kind for n, kind in chosen.items() if kind}
    for part in samples:
        sample.merge(part)
    if unread := [file for file in files if file.suffix != SUFFIX]:
        with progress_bar("scanning", unit=BYTES) as bar:
            settings = TableSettings(columns=sample.columns, types=types, reading=reading)
            settings = settings if job is None else settings.for_source(load_job(job).source)
            table = open_table(unread, settings, bar.move)
        with progress_bar("reading", unit="rows") as bar:
            for file in table.parts:
                sample.add_file(file.path, table.pieces_of(file), bar.add)
        for remark in table.remarks():
            click.echo(remark, err=True)
    if sample.twice:
        click.echo(f"these files seem to have been read twice: {', '.join(sample.twice)}", err=True)
    return sample


def _chosen_columns(
    files: Sequence[Path], columns: str | None, job: Path | None, reading: Reading
) -> dict[str, pa.DataType | None]:
    """Columns and the types to convert them to; None for the file's own type."""
    if (columns is None) == (job is None):
        raise ConfigError("expected either --columns or --job")
    if job is not None:
        return dict(job_columns(job))
    names = names_of(columns or "")
    if are_patterns(names):
        names = named_columns(files, names, reading, "--columns")
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"--columns: expected different names, got {columns!r}")
    return dict.fromkeys(names)


def _categorical(names: str, columns: Sequence[str]) -> tuple[str, ...]:
    chosen = names_of(names)
    return matching(columns, chosen, "--categorical") if are_patterns(chosen) else chosen


def train_with_progress(
    table: pa.Table, method: str, fit: "Fit", encoder: EncoderConfig, seed: int, rows_seen: int
) -> "tuple[RowModel, float]":
    """The model of a sample of so many rows, and the seconds that encoding, fit and calibration took."""
    from sparsewatch.detectors.rows.training import train_row_model

    started = time.monotonic()
    with progress_bar("fitting") as bar:
        model = train_row_model(
            table,
            method=method,
            fit=fit,
            encoder=encoder,
            seed=seed,
            report=bar.move,
            rows_each=max(1.0, rows_seen / table.num_rows),
        )
    return model, time.monotonic() - started


def _rows_per_s(model: "RowModel", table: pa.Table) -> float:
    rows = one_batch(table.slice(0, _TIMED_ROWS))
    started = time.perf_counter()
    model.score(rows)
    return float(rows.num_rows / (time.perf_counter() - started))


def _report(
    model: "RowModel",
    sample: FileSample,
    rate: float,
    threshold: float,
    version: Path,
    measured: tuple[float, float, float],
) -> None:
    from sparsewatch.detectors.rows.methods.registry import METHODS

    encoder, (read_s, fit_s, rows_per_s) = model.encoder, measured
    sampled = min(sample.capacity, sample.rows_seen)
    hardest = sorted(zip(model.baseline, encoder.names, strict=True), reverse=True)
    for what, value in (
        ("model", str(version)),
        ("method", f"{model.method}: {METHODS[model.method].summary}"),
        ("rows", f"{sampled:,} of {sample.rows_seen:,}, {len(model.calibration):,} of them for calibration"),
        ("features", f"{encoder.n_features} of {counted(len(encoder.names), 'column')}"),
        ("constant columns", _named(encoder.constant)),
        ("scores (quartiles)", " ".join(f"{q:.3f}" for q in np.quantile(model.calibration, (0.25, 0.5, 0.75)))),
        ("threshold", f"{threshold:.3f}, exceeded by {rate:.2%} of rows like these"),
        ("1,000 rows tell", independent_rows(model)),
        ("hardest columns", ", ".join(name for _, name in hardest[:_SHOWN])),
        ("time", f"reading {read_s:.1f} s, fitting {fit_s:.1f} s"),
        ("speed", f"{rows_per_s:,.0f} rows/s scored"),
    ):
        click.echo(f"{what:<20}{value}")


def independent_rows(model: "RowModel", rows: int = 1_000) -> str:
    """How many independent rows a stretch of so many tells as much as, in words."""
    if not (by_column := model.independent_rows(rows)):
        return "not known: too few rows to compare stretches of them"
    least = min(by_column, key=lambda name: by_column[name])
    return f"as much as {np.median([*by_column.values()]):,.0f} independent ones; {least} {by_column[least]:,.0f}"


def _named(names: tuple[str, ...]) -> str:
    """How many, and the names of the first."""
    if not names:
        return "none"
    shown = ", ".join(names[:_SHOWN])
    return f"{len(names)}, without effect until they change: {shown}{', ...' if len(names) > _SHOWN else ''}"
