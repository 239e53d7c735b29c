"""The rule on columns whose values are not of the type that a job declares: `feature_type_changed`.

A declared type is a promise, so no reference is needed: the share expected is 0. A file in which a value breaks its
column's type is refused as a reference, too.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from sparsewatch.detectors.counts.type_counts import TypeCounts
from sparsewatch.schemas.alerts import Finding, counted
from sparsewatch.schemas.mistyped import MistypedColumn

RULE = "feature_type_changed"
#: Share of a column's values from which on the finding is critical.
_MOST = 0.5
#: Findings of a window, the largest shares first: a schema that changed as a whole breaks all columns at once.
MOST_FINDINGS = 50
#: Examples in a message; the evidence holds all.
_NAMED = 3


def type_findings(
    counts: TypeCounts, declared: Mapping[str, str], *, least_share: float, least_cells: int
) -> list[Finding]:
    """A finding for each column of which too many values do not fit, in the order of `declared`.

    Args:
        counts: Of the window.
        declared: Declared type by column.
        least_share: Share of a column's values from which on the rule fires.
        least_cells: Mistyped cells of a column from which on it fires.
    """
    changed = [
        name
        for name in declared
        if name in counts.values and counts.mistyped.of(name) >= least_cells and counts.share(name) >= least_share
    ]
    worst = sorted(changed, key=counts.share, reverse=True)[:MOST_FINDINGS]
    findings = [_finding(counts, name, declared[name], least_share) for name in changed if name in worst]
    if len(changed) == len(findings):
        return findings
    others = sorted(set(changed) - set(worst))
    first = msgspec.structs.replace(findings[0], evidence={**findings[0].evidence, "other_columns": others})
    return [first, *findings[1:]]


def _finding(counts: TypeCounts, name: str, declared: str, least_share: float) -> Finding:
    column, share = counts.mistyped.columns[name], counts.share(name)
    types = ", ".join(f"{kind} {cells:,}" for kind, cells in _most_first(column.found))
    shown = ", ".join(example.value for example in column.examples[:_NAMED])
    return Finding(
        rule=RULE,
        subject=name,
        severity="critical" if share >= _MOST else "warning",
        value=share,
        threshold=least_share,
        baseline=0.0,
        message=(
            f"{name}: {share:.1%} of values are not of the declared type {declared} ({types}; {shown}); "
            f"{counted(column.cells, 'cell')} of {counted(counts.rows, 'row')} count as missing"
        ),
        evidence={"expected": declared, **mistyped_record(column), "values": counts.values[name], "rows": counts.rows},
    )


def mistyped_record(column: MistypedColumn) -> dict[str, Any]:
    """Mistyped cells of a column as records state them, JSON types."""
    return {
        "cells": column.cells,
        "found": dict(_most_first(column.found)),
        "examples": [msgspec.structs.asdict(example) for example in column.examples],
    }


def explained(findings: Sequence[Finding], changes: Sequence[Finding], about_rows: str = "rows") -> list[Finding]:
    """All findings of a window, each cause once.

    A changed type makes cells missing, and so explains what else is found on its column: that is named in
    `evidence["also"]` of the change. Findings on rows as a whole stay and name the columns.

    Args:
        findings: Of other rules.
        changes: Of `type_findings`.
        about_rows: Subject of findings on rows as a whole.
    """
    if not changes:
        return list(findings)
    changed = {change.subject: change for change in changes}
    also: dict[str, list[str]] = {name: [] for name in changed}
    others = []
    for finding in findings:
        if finding.subject in changed:
            also[finding.subject] += [finding.rule, *finding.evidence.get("also", [])]
        else:
            others.append(_with_columns(finding, changes) if finding.subject == about_rows else finding)
    told = [
        msgspec.structs.replace(change, evidence={**change.evidence, "also": also[name]})
        for name, change in changed.items()
    ]
    return [*told, *others]


def _with_columns(finding: Finding, changes: Sequence[Finding]) -> Finding:
    shares = {change.subject: change.value for change in sorted(changes, key=lambda c: (-c.value, c.subject))}
    named = ", ".join(f"{name} ({share:.0%})" for name, share in list(shares.items())[:_NAMED])
    more = f" and {len(shares) - _NAMED} more" if len(shares) > _NAMED else ""
    return msgspec.structs.replace(
        finding,
        message=f"{finding.message}; values of another type, which count as missing: {named}{more}",
        evidence={**finding.evidence, "mistyped": shares},
    )


def _most_first(found: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(found.items(), key=lambda one: (-one[1], one[0]))
