"""Pages of a console as HTML, and the two files that they use."""

import hashlib
import time
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment

from sparsewatch.pipelines.console.spans import span
from sparsewatch.pipelines.orders.wording import described
from sparsewatch.pipelines.records.listing import decision
from sparsewatch.pipelines.report.pages import environment
from sparsewatch.pipelines.report.wording import shortened
from sparsewatch.pipelines.web_console.asked import Asked, Shown
from sparsewatch.pipelines.web_console.words import WORDS
from sparsewatch.schemas.units import moment_text

_KINDS = {"console.css": "text/css; charset=utf-8", "console.js": "text/javascript; charset=utf-8"}


def page(shown: Shown, asked: Asked, token: str, *, can_leave: bool = False) -> str:
    """A page's HTML.

    Args:
        shown: What it shows.
        asked: What was asked.
        token: What its forms carry.
        can_leave: Whether its user logged in, and so can log out.
    """
    frame: Mapping[str, Any] = {
        "asked": asked,
        "jobs": asked.jobs,
        "here": asked.jobs.get(asked.names.get("job", "")),
        "user": asked.user,
        "token": token,
        "can_leave": can_leave,
        "docs": asked.docs,
        "now_s": time.time(),
        "words": WORDS,
        "edition": _edition(),
    }
    return _templates().get_template(shown.template).render({**frame, **shown.values})


@cache
def static(name: str) -> tuple[str, str] | None:
    """Text and kind of a file that pages use; None if there is none of that name."""
    return (_templates().get_template(name).render(), _KINDS[name]) if name in _KINDS else None


@cache
def _edition() -> str:
    """Of the files that pages use: a browser that holds those of another release asks for them again."""
    texts = [found[0] for name in _KINDS if (found := static(name)) is not None]
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:8]


@cache
def _templates() -> Environment:
    templates = environment(__package__, "sparsewatch.pipelines.report")
    templates.filters |= {
        "moment": moment_text,
        "brief": shortened,
        "span": span,
        "described": described,
        "decision": decision,
    }
    templates.globals |= {"query": _query}
    return templates


def _query(**given: object) -> str:
    """The part of an address behind its path, without what is empty."""
    named = {key: str(value) for key, value in given.items() if value not in ("", None)}
    return f"?{urlencode(named)}" if named else ""
