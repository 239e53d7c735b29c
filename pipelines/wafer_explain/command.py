"""`sparsewatch wafers explain`: why wafers of a file got their verdicts."""

from pathlib import Path

import click

from sparsewatch.pipelines.console.numbers import ranged
from sparsewatch.pipelines.console.printable import printable
from sparsewatch.pipelines.wafer_files.formats import ReadOptions
from sparsewatch.pipelines.wafer_files.klarf.fields import DieOrigin
from sparsewatch.pipelines.wafer_files.reading_options import COUNTS_OPTION, DIE_ORIGIN_OPTION, NO_DIE_OPTION
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import Count

FORMATS = ("table", "json", "html")
_EPILOG = """
\b
Examples:
  sparsewatch wafers explain lot.npz --model models/wafer
  sparsewatch wafers explain lot.npz --model models/wafer --wafer W000017 --wafer W000020
  sparsewatch wafers explain lot.parquet --model models/wafer --most 20 --out why.html
  sparsewatch wafers explain lot.npz --model models/wafer --format json | jq '.[0].evidence[0].defects'
"""


@click.command("explain", epilog=_EPILOG, context_settings={"max_content_width": 120})
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--model", "folder", required=True, type=click.Path(path_type=Path), help="Folder of the wafer model.")
@click.option("--wafer", "ids", multiple=True, metavar="ID", help="Explain this wafer; repeatable.")
@click.option(
    "--most",
    type=ranged(Count),
    default=5,
    show_default=True,
    help="Without --wafer: how many to explain, most novel first.",
)
@click.option(
    "--tiles",
    type=ranged(Count),
    default=400,
    show_default=True,
    help="Parts that are removed in turn to measure their effect; more is finer and slower.",
)
@COUNTS_OPTION
@DIE_ORIGIN_OPTION
@NO_DIE_OPTION
@click.option("--format", "output", type=click.Choice(FORMATS), help="Default: table, or what --out ends in.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write; needed for html.")
def explain(
    file: Path,
    folder: Path,
    ids: tuple[str, ...],
    most: int,
    tiles: int,
    counts: str,
    die_origin: DieOrigin,
    no_die: tuple[str, ...],
    output: str | None,
    out: Path | None,
) -> None:
    """Explain the verdicts on wafers of FILE in words and pictures.

    FILE is what `sparsewatch train wafer` or `wafers import` reads. For each wafer: verdict and p-value, which defects
    carry it and in which zone they lie, whether the verdict stands without them, and the known wafers most like it.
    The weight of defects is measured by removing them and running the model again.
    """
    output = output or _format_of(out)
    if output == "html" and out is None:
        raise ConfigError("--format html needs --out FILE")
    # Torch is imported once the options are sound: it takes seconds.
    from sparsewatch.pipelines.wafer_explain.explain_file import explain_file, report

    options = ReadOptions(check_counts=counts == "declared", die_origin=die_origin, no_die=no_die)
    explained = explain_file(file, folder, ids, most, tiles, options)
    for note in explained.notes:
        click.echo(f"note: {printable(note)}", err=True)
    text = report(explained, output)
    if out is None:
        click.echo(text)
        return
    from sparsewatch.pipelines.report.files import save

    save(out, text.encode())
    click.echo(f"{len(explained.wafers):,} of {counted(explained.rows.num_rows, 'wafer')} explained in {out}")


def _format_of(out: Path | None) -> str:
    ending = "" if out is None else out.suffix.removeprefix(".").lower()
    return {"htm": "html"}.get(ending, ending) if ending in {"html", "htm", "json"} else "table"
