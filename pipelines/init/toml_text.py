"""TOML with comments, from values that anybody may have written: no name or value of a stream ends its line."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sparsewatch.pipelines.console.printable import printable

#: Lines of a file, without their ends.
Lines = list[str]
_BARE = re.compile(r"[A-Za-z0-9_-]+")
#: Most characters before a comment that others are lined up with.
_WIDEST = 40


class Entry(NamedTuple):
    """A key of a table."""

    key: str
    value: str | bool | int | Sequence[str]
    #: Why; empty for none.
    why: str = ""


def toml(value: str | bool | int | Sequence[str]) -> str:
    r"""A value as TOML.

    >>> print(toml('a "b"'), toml(["x", "é"]), toml(True))
    "a \"b\"" ["x", "é"] true
    """
    # JSON escapes all that TOML forbids in a text, but DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def comment(text: str) -> str:
    """A text as one line that means nothing."""
    return f"# {printable(text)}"


def table(name: str, entries: Iterable[Entry]) -> Lines:
    """A table; the unnamed one begins a file."""
    entries = list(entries)
    pairs = [f"{_key(entry.key)} = {toml(entry.value)}" for entry in entries]
    wide = max((len(pair) for pair, entry in zip(pairs, entries, strict=True) if entry.why), default=0)
    width = min(wide, _WIDEST)
    lines = [
        f"{pair:<{width}}  {comment(entry.why)}" if entry.why else pair
        for pair, entry in zip(pairs, entries, strict=True)
    ]
    return [f"[{name}]", *lines] if name else lines


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else toml(name)
