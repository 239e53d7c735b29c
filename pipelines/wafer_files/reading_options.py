"""Options of the commands that read files of wafers: what such files leave open."""

import click

#: Whether counts that a file declares must be those of what it lists.
COUNTS_OPTION = click.option(
    "--counts",
    type=click.Choice(["declared", "listed"]),
    default="declared",
    show_default=True,
    help="Refuse a KLARF that lists other numbers of defects than it declares, or accept its list.",
)
#: See `klarf.placing`.
DIE_ORIGIN_OPTION = click.option(
    "--die-origin",
    type=click.Choice(["auto", "added", "ignored"]),
    default="auto",
    show_default=True,
    help="What DieOrigin of a KLARF means; auto: what its RADIUS column says, else added, with a note.",
)
