"""An incident as a webhook is told of it: one JSON object an update.

An update is what there is to tell of an incident at a moment. Windows go by without one: it is another update only if
the incident's state, severity or root suspect changed, if more was found, or if a person decided about it.
"""

import hashlib
from typing import Any

import msgspec

from sparsewatch.detectors.incidents.causes import Kind, kind_of
from sparsewatch.pipelines.notify.alert import NO_LEADS, Leads, console_url, rfc3339, runbook_url, show_command
from sparsewatch.pipelines.records.reading import Record
from sparsewatch.schemas.alerts import Severity
from sparsewatch.schemas.incidents import Change, State
from sparsewatch.schemas.settings import US_PER_SECOND

#: Version of `Update`. Fields may be added to it without another version; what is there keeps its name and meaning.
VERSION = 1
_DIGEST_BYTES = 8


class Suspect(msgspec.Struct, frozen=True, kw_only=True):
    """What is suspected to be the root of an incident."""

    rule: str
    subject: str
    #: As of the last window that showed it: the value seen, from where on the rule fires, what is usual.
    value: float
    threshold: float
    baseline: float
    #: Smallest so far; null of a rule that tests no chance.
    p_value: float | None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A finding of an incident."""

    rule: str
    subject: str
    severity: Severity
    message: str
    slice: str


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What a person decided about an incident."""

    by: str
    why: str
    #: By their clock.
    at: str
    #: Event time; null without an end.
    until: str | None


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a request to a webhook; times are RFC 3339 in UTC."""

    version: int
    #: The header `Idempotency-Key`, too.
    key: str
    incident: str
    job: str
    #: Of the job: `ctr`, `wafer` or `rows`.
    kind: str
    state: State
    change: Change
    severity: Severity
    #: What sort of fault it is: of the data, of the source topic, of the job's books, a pattern of wafers.
    cause: Kind
    suspect: Suspect
    message: str
    #: The slice of rows or the tool that carries it; empty if that is not known.
    slice: str
    #: Rules that found something, the suspect's first.
    rules: tuple[str, ...]
    findings: tuple[Told, ...]
    #: Findings that are not among them.
    left_out: int
    #: Event time; the end is null while it fires.
    started: str
    ended: str | None
    #: Windows that showed it when the job told of it; there may be more since while it fires.
    windows: int
    #: How often it was resolved and came back.
    reopened: int
    acked: Decision | None
    muted: Decision | None
    closed: Decision | None
    #: Section of the docs that says what to do.
    runbook: str
    #: Addresses by name: `runbook` where `--docs` gives one, `console` where `--console` does.
    links: dict[str, str]
    #: Command that shows the rest.
    show: str


def update_of(incident: Record, kind: str, before: str = "", leads: Leads = NO_LEADS) -> Update:
    """What a webhook is told of an incident as it stands.

    Args:
        incident: Its record.
        kind: Of its job.
        before: Digest of the update that the webhook took before; empty if there is none.
        leads: Where its links lead.
    """
    links = {"runbook": runbook_url(incident, leads), "console": console_url(incident, leads)}
    return Update(
        version=VERSION,
        key=update_key(incident, before),
        incident=incident["id"],
        kind=kind,
        cause=kind_of(incident["rule"]),
        suspect=Suspect(p_value=incident.get("p_value"), **_named(incident, "rule subject value threshold baseline")),
        slice=incident.get("where", ""),
        rules=tuple(dict.fromkeys((incident["rule"], *(one["rule"] for one in incident["findings"])))),
        findings=tuple(
            Told(slice=one.get("where", ""), **_named(one, "rule subject severity message"))
            for one in incident["findings"]
        ),
        started=_time(incident["started_us"]),
        ended=None if incident["ended_us"] is None else _time(incident["ended_us"]),
        acked=_decision(incident.get("acked")),
        muted=_decision(incident.get("muted")),
        closed=_decision(incident.get("closed")),
        runbook=incident.get("runbook", ""),
        links={name: url for name, url in links.items() if url},
        show=show_command(incident, leads),
        **_named(incident, "job state change severity message left_out windows reopened"),
    )


def digest_of(incident: Record) -> str:
    """Digest of what there is to tell of an incident: equal for two records that tell the same.

    Of a muted incident there is only that to tell, so that it is silent.
    """
    told = ["started_us", "state", "reopened", "acked", "muted", "closed"]
    found: list[list[str]] = []
    if incident.get("muted") is None or incident["state"] != "firing":
        told += ["severity", "rule", "subject"]
        found = sorted([one["rule"], one["subject"]] for one in incident["findings"])
    return _digest([[incident.get(name) for name in told], found])


def update_key(incident: Record, before: str) -> str:
    """Names an update, by what it tells and what was told before: an incident may come back to what it was.

    Example: it is muted and unmuted, which is an update of its own and no repetition of the first.

    Args:
        incident: Its record.
        before: See `update_of`.
    """
    return f"{incident['id']}-{_digest([before, digest_of(incident)])}"


def _digest(facts: list[Any]) -> str:
    return hashlib.blake2b(msgspec.json.encode(facts), digest_size=_DIGEST_BYTES).hexdigest()


def _named(record: Record, names: str) -> dict[str, Any]:
    return {name: record[name] for name in names.split()}


def _decision(decided: Record | None) -> Decision | None:
    if decided is None:
        return None
    until_us = decided.get("until_us")
    return Decision(
        by=decided["by"],
        why=decided["why"],
        at=_time(decided["at_us"]),
        until=None if until_us is None else _time(until_us),
    )


def _time(us: int) -> str:
    return rfc3339(us / US_PER_SECOND)
