"""What matplotlib's pictures of all reports have in common: colours, places in inches, and the same bytes each time.

Colours are of Okabe and Ito's palette, which colour-blind readers tell apart. matplotlib is imported when something is
drawn.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sparsewatch.schemas.errors import ConfigError

FORMATS = ("svg", "png", "pdf")
#: Dots an inch of a png.
DPI = 150
#: Text and axes.
INK = "#333334"
BLUE, SKY, ORANGE, AMBER = "#0072B2", "#56B4E9", "#D55E00", "#E69F00"

_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def new_figure(width: float, height: float) -> Any:
    """A white figure of so many inches, which no window shows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def axes_at(figure: Any, left: float, bottom: float, width: float, height: float) -> Any:
    """Axes at a place in inches."""
    whole_width, whole_height = figure.get_size_inches()
    return figure.add_axes(
        (left / whole_width, bottom / whole_height, width / whole_width, height / whole_height), facecolor="none"
    )


def save_picture(figure: Any, path: Path) -> None:
    """Write a figure in the format of the file's ending; the same figure gives the same bytes.

    Raises:
        ConfigError: If the ending is none of `FORMATS`.
    """
    kind = path.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise ConfigError(f"{path}: expected a file ending in {', '.join(FORMATS)}")
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[kind]
    with _settings():
        figure.savefig(path, format=kind, dpi=DPI, metadata=undated)


def svg(figure: Any, name: str) -> str:
    """A figure as an SVG element without a background, its text as text.

    Args:
        figure: What to draw.
        name: Of this picture among those of a page, so that no two use the same ids.
    """
    buffer = io.StringIO()
    with _settings(name):
        figure.savefig(buffer, format="svg", transparent=True, metadata=_NO_METADATA)
    text = buffer.getvalue()
    # Groups are numbered alike in each picture; nothing refers to them.
    return re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", text[text.index("<svg") :])


def png(figure: Any, dpi: int = DPI) -> bytes:
    """A figure as a PNG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with _settings():
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


@contextmanager
def _settings(salt: str = "sparsewatch") -> Iterator[None]:
    import matplotlib as mpl

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}), warnings.catch_warnings():
        # Names come from data: a letter without a glyph is drawn as a box.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield
