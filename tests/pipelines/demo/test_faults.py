"""Incidents against faults: the cause, the slice, one incident each, resolved, and nothing else."""

from typing import Any

import msgspec
import pytest

from sparsewatch.pipelines.demo.faults import Fault, judge
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.incidents import Incident, IncidentRecord, incident_record, member_of

FAULT = Fault(
    name="f", stream="clicks", rules=("feature_nulls", "feature_vanished"), subject="site", start_us=300, end_us=600
)


def incident(*found: tuple[str, str], start_us: int = 300, end_us: int = 400, **changed: Any) -> IncidentRecord:
    """A resolved one, the root suspect first."""
    members = tuple(member_of(_finding(rule, subject), start_us, end_us) for rule, subject in found)
    known = Incident(1, members, start_us, end_us, is_resolved=True)
    record = incident_record(known, "resolved", "clicks", end_us, end_us + 100)
    return msgspec.structs.replace(record, **changed)


def _finding(rule: str, subject: str) -> Finding:
    return Finding(rule=rule, subject=subject, severity="warning", value=1.0, threshold=0.5, baseline=0.0, message="m")


NULLS = ("feature_nulls", "site")


@pytest.mark.parametrize("rule", FAULT.rules)
def test_an_incident_whose_root_suspect_is_the_cause_finds_a_fault(rule: str) -> None:
    verdict = judge([FAULT], [incident((rule, "site"), ("feature_nulls", "ad"), start_us=500, end_us=600)])
    assert verdict.passed
    assert verdict.found == (FAULT,)


@pytest.mark.parametrize(
    "other",
    [
        incident(("feature_unseen_values", "site")),
        incident(("feature_nulls", "ad")),
        incident(NULLS, job="wafers"),
        incident(NULLS, start_us=600, end_us=700),
        incident(NULLS, start_us=200, end_us=300),
    ],
)
def test_an_incident_about_anything_else_is_false_and_finds_nothing(other: IncidentRecord) -> None:
    verdict = judge([FAULT], [other])
    assert verdict.missed == (FAULT,)
    assert verdict.false == (other,)
    assert not verdict.passed


def test_windows_longer_than_the_fault_are_explained_where_they_overlap() -> None:
    assert FAULT.is_in(incident(NULLS, start_us=0, end_us=1000))
    assert FAULT.is_in(incident(NULLS, start_us=500, end_us=1500))


def test_another_root_suspect_does_not_find_the_fault_that_it_hides() -> None:
    verdict = judge([FAULT], [incident(("feature_nulls", "ad"), NULLS)])
    assert verdict.missed == (FAULT,)
    assert not verdict.false


def test_a_fault_in_a_slice_is_found_in_that_slice_alone() -> None:
    fault = Fault(
        name="f", stream="clicks", rules=("feature_nulls",), subject="site", start_us=300, end_us=600, where="os = a"
    )
    assert judge([fault], [incident(NULLS, where="os = a")]).passed
    for where in ("", "everywhere", "os = b"):
        assert judge([fault], [incident(NULLS, where=where)]).missed == (fault,)


def test_a_fault_told_by_two_incidents_does_not_pass() -> None:
    verdict = judge([FAULT], [incident(NULLS), incident(NULLS, start_us=500, end_us=600)])
    assert verdict.scattered == (FAULT,)
    assert not verdict.passed


def test_parts_of_a_fault_have_ids_that_the_job_gives() -> None:
    fault = Fault(name="f", stream="clicks", rules=("emerging_pattern",), subject=None, start_us=300, end_us=600)
    assert judge([fault], [incident(("emerging_pattern", "a")), incident(("emerging_pattern", "b"))]).passed


def test_an_incident_that_still_fires_does_not_pass() -> None:
    firing = incident(NULLS, state="firing", ended_us=None)
    verdict = judge([FAULT], [firing])
    assert verdict.found == (FAULT,)
    assert verdict.firing == (firing,)
    assert not verdict.passed


def test_a_missed_fault_does_not_pass() -> None:
    assert not judge([FAULT], []).passed


def test_an_incident_that_follows_from_a_fault_is_not_false_and_does_not_find_it() -> None:
    rising = Fault(
        name="rising",
        stream="clicks",
        rules=("pattern_rate_high",),
        subject="site",
        start_us=300,
        end_us=600,
        also=("emerging_pattern",),
    )
    follows = incident(("emerging_pattern", "a"))
    other = incident(("emerging_pattern", "a"), start_us=700, end_us=800)
    verdict = judge([rising], [follows, other])
    assert verdict.consequences == (follows,)
    assert verdict.false == (other,)
    assert verdict.missed == (rising,)
