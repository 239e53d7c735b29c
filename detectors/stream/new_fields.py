"""The rule on fields of events that a job does not name: `new_field` tells each once.

What is there from the beginning is learned in silence. A name that comes later is told when it has been seen in a few
records, in whatever windows; it is then known as long as the job is.
"""

from collections.abc import Mapping

from sparsewatch.schemas.alerts import Finding, number
from sparsewatch.schemas.other_fields import MOST, KnownFields, OtherFields

#: Of so many records one is looked at.
ONE_IN = 64
#: Windows and rows, of which both are learned: of the latter, some 300 records are looked at.
LEARNED_WINDOWS, LEARNED_ROWS = 12, 20_000
#: Records looked at that hold a field before it is told: one or two may be a producer's slip.
TOLD_AT = 3


def judge_fields(others: OtherFields, known: KnownFields, rows: int) -> tuple[list[Finding], KnownFields]:
    """The fields of a window, added to those that the job knows.

    Args:
        others: The fields of the window.
        known: What is known before it.
        rows: Rows of the window.

    Returns:
        A finding for each field that is new, by name, and what is known behind the window.
    """
    if not rows or others.is_beyond:
        return [], known
    if known.windows < LEARNED_WINDOWS or known.rows < LEARNED_ROWS:
        records = _bounded({**known.records, **dict.fromkeys(others.records, TOLD_AT)}, known.records)
        return [], KnownFields(known.windows + 1, known.rows + rows, records)
    seen = {name: min(TOLD_AT, known.records.get(name, 0) + found) for name, found in sorted(others.records.items())}
    records = _bounded({**known.records, **seen}, known.records)
    new = [name for name, found in seen.items() if found >= TOLD_AT > known.records.get(name, 0) and name in records]
    told = [_finding(name, others.records[name], rows) for name in new]
    return told, KnownFields(known.windows, known.rows, records)


def _bounded(records: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """At most `MOST` names: those that are told, or longest known, stay."""
    if len(records) <= MOST:
        return dict(records)
    order = sorted(records, key=lambda name: (before.get(name, 0) < TOLD_AT, -records[name], name))
    return {name: records[name] for name in order[:MOST]}


def _finding(name: str, found: int, rows: int) -> Finding:
    share = min(1.0, ONE_IN * found / rows)
    return Finding(
        rule="new_field",
        subject=name,
        severity="info",
        value=share,
        threshold=0.0,
        baseline=0.0,
        message=f"{name}: a field that the job does not name, new in about {share:.0%} of {number(rows)} rows",
        evidence={"rows": rows, "records": found, "one_in": ONE_IN},
    )
