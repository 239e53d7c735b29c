"""`sparsewatch wafers convert`: files of wafers and a table of labels into what `train wafer` reads."""

import sys
from pathlib import Path

import click

from sparsewatch.pipelines.console.printable import printable
from sparsewatch.pipelines.console.progress import progress_bar
from sparsewatch.pipelines.wafer_convert.convert import Converted, convert_files
from sparsewatch.pipelines.wafer_convert.labels import Labels
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
from sparsewatch.pipelines.wafer_import.survey import Defaults
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import ConfigError

#: Most wafers and labels named that found none.
_SHOWN = 5
#: Seconds between lines of progress where there is no terminal.
_LINES_S = 10.0
_EPILOG = """\b
Examples:
  sparsewatch wafers convert 'lots/*.klarf' --labels labels.csv --out labelled.parquet
  sparsewatch wafers convert maps/ --labels reviewed.csv --out labelled.parquet --step sort
  sparsewatch train wafer labelled.parquet --out models/wafer

\b
labels.csv:
  lot,wafer,label                file,slot,label
  L42,W01,scratch                lot42.001,1,scratch
  L42,W02,normal                 lot42.001,2,normal
  L42,W03,donut+scratch          lot43.001,1,donut
"""


@click.command("convert", epilog=_EPILOG)
@click.argument("files", nargs=-1, required=True)
@click.option(
    "--labels",
    "table",
    type=click.Path(path_type=Path),
    help="Table of labels: CSV, JSON lines or Parquet.  [default: labels that the files have themselves]",
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Parquet to write, such as x.parquet."
)
@click.option("--step", default="", metavar="S", help="Step of wafers whose file names none.")
@click.option("--tool", default="", metavar="T", help="Tool of wafers whose file names none.")
@COUNTS_OPTION
@DIE_ORIGIN_OPTION
@NO_DIE_OPTION
@TIMEZONE_OPTION
def convert_wafers(
    files: tuple[str, ...],
    table: Path | None,
    out: Path,
    step: str,
    tool: str,
    counts: str,
    die_origin: DieOrigin,
    no_die: tuple[str, ...],
    timezone: str,
) -> None:
    """Write the wafers of FILES and their labels as one Parquet, which `sparsewatch train wafer` reads.

    FILES are what `wafers import` reads: KLARF, bin maps, npz, JSON lines, Parquet; folders and wildcards among them.

    The table of labels has a column `label`, the pattern's name, and one or more columns that say which wafer it is
    of: `lot`, `wafer`, `slot`, `step`, `file`; all that are there must fit. Take as many as tell the wafers apart. A
    wafer without a pattern is labelled `normal`, a mixed pattern joins its parts with `+`.

    Wafers without a label are left out, labels without a wafer are named. Exit code 0: each found the other, and all
    files could be read; 1: the file was written without some; 2: nothing was written.
    """
    if out.suffix not in {".parquet", ".pq"}:
        raise ConfigError(f"--out: expected a name that ends in .parquet, got {out}")
    labels = None if table is None else Labels.read(table)
    paths = expand(files)
    options = ReadOptions(
        zone=zone_of(timezone), check_counts=counts == "declared", die_origin=die_origin, no_die=no_die
    )
    with progress_bar("converting", len(paths), "files", lines_s=_LINES_S) as bar:

        def on_file(_path: Path, remark: str | None) -> None:
            if remark is not None:
                click.echo(printable(remark))
            if remark is None or remark.startswith("rejected"):
                bar.add(1)

        done = convert_files(paths, labels, out, options, Defaults(step, tool), on_file)
    _report(done, labels, out)
    if done.faults or done.without or (labels is not None and labels.unused()):
        sys.exit(1)


def _report(done: Converted, labels: Labels | None, out: Path) -> None:
    for what, number, some in (
        ("wafer", done.without, done.unlabelled),
        ("label", 0 if labels is None else len(labels.unused()), [] if labels is None else labels.unused()),
    ):
        if number:
            missing = "without a label" if what == "wafer" else "without a wafer"
            more = f"; and {number - _SHOWN:,} more" if number > _SHOWN else ""
            click.echo(printable(f"{counted(number, what)} {missing}: {'; '.join(some[:_SHOWN])}{more}"))
    for line in done.lines(labels):
        click.echo(printable(line))
    click.echo(f"wrote {out}; next: sparsewatch train wafer {out}")
