"""Options of the commands that read files of wafers: what such files leave open."""

import click

from sparsewatch.pipelines.wafer_files.map_text import NO_DIE

#: Whether counts that a file declares must be those of what it lists.
COUNTS_OPTION = click.option(
    "--counts",
    type=click.Choice(["declared", "listed"]),
    default="declared",
    show_default=True,
    help="Refuse a file of other numbers (defects of a KLARF, rows of a map) than it declares, or take what it lists.",
)
#: See `klarf.placing`.
DIE_ORIGIN_OPTION = click.option(
    "--die-origin",
    type=click.Choice(["auto", "added", "ignored"]),
    default="auto",
    show_default=True,
    help="What DieOrigin of a KLARF means; auto: what its RADIUS column says, else added, with a note.",
)
#: See `map_text`.
NO_DIE_OPTION = click.option(
    "--no-die",
    default=",".join(NO_DIE),
    show_default=True,
    metavar="CODES",
    callback=lambda _context, _option, text: tuple(text.replace(",", " ").upper().split()),
    help="Codes of a bin map for edge and reference dies: they neither pass nor fail.",
)
