"""Emerging patterns as a table or as JSON lines.

What stands in them came from outside and is shown so that it does no harm.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from rich.table import Table

from sparsewatch.pipelines.console.tables import table
from sparsewatch.pipelines.wafer.pattern_book import PatternBook
from sparsewatch.schemas.patterns import Pattern
from sparsewatch.schemas.units import moment_text

_COLUMNS = ("id", "status", "wafers", "lots", "tools", "compactness", "first seen", "last seen", "nearest", "name")
_RIGHT = ("wafers", "lots", "compactness")
_SHOWN_TOOLS = 3


def about(book: PatternBook, id_: str) -> dict[str, Any]:
    """A pattern with its parts, as JSON types.

    Args:
        book: What the topic holds.
        id_: Of a pattern that was not merged into another.
    """
    parts, decision = book.parts(id_), book.decision(id_)
    nearest = _summed(part.nearest for part in parts)
    return {
        "id": id_,
        "status": book.status(id_),
        "name": None if decision is None else decision.name,
        "model": parts[0].model if decision is None or decision.model is None else decision.model,
        "parts": [part.id for part in parts],
        "wafers": sum(part.wafers for part in parts),
        "lots": _summed(part.lots for part in parts),
        "tools": _summed(part.tools for part in parts),
        "nearest": nearest,
        "compactness": min(part.compactness for part in parts),
        "statistic": max(part.statistic for part in parts),
        "space": parts[0].space,
        "first_seen": moment_text(min(part.first_seen_us for part in parts)),
        "last_seen": moment_text(max(part.last_seen_us for part in parts)),
        "members": [_member(part, i) for part in parts for i in range(len(part.members))],
    }


def json_line(book: PatternBook, id_: str) -> str:
    """A pattern as JSON in one line; for the arguments see `about`."""
    return msgspec.json.encode(about(book, id_)).decode()


def pattern_table(book: PatternBook, ids: Sequence[str]) -> Table:
    """Patterns as a table; nothing in them is read as markup."""
    rows = (_cells(about(book, id_)) for id_ in ids)
    return table(_COLUMNS, rows, title="Emerging patterns, oldest first", right=_RIGHT)


def _cells(pattern: dict[str, Any]) -> tuple[str, ...]:
    tools = list(pattern["tools"])
    return (
        pattern["id"] if len(pattern["parts"]) == 1 else f"{pattern['id']} (+{len(pattern['parts']) - 1})",
        pattern["status"],
        str(pattern["wafers"]),
        str(len(pattern["lots"])),
        ", ".join(tools[:_SHOWN_TOOLS]) + (" …" if len(tools) > _SHOWN_TOOLS else ""),
        f"{pattern['compactness']:.2f}",
        pattern["first_seen"],
        pattern["last_seen"],
        next(iter(pattern["nearest"]), ""),
        pattern["name"] or "",
    )


def _member(pattern: Pattern, place: int) -> dict[str, Any]:
    member = pattern.members[place]
    return {
        "id": member.id,
        "wafer_id": member.wafer_id,
        "lot": member.lot,
        "tool": member.tool,
        "time": moment_text(member.event_time_us),
        "p_value": member.p_value,
        "nearest": member.nearest,
    }


def _summed(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    """Counts added up, the largest first."""
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))
