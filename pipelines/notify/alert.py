"""An incident as an alert of Alertmanager (API v2).

Labels are what makes two alerts the same, so they are few and do not change while an incident lasts: the job, its id,
and its severity, since routes go by that. An incident that gets worse is another alert, and the one before is ended.
All that changes stands in annotations.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from sparsewatch.pipelines.records.reading import Record
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.incidents import headline
from sparsewatch.schemas.units import moment_text

#: Label `alertname` of all incidents.
ALERT_NAME = "SparsewatchIncident"
#: Further findings that an alert names.
_NAMED = 5

Alert = dict[str, Any]
Labels = dict[str, str]


@dataclass(frozen=True, slots=True)
class Leads:
    """Where people are led from what they are told of an incident."""

    #: Address of the folder that holds `docs`, for a link to what to do; none if empty.
    docs: str = ""
    #: Address of a console, for a link to the incident's page; none if empty.
    console: str = ""
    #: Job files by the names of their jobs, for the command that shows the rest.
    files: Mapping[str, str] = field(default_factory=dict)


#: Leads nowhere.
NO_LEADS = Leads()


def labels_of(incident: Record) -> Labels:
    """What makes the incident's alert the same one."""
    return {
        "alertname": ALERT_NAME,
        "job": incident["job"],
        "incident": incident["id"],
        "severity": incident["severity"],
    }


def alert_of(incident: Record, ends_s: float, leads: Leads = NO_LEADS) -> Alert:
    """The alert of an incident that fires until a moment.

    Args:
        incident: Its record.
        ends_s: Seconds since the epoch; of one that is over a moment that has passed.
        leads: Where its links lead.
    """
    page = console_url(incident, leads)
    return {
        "labels": labels_of(incident),
        "annotations": annotations_of(incident, leads),
        **({"generatorURL": page} if page else {}),
        "startsAt": rfc3339(min(incident["started_us"] / 1e6, ends_s - 1e-3)),
        "endsAt": rfc3339(ends_s),
    }


def annotations_of(incident: Record, leads: Leads = NO_LEADS) -> Labels:
    """What people read of an incident: its message, where it is, what else was found, who looks after it."""
    findings = incident["findings"]
    others = [f"{one['rule']} {one['subject']}" for one in findings[1 : _NAMED + 1]]
    left = len(findings) - 1 - len(others) + incident["left_out"]
    told = {
        "summary": f"{incident['rule']} {headline(incident['subject'], incident['message'])}",
        "where": incident.get("where", ""),
        "also": ", ".join(others) + (f" and {left} more" if left > 0 else ""),
        "since": since_text(incident),
        "acked": _decided(incident.get("acked")),
        "runbook_url": runbook_url(incident, leads),
        "console": console_url(incident, leads),
        "show": show_command(incident, leads),
    }
    return {name: text for name, text in told.items() if text}


def since_text(incident: Record) -> str:
    """Since when there is an incident, and whether it goes on: its number of windows is told of one that is over.

    A job tells of one that lasts only now and then, so that the number of windows that it last told of is too low.
    """
    since = f"{moment_text(incident['started_us'])} UTC"
    if incident["ended_us"] is None:
        return f"{since}, still firing"
    return f"{since}, until {moment_text(incident['ended_us'])} UTC, {counted(incident['windows'], 'window')}"


def runbook_url(incident: Record, leads: Leads) -> str:
    """Where it says what to do about an incident; empty without an address of the folder that holds `docs`."""
    return f"{leads.docs.rstrip('/')}/{incident.get('runbook', '')}" if leads.docs else ""


def console_url(incident: Record, leads: Leads) -> str:
    """The incident's page of the console; empty without an address of one.

    >>> console_url({"job": "clicks", "id": "clicks-17"}, Leads(console="https://console.example.org"))
    'https://console.example.org/jobs/clicks/incidents/clicks-17'
    """
    job, id_ = (quote(incident[name], safe="") for name in ("job", "id"))
    return f"{leads.console.rstrip('/')}/jobs/{job}/incidents/{id_}" if leads.console else ""


def show_command(incident: Record, leads: Leads) -> str:
    """The command that shows all of an incident."""
    file = leads.files.get(incident["job"], "JOB.toml")
    return shlex.join(["sparsewatch", "incidents", "show", file, incident["id"]])


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
