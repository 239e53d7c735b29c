"""An incident as an alert of Alertmanager (API v2).

Labels are what makes two alerts the same, so they are few and do not change while an incident lasts: the job, its id,
and its severity, since routes go by that. An incident that gets worse is another alert, and the one before is ended.
All that changes stands in annotations.
"""

from datetime import UTC, datetime
from typing import Any

from sparsewatch.pipelines.records.reading import Record
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.units import moment_text

#: Label `alertname` of all incidents.
ALERT_NAME = "SparsewatchIncident"
#: Further findings that an alert names.
_NAMED = 5

Alert = dict[str, Any]
Labels = dict[str, str]


def labels_of(incident: Record) -> Labels:
    """What makes the incident's alert the same one."""
    return {
        "alertname": ALERT_NAME,
        "job": incident["job"],
        "incident": incident["id"],
        "severity": incident["severity"],
    }


def alert_of(incident: Record, ends_s: float, docs: str = "") -> Alert:
    """The alert of an incident that fires until a moment.

    Args:
        incident: Its record.
        ends_s: Seconds since the epoch; of one that is over a moment that has passed.
        docs: Address of the folder that holds `docs`, for a link to what to do; none if empty.
    """
    return {
        "labels": labels_of(incident),
        "annotations": annotations_of(incident, docs),
        "startsAt": rfc3339(min(incident["started_us"] / 1e6, ends_s - 1e-3)),
        "endsAt": rfc3339(ends_s),
    }


def annotations_of(incident: Record, docs: str = "") -> Labels:
    """What people read of an incident: its message, where it is, what else was found, who looks after it."""
    findings = incident["findings"]
    others = [f"{one['rule']} {one['subject']}" for one in findings[1 : _NAMED + 1]]
    left = len(findings) - 1 - len(others) + incident["left_out"]
    told = {
        "summary": f"{incident['rule']} {incident['subject']}: {incident['message']}",
        "where": incident.get("where", ""),
        "also": ", ".join(others) + (f" and {left} more" if left > 0 else ""),
        "since": f"{moment_text(incident['started_us'])} UTC, {counted(incident['windows'], 'window')}",
        "acked": _decided(incident.get("acked")),
        "runbook_url": runbook_url(incident, docs),
        "show": show_command(incident),
    }
    return {name: text for name, text in told.items() if text}


def runbook_url(incident: Record, docs: str) -> str:
    """Where it says what to do about an incident; empty without an address of the folder that holds `docs`."""
    return f"{docs.rstrip('/')}/{incident.get('runbook', '')}" if docs else ""


def show_command(incident: Record) -> str:
    """The command that shows all of an incident."""
    return f"sparsewatch incidents show JOB.toml {incident['id']}"


def is_silent(incident: Record) -> bool:
    """Whether nobody is to be told of it now: it is over, or a person muted it."""
    return incident["state"] != "firing" or incident.get("muted") is not None


def _decided(decided: Record | None) -> str:
    if decided is None:
        return ""
    why = f": {decided['why']}" if decided["why"] else ""
    return f"by {decided['by']}{why}"


def rfc3339(seconds: float) -> str:
    """A moment in seconds since the epoch as Alertmanager writes it, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
