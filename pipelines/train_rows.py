"""`sparsewatch train rows`: train the model that scores rows, from Parquet or CSV files of any size.

Files are read once, in pieces. A seeded sample of the rows is kept: those whose position hashes lowest, so the same
files in the same order give the same sample, whatever the size of the pieces.
"""

import csv
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from detectors.apre.scorer import fit_apre
from detectors.apre.train import TrainConfig
from detectors.rows.encode import EncoderConfig
from detectors.rows.model import RowModel
from detectors.rows.training import train_row_model
from pipelines.job_files import load_job
from schemas.errors import ConfigError, SchemaError
from schemas.jobs import CtrJob
from transforms.codecs.events import event_schema

#: Rows read at once.
PIECE_ROWS = 65_536
#: Bytes of CSV read at once; column types are guessed from the first such block.
_CSV_BLOCK_BYTES = 16 * 2**20


def read_pieces(path: Path, columns: tuple[str, ...], types: Mapping[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
    """Some columns of a Parquet or CSV file, piece by piece.

    Args:
        path: The file; `.csv` by its name, else Parquet.
        columns: Columns to read, in this order.
        types: Types to convert to, by column; what is not named keeps the file's.

    Raises:
        ConfigError: If the file is missing, of another format, or lacks a column.
        SchemaError: If a value cannot be converted.
    """
    read = _read_csv if path.suffix.lower() == ".csv" else _read_parquet
    try:
        for piece in read(path, columns, types):
            yield _converted(piece, types, path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaError(f"{path}: {error}") from error
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error


def sample_rows(
    pieces: Iterable[pa.RecordBatch],
    limit: int,
    seed: int,
    on_rows: Callable[[int], None] | None = None,
) -> pa.Table:
    """A uniform sample of at most `limit` rows, in the order read, in memory of twice as many.

    Args:
        pieces: Rows of one schema.
        limit: Rows to keep.
        seed: Of the hash.
        on_rows: Called with the rows of each piece.

    Raises:
        ConfigError: If there are no rows.
        SchemaError: If the schemas differ.
    """
    kept: list[pa.RecordBatch] = []
    hashes = np.empty(0, dtype=np.uint64)
    highest, position = np.uint64(2**64 - 1), 0
    for piece in pieces:
        piece_hashes = _hash(np.arange(position, position + piece.num_rows, dtype=np.uint64), seed)
        position += piece.num_rows
        chosen = np.flatnonzero(piece_hashes <= highest)
        kept.append(piece.take(pa.array(chosen)))
        hashes = np.concatenate((hashes, piece_hashes[chosen]))
        if len(hashes) > 2 * limit:
            table, hashes = _lowest(kept, hashes, limit)
            kept, highest = table.combine_chunks().to_batches(), hashes.max()
        if on_rows is not None:
            on_rows(piece.num_rows)
    if not position:
        raise ConfigError("expected rows to train on, got none")
    return _lowest(kept, hashes, limit)[0]


def job_columns(path: Path) -> dict[str, pa.DataType]:
    """The ranked features of a click-through job and their types.

    Raises:
        ConfigError: If the file is no valid job of that kind.
    """
    job = load_job(path)
    if not isinstance(job, CtrJob):
        raise ConfigError(f"{path}: expected a job of kind 'ctr', which alone scores rows")
    schema = event_schema(job).columns
    return {name: schema.field(name).type for name in job.ranked_features}


@click.command("rows")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--columns", help="Columns to learn, separated by commas.")
@click.option("--job", type=click.Path(path_type=Path), help="Take the features of this job.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the model.")
@click.option("--categorical", default="", help="Columns of numbers that are categories.")
@click.option(
    "--scaling",
    type=click.Choice(["plain", "robust"]),
    default=EncoderConfig().scaling,
    show_default=True,
    help="Scale numbers by mean and deviation, or by median and quartiles.",
)
@click.option("--steps", default=TrainConfig().steps, show_default=True, help="Adam steps.")
@click.option("--trim", default=0.0, show_default=True, help="Share of odd rows to leave out.")
@click.option("--seed", default=0, show_default=True, help="Of sample, weights and batches.")
@click.option("--alarm-rate", default=0.01, show_default=True, help="Share of normal rows to flag.")
@click.option("--sample-rows", default=200_000, show_default=True, help="Rows to learn from.")
def train_rows(
    files: tuple[Path, ...],
    columns: str | None,
    job: Path | None,
    out: Path,
    categorical: str,
    scaling: str,
    steps: int,
    trim: float,
    seed: int,
    alarm_rate: float,
    sample_rows: int,
) -> None:
    """Train the model that scores rows, from Parquet or CSV FILES."""
    types = _chosen_columns(columns, job)
    encoder = EncoderConfig(categorical=_split(categorical), scaling=scaling)  # type: ignore[arg-type]
    training = TrainConfig(steps=steps, trim_share=trim)
    table = _sampled(files, types, sample_rows, seed)
    model = _trained(table, encoder, training, seed)
    threshold = model.threshold(alarm_rate)
    about = {"files": [file.name for file in files], "rows": table.num_rows, "steps": steps}
    version = model.save(out, about=about | {"seed": seed})
    _report(model, table.num_rows, alarm_rate, threshold, version)


def _chosen_columns(columns: str | None, job: Path | None) -> dict[str, pa.DataType | None]:
    """Columns and the types to convert them to; None keeps the file's."""
    if (columns is None) == (job is None):
        raise ConfigError("expected either --columns or --job")
    if job is not None:
        return dict(job_columns(job))
    names = _split(columns or "")
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"--columns: expected different names, got {columns!r}")
    return dict.fromkeys(names)


def _split(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",") if name.strip())


def _sampled(files: tuple[Path, ...], chosen: dict[str, pa.DataType | None], limit: int, seed: int) -> pa.Table:
    if limit < 1:
        raise ConfigError(f"--sample-rows: expected at least 1, got {limit}")
    types = {name: kind for name, kind in chosen.items() if kind is not None}
    pieces = (piece for file in files for piece in read_pieces(file, tuple(chosen), types))
    bar = (SpinnerColumn(), TextColumn("reading"), TextColumn("{task.completed:,} rows"))
    with Progress(*bar, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task("reading", total=None)
        return sample_rows(pieces, limit, seed, lambda rows: progress.advance(task, rows))


def _trained(table: pa.Table, encoder: EncoderConfig, training: TrainConfig, seed: int) -> RowModel:
    bar = (TextColumn("training"), BarColumn(), TextColumn("{task.fields[said]}"))
    with Progress(*bar, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task("training", total=training.steps, said="")
        return train_row_model(
            table,
            encoder=encoder,
            fit=functools.partial(fit_apre, training=training),
            seed=seed,
            report=lambda step, steps, said: progress.update(task, completed=step, total=steps, said=said),
        )


def _report(model: RowModel, rows: int, rate: float, threshold: float, version: Path) -> None:
    quartiles = np.quantile(model.calibration, (0.25, 0.5, 0.75))
    usual = sorted(zip(model.usual, model.encoder.names, strict=True), reverse=True)
    for what, value in (
        ("model", str(version)),
        ("rows", f"{rows:,}, of which {len(model.calibration):,} calibrate"),
        ("features", f"{model.encoder.n_features} of {len(model.encoder.names)} columns"),
        ("scores (quartiles)", " ".join(f"{q:.3f}" for q in quartiles)),
        ("threshold", f"{threshold:.3f}, passed by {rate:.2%} of rows like these"),
        ("hardest to predict", ", ".join(name for _, name in usual[:5])),
    ):
        click.echo(f"{what:<20}{value}")


def _read_parquet(
    path: Path,
    columns: tuple[str, ...],
    types: Mapping[str, pa.DataType],  # noqa: ARG001
) -> Iterator[pa.RecordBatch]:
    with pa.parquet.ParquetFile(path) as file:
        _expect_columns(path, columns, file.schema_arrow.names)
        for piece in file.iter_batches(batch_size=PIECE_ROWS, columns=list(columns)):
            yield piece.select(list(columns))


def _read_csv(path: Path, columns: tuple[str, ...], types: Mapping[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
    with path.open(newline="") as file:
        _expect_columns(path, columns, next(csv.reader(file), []))
    convert = pa.csv.ConvertOptions(include_columns=list(columns), column_types=dict(types), strings_can_be_null=True)
    read = pa.csv.ReadOptions(block_size=_CSV_BLOCK_BYTES)
    with pa.csv.open_csv(path, read_options=read, convert_options=convert) as reader:
        yield from reader


def _expect_columns(path: Path, columns: tuple[str, ...], present: list[str]) -> None:
    if missing := [name for name in columns if name not in present]:
        raise ConfigError(f"{path} lacks the columns {missing}; it has {present}")


def _converted(piece: pa.RecordBatch, types: Mapping[str, pa.DataType], path: Path) -> pa.RecordBatch:
    arrays = []
    for name, column in zip(piece.schema.names, piece.columns, strict=True):
        try:
            arrays.append(column.cast(types.get(name, column.type)))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise SchemaError(f"{path}: column {name!r} is no {types[name]}: {error}") from error
    return pa.RecordBatch.from_arrays(arrays, names=piece.schema.names)


def _lowest(kept: list[pa.RecordBatch], hashes: np.ndarray, limit: int) -> tuple[pa.Table, np.ndarray]:
    """The rows with the `limit` lowest hashes, in their order, and these hashes."""
    try:
        table = pa.Table.from_batches(kept)
    except pa.ArrowInvalid as error:
        raise SchemaError(f"expected files of one schema: {error}") from error
    if len(hashes) <= limit:
        return table, hashes
    lowest = np.sort(np.argpartition(hashes, limit)[:limit])
    return table.take(pa.array(lowest)), hashes[lowest]


def _hash(numbers: np.ndarray, seed: int) -> np.ndarray:
    """SplitMix64 of `numbers`, uint64; a bijection, so there are no ties.

    References:
        Steele, Lea, Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014.
    """
    start = np.uint64(seed * 0xD1342543DE82EF95 % 2**64)
    z = start + (numbers + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
