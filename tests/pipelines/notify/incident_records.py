"""Incidents as a job writes them."""

from typing import Any

import msgspec

from sparsewatch.schemas.alerts import Severity
from sparsewatch.schemas.incidents import Change, FoundRecord, IncidentRecord, State

START_US = 1_800_000_000_000_000
MINUTE_US = 60_000_000


def found(rule: str = "feature_nulls", subject: str = "site", severity: Severity = "warning") -> FoundRecord:
    return FoundRecord(
        rule=rule,
        subject=subject,
        severity=severity,
        since_us=START_US,
        until_us=START_US + MINUTE_US,
        value=0.5,
        threshold=0.1,
        baseline=0.0,
        message="half of it is gone",
        where="sdk = 3.2",
    )


def incident(
    number: int = 1,
    state: State = "firing",
    change: Change = "opened",
    severity: Severity = "warning",
    job: str = "clicks",
    **others: Any,
) -> IncidentRecord:
    findings = (found(severity=severity), found("feature_signal_lost", "site"))
    return IncidentRecord(
        id=f"{job}-{number}",
        job=job,
        state=state,
        change=change,
        severity=severity,
        rule="feature_nulls",
        subject="site",
        message="half of it is gone",
        value=0.5,
        threshold=0.1,
        baseline=0.0,
        started_us=START_US,
        ended_us=START_US + MINUTE_US if state == "resolved" else None,
        window_start_us=START_US,
        window_end_us=START_US + MINUTE_US,
        windows=3,
        reopened=0,
        findings=findings,
        left_out=2,
        where="sdk = 3.2",
        runbook="docs/runbook.md#feature_nulls",
        **others,
    )


def record(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """As it is read from its topic."""
    read: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(incident(*args, **kwargs)))
    return read
