"""Sections of the runbook, to be shown beside an incident; docs/runbook.md lies in the package by a link."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple

_SECTION = re.compile(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
#: Where a paragraph begins: behind an empty line, with a heading in bold, or as an item of a list.
_PARAGRAPH = re.compile(r"\n\s*\n|\n(?=\*)")
_MARKED = re.compile(r"`(?P<code>[^`]+)`|\*\*(?P<strong>[^*]+)\*\*|\[(?P<text>[^\]]+)\]\([^)]*\)")


class Part(NamedTuple):
    """A stretch of a paragraph."""

    kind: Literal["text", "code", "strong"]
    text: str


def section(rule: str) -> list[list[Part]]:
    """Paragraphs of what to do about a rule; none if the runbook does not know it."""
    return [
        list(_parts(" ".join(text.split()))) for text in _PARAGRAPH.split(_sections().get(rule, "")) if text.strip()
    ]


@cache
def _sections() -> Mapping[str, str]:
    text = files(__package__).joinpath("runbook.md").read_text(encoding="utf-8")
    return dict(_SECTION.findall(text))


def _parts(text: str) -> Iterator[Part]:
    end = 0
    for found in _MARKED.finditer(text):
        if found.start() > end:
            yield Part("text", text[end : found.start()])
        if code := found["code"]:
            yield Part("code", code)
        elif strong := found["strong"]:
            yield Part("strong", strong)
        else:
            # Where the pages of docs are, a console need not know.
            yield Part("text", found["text"])
        end = found.end()
    if end < len(text):
        yield Part("text", text[end:])
