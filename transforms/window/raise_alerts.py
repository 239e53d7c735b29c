"""Findings of a window as alerts, each with its incident, and what the window did to the incidents."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from sparsewatch.detectors.incidents.lifecycle import Seen, advance
from sparsewatch.detectors.incidents.settings import IncidentSettings
from sparsewatch.schemas.alerts import Alert, Finding, raise_alert
from sparsewatch.schemas.incidents import IncidentRecord, Incidents, incident_id, incident_record
from sparsewatch.schemas.jobs import Topics
from sparsewatch.schemas.orders import Order
from sparsewatch.transforms.kafka.client import Writer


class Raised(NamedTuple):
    """What is told of a window."""

    alerts: list[Alert]
    #: Incidents that changed.
    incidents: list[IncidentRecord]
    #: All that the job remembers behind the window.
    known: Incidents
    #: Findings that raise no alert, by order of a person.
    muted: int


def raise_alerts(
    job: str,
    window: Seen,
    findings: Sequence[Finding],
    known: Incidents,
    settings: IncidentSettings,
    orders: Sequence[Order] = (),
) -> Raised:
    """The alerts of a window and the incidents behind it.

    Args:
        job: Name of the job.
        window: The window.
        findings: Found in it.
        known: Incidents before it.
        settings: When an incident is over.
        orders: Those in force on the window.
    """
    advanced = advance(known, window, findings, settings, orders)
    start_us, end_us = window.start_us, window.end_us
    return Raised(
        [
            raise_alert(finding, job, start_us, end_us, incident_id(job, number))
            for finding, number in zip(findings, advanced.numbers, strict=True)
            if number is not None
        ],
        [incident_record(incident, change, job, start_us, end_us) for incident, change in advanced.changed],
        advanced.incidents,
        advanced.numbers.count(None),
    )


def send_raised(raised: Raised, topics: Topics, writer: Writer) -> None:
    """Send alerts and incidents to their topics; the caller flushes."""
    for alert in raised.alerts:
        writer.send(topics.alerts, alert.id.encode(), msgspec.json.encode(alert))
    for incident in raised.incidents:
        writer.send(topics.incidents, incident.id.encode(), msgspec.json.encode(incident))
