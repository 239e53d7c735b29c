"""A slice as an alert tells it: in a few words, and as evidence."""

from typing import Any

import msgspec

from sparsewatch.detectors.slices.search import Found

#: Characters of a slice's conditions where they stand in an incident.
_CHARACTERS = 160


def where(found: Found) -> str:
    """The slice's conditions; `everywhere` without one.

    Example: `site = 14 and sdk = 3.2`.
    """
    if found.kind == "everywhere":
        return "everywhere"
    text = " and ".join(condition.text for condition in found.conditions)
    return text if len(text) <= _CHARACTERS else f"{text[: _CHARACTERS - 1]}…"


def text(found: Found, what: str = "it") -> str:
    """Which part of what changed is where, as the end of a sentence.

    Example: `92 % of it where site = 14 and sdk = 3.2, nothing changed elsewhere`.
    """
    if found.kind == "everywhere":
        return "everywhere alike" if what == "it" else f"{what} is everywhere alike"
    if found.kind == "partly" and found.share > 1:
        return f"more than all of {what} where {where(found)}, the other way elsewhere"
    elsewhere = ", nothing changed elsewhere" if found.kind == "slice" else ""
    return f"{100 * min(1.0, found.share):.0f} % of {what} where {where(found)}{elsewhere}"


def evidence(found: Found, rows: float, rows_before: float, what: str = "it") -> dict[str, Any]:
    """The slice as JSON types.

    Args:
        found: The slice.
        rows: Rows of the window that one of the sample of now stands for.
        rows_before: Rows of such a window that one of the sample from before stands for.
        what: What changed, as in `text`.

    Returns:
        `before` and `after` are the parts of the slice's rows that show the change, and None where it has none.
    """
    return {
        "kind": found.kind,
        "conditions": [msgspec.to_builtins(condition) for condition in found.conditions],
        "where": where(found),
        "share_of_change": round(min(1.0, found.share), 3),
        "rows": round(found.rows * rows),
        "rows_before": round(found.rows_before * rows_before),
        "before": _part(found.changed_before, found.rows_before),
        "after": _part(found.changed, found.rows),
        "looks": found.looks,
        "text": text(found, what),
    }


def _part(some: int, of: int) -> float | None:
    return round(some / of, 4) if of else None
