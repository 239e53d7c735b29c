"""The rule on declared types: where it fires, what it says, and what it explains."""

import msgspec
import pyarrow as pa
import pytest

from sparsewatch.detectors.counts.type_counts import TypeCounts
from sparsewatch.detectors.type_changes import MOST_FINDINGS, explained, type_findings
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.mistyped import Example, MistypedCells, MistypedColumn


def counts(rows: int, values: int, wrong: int, columns: tuple[str, ...] = ("ad",)) -> TypeCounts:
    """Columns of `rows` cells: of them `values` with a value that fits, `wrong` with one that does not."""
    found = TypeCounts(columns)
    cells = pa.array([1] * values + [None] * (rows - values), pa.int64())
    example = Example(0, 7, 0, "str", "'3'")
    column = MistypedColumn({"bool": 1, "str": wrong - 1} if wrong > 1 else {"str": wrong}, (example,))
    mistyped = MistypedCells(dict.fromkeys(columns, column)) if wrong else MistypedCells()
    found.update(pa.RecordBatch.from_arrays([cells] * len(columns), list(columns)), mistyped)
    return found


def fires(found: TypeCounts) -> list[Finding]:
    return type_findings(found, dict.fromkeys(found.values, "int"), least_share=0.05, least_cells=10)


@pytest.mark.parametrize(
    ("rows", "values", "wrong", "severity"),
    [
        (300, 0, 300, "critical"),
        (300, 165, 135, "warning"),
        (300, 150, 150, "critical"),
        # Of the values, not of the rows: a feature that few rows have has changed as a whole.
        (10_000, 0, 12, "critical"),
        (10, 0, 10, "critical"),
        (9, 0, 9, None),
        (200, 190, 10, "warning"),
        (10_000, 9_501, 499, None),
        (10_000, 9_500, 500, "warning"),
        (300, 300, 0, None),
        (0, 0, 0, None),
    ],
)
def test_it_fires_from_a_share_of_the_values_and_a_number_of_cells(
    rows: int, values: int, wrong: int, severity: str | None
) -> None:
    assert [finding.severity for finding in fires(counts(rows, values, wrong))] == [severity] * (severity is not None)


def test_it_says_what_was_declared_what_came_and_where() -> None:
    [finding] = fires(counts(300, 100, 135))
    assert finding.rule == "feature_type_changed"
    assert finding.message == (
        "ad: 57.4% of values are not of the declared type int (str 134, bool 1; '3'); "
        "135 cells of 300 rows count as missing"
    )
    assert (finding.value, finding.threshold, finding.baseline) == (135 / 235, 0.05, 0.0)
    example = {"partition": 0, "offset": 7, "row": 0, "found": "str", "value": "'3'"}
    found = {"cells": 135, "found": {"str": 134, "bool": 1}, "examples": [example]}
    assert finding.evidence == {"expected": "int", **found, "values": 100, "rows": 300}
    assert msgspec.json.encode(finding)


def test_a_schema_that_changed_as_a_whole_raises_a_bounded_number_of_findings() -> None:
    names = tuple(f"c{i:03d}" for i in range(MOST_FINDINGS + 30))
    found = fires(counts(300, 0, 300, names))
    assert len(found) == MOST_FINDINGS
    assert len(found[0].evidence["other_columns"]) == 30
    assert {finding.subject for finding in found}.isdisjoint(found[0].evidence["other_columns"])


def test_a_change_explains_the_other_findings_on_its_column() -> None:
    def other(rule: str, subject: str, **evidence: object) -> Finding:
        return Finding(
            rule=rule,
            subject=subject,
            severity="warning",
            value=1.0,
            threshold=0.5,
            baseline=0.0,
            message="m",
            evidence=evidence,
        )

    findings = [
        other("volume_low", "stream"),
        other("feature_vanished", "ad", also=["feature_nulls"]),
        other("feature_nulls", "site"),
        other("rows_unlike_training", "rows"),
        other("leakage_suspected", "ad"),
    ]
    changes = fires(counts(300, 165, 135))
    told = explained(findings, changes)
    assert [(f.rule, f.subject) for f in told] == [
        ("feature_type_changed", "ad"),
        ("volume_low", "stream"),
        ("feature_nulls", "site"),
        ("rows_unlike_training", "rows"),
    ]
    assert told[0].evidence["also"] == ["feature_vanished", "feature_nulls", "leakage_suspected"]
    assert told[3].message == "m; values of another type, which count as missing: ad (45%)"
    assert told[3].evidence["mistyped"] == {"ad": 0.45}
    assert explained(findings, []) == findings


def test_counts_add_up_to_the_same_bytes_in_any_order() -> None:
    parts = [counts(30, 10, 5), counts(300, 100, 0), counts(1, 0, 1)]
    totals = []
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        total = TypeCounts(("ad",))
        for i in order:
            total.merge(TypeCounts.from_bytes(parts[i].to_bytes()))
        totals.append(total.to_bytes())
    assert len(set(totals)) == 1
    assert (total.rows, total.values, total.mistyped.cells) == (331, {"ad": 110}, 6)
