"""What the commands share that read files of wafers: the files named, and options for what they leave open."""

import glob
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from sparsewatch.pipelines.wafer_files.map_text import NO_DIE
from sparsewatch.schemas.errors import ConfigError

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
TIMEZONE_OPTION = click.option(
    "--timezone", default="UTC", show_default=True, metavar="ZONE", help="Time zone of times that name none."
)


def expand(files: tuple[str, ...]) -> list[Path]:
    """Files of names, folders (all below them, hidden ones left out) and wildcards; each once, in order.

    Raises:
        ConfigError: If a name matches no file.
    """
    found: dict[Path, None] = {}
    for name in files:
        path = Path(name)
        if path.is_dir():
            inside = [p for p in path.rglob("*") if p.is_file() and not _hidden(p.relative_to(path))]
            hits = sorted(inside)
        elif path.is_file():
            hits = [path]
        else:
            hits = sorted(p for p in map(Path, glob.glob(name, recursive=True)) if p.is_file())  # noqa: PTH207
        if not hits:
            raise ConfigError(f"no such file: {name}")
        found |= dict.fromkeys(hits)
    return list(found)


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def zone_of(name: str) -> ZoneInfo:
    """A time zone by its name.

    Raises:
        ConfigError: If there is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(f"--timezone: expected a name such as Europe/Rome, got {name!r}") from error
