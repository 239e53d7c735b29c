"""`sparsewatch score`: what a model says of files."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sparsewatch.pipelines.console.numbers import ranged
from sparsewatch.pipelines.console.progress import BYTES, progress_bar
from sparsewatch.pipelines.console.tables import output, table
from sparsewatch.pipelines.tables.options import names_of, reading_options
from sparsewatch.pipelines.tables.settings import Reading
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import AlarmRate, Count

if TYPE_CHECKING:
    import pyarrow as pa

    from sparsewatch.pipelines.score.rows import WorstRow

_EPILOG = """
\b
Examples:
  sparsewatch score sensors.csv --model models/fab
  sparsewatch score day*.parquet --model models/rows --id-columns machine,t --out scored.parquet
  sparsewatch score lots/*.klarf --model models/wafer --out verdicts.csv
"""


@click.command("score", epilog=_EPILOG)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--model", "folder", required=True, type=click.Path(path_type=Path), help="Folder of the model, or of one version."
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write all scores: .parquet, .csv or .jsonl."
)
@click.option(
    "--worst", type=ranged(Count), default=20, show_default=True, help="How many to show, most anomalous first."
)
@click.option("--id-columns", default="", metavar="A,B", help="Columns that name a row; taken over. Rows only.")
@click.option(
    "--alarm-rate",
    type=ranged(AlarmRate),
    default=0.01,
    show_default=True,
    help="Share of ordinary rows called outliers. Rows only.",
)
@reading_options
def score(
    files: tuple[Path, ...],
    folder: Path,
    out: Path | None,
    worst: int,
    id_columns: str,
    alarm_rate: float,
    reading: Reading,
) -> None:
    """Score the rows or wafers of FILEs with a model, without a broker.

    For a row model a FILE is Parquet, CSV or JSON lines, plain or packed, or a folder of them, as for `train rows`; the
    columns are read in the model's types. For a wafer model it is what `wafers import` reads. What is most anomalous is
    shown, with the columns that make it so.
    """
    from sparsewatch.detectors.artefacts.artefact import read_manifest
    from sparsewatch.detectors.artefacts.versions import resolve_version
    from sparsewatch.pipelines.score.writing import check_ending

    if out is not None:
        check_ending(out)
    version = resolve_version(folder)
    kind = read_manifest(version)[0].kind
    if kind == "rows":
        _score_rows(files, version, out, worst, names_of(id_columns), alarm_rate, reading)
    elif kind == "wafer":
        _score_wafers(files, version, out, worst)
    else:
        raise ConfigError(f"--model: expected a model of rows or wafers, {version} is a {kind}")


def _score_rows(
    files: tuple[Path, ...],
    version: Path,
    out: Path | None,
    worst: int,
    identity: tuple[str, ...],
    alarm_rate: float,
    reading: Reading,
) -> None:
    from sparsewatch.detectors.rows.model import RowModel
    from sparsewatch.pipelines.score.rows import ScoredRows, drain, types_of
    from sparsewatch.pipelines.score.writing import writing
    from sparsewatch.pipelines.tables.settings import TableSettings
    from sparsewatch.pipelines.tables.table import open_table

    model = RowModel.load(version)
    scored = ScoredRows(model, identity, alarm_rate, worst)
    columns = tuple(dict.fromkeys((*identity, *model.encoder.names)))
    with progress_bar("scanning", unit=BYTES) as bar:
        # A model that knows texts does not know numbers: each would be a category never seen.
        settings = TableSettings(columns=columns, types=types_of(model), reading=reading, texts_only=True)
        source = open_table(files, settings, bar.move)
    schema = scored.schema(source.schema)
    with progress_bar("scoring", source.rows, "rows") as bar:
        batches = scored.scored(source, schema, bar.add)
        if out is None:
            drain(batches)
        else:
            with writing(out, schema) as target:
                for batch in batches:
                    target.write(batch)
    for remark in source.remarks():
        click.echo(remark, err=True)
    _report_rows(scored.worst, identity)
    share = scored.above / max(1, scored.rows)
    click.echo(
        f"{counted(scored.rows, 'row')}, {scored.above:,} ({share:.2%}) outliers by {model.id} where "
        f"{alarm_rate:.2%} are expected of ordinary rows; p-values lie {scored.from_uniform:.3f} from uniform"
    )
    _report_out(out)


def _report_rows(worst: "list[WorstRow]", identity: tuple[str, ...]) -> None:
    cells = (
        (
            row.file,
            str(row.row),
            *(str(row.identity[name]) for name in identity),
            f"{row.score:.4g}",
            f"{row.p_value:.2g}",
            ", ".join(f"{name} {fall:.2g}" for name, fall in row.columns.items()),
        )
        for row in worst
    )
    columns = ("file", "row", *identity, "score", "p", "columns")
    output().print(table(columns, cells, title="Most anomalous first", right=("row", "score", "p")))


def _score_wafers(files: tuple[Path, ...], version: Path, out: Path | None, worst: int) -> None:
    from sparsewatch.detectors.wafers.model import WaferModel
    from sparsewatch.pipelines.score.wafers import scored_wafers
    from sparsewatch.pipelines.score.writing import writing

    model = WaferModel.load(version)
    with progress_bar("recognising", unit="wafers") as bar:
        batches = []
        for batch in scored_wafers(model, files):
            batches.append(batch)
            bar.add(batch.num_rows)
    if out is not None and batches:
        with writing(out, batches[0].schema) as target:
            for batch in batches:
                target.write(batch)
    _report_wafers(batches, worst)
    _report_out(out)


def _report_wafers(batches: "list[pa.RecordBatch]", worst: int) -> None:
    rows = [row for batch in batches for row in batch.to_pylist()]
    first = sorted(rows, key=lambda row: -row["novelty"])[:worst]
    names = ("file", "lot", "wafer_id", "defects", "verdict", "pattern", "novelty", "p_value")
    cells = (
        tuple(f"{row[name]:.3g}" if isinstance(row[name], float) else str(row[name]) for name in names) for row in first
    )
    output().print(table(names, cells, title="Most novel first", right=("defects", "novelty", "p_value")))
    verdicts = sorted({row["verdict"] for row in rows})
    numbers = ", ".join(f"{sum(row['verdict'] == verdict for row in rows):,} {verdict}" for verdict in verdicts)
    click.echo(f"{counted(len(rows), 'wafer')}{': ' * bool(rows)}{numbers}")


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _report_out(out: Path | None) -> None:
    if out is not None:
        click.echo(f"written to {out}")
