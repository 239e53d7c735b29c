"""Reports as HTML pages that need nothing else: no network, no script to be read, light and dark.

The templates stand beside this file. Whatever they show is escaped, and what would move a cursor or change the
direction of reading is written out, unless it is `Markup` made here. A page's script, if it runs, sorts tables.
"""

from base64 import b64encode
from functools import cache
from typing import Any, NamedTuple

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sparsewatch.pipelines.console.printable import printable
from sparsewatch.pipelines.report import wording
from sparsewatch.pipelines.report.pictures import INK, svg
from sparsewatch.schemas.alerts import counted, number

_FILTERS = (
    number,
    counted,
    wording.score,
    wording.share,
    wording.probability,
    wording.quantity,
    wording.size,
)


class Photo(NamedTuple):
    """A picture of dots, part of its page."""

    #: The picture itself, as a data URL.
    source: str
    #: What it shows, for those who do not see it.
    alt: str


def photo(png: bytes, alt: str) -> Photo:
    """A PNG as part of a page."""
    return Photo(f"data:image/png;base64,{b64encode(png).decode()}", alt)


def drawing(figure: Any, name: str) -> Markup:
    """A matplotlib figure as part of a page, in the colour of the page's text; for `name` see `pictures.svg`."""
    # matplotlib escapes the names in it.
    return Markup(svg(figure, name).replace(INK, "currentColor"))


def render(template: str, **values: Any) -> str:
    """A page's HTML.

    Args:
        template: Its file.
        values: What the template shows.
    """
    return _templates().get_template(template).render(values)


@cache
def _templates() -> Environment:
    return environment(__package__)


def environment(*packages: str) -> Environment:
    """Templates that lie in these packages, in folders `templates`; of two of a name that of the first counts."""
    templates = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {one.__name__: one for one in _FILTERS}
    return templates


def _harmless(value: Any) -> Any:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
