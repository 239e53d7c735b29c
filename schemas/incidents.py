"""Incidents: findings that have one cause, from the window that first shows it to the first windows that no longer do.

Example: `site_id` loses its values at 10:05, and its signal with them; at 10:30 they are back. That is one incident,
`clicks-17`, of two findings and five windows: it is opened at 10:05 and resolved at 10:30, and every window between
adds to it instead of raising alarms of its own.

What a job remembers of its incidents (`Incidents`) is committed with its progress. What others read
(`IncidentRecord`) lies in a compacted topic: the newest record of an id is the incident as it stands.
"""

from typing import Literal

import msgspec

from sparsewatch.schemas.alerts import Finding, Severity, runbook_of

#: Characters of a message that an incident keeps; its alert has all.
MOST_OF_MESSAGE = 300
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
State = Literal["firing", "resolved"]
#: What became of an incident in a window. It lasts, and says so, in its 4th, 8th, 16th … window.
Change = Literal[
    "opened",
    "reopened",
    "grew",
    "worse",
    "lasts",
    "resolved",
    # By order of a person:
    "acked",
    "muted",
    "unmuted",
    "closed",
    "accepted",
]


class Member(msgspec.Struct, frozen=True, array_like=True):
    """What a rule found on a subject, as of the last window in which it did."""

    rule: str
    subject: str
    #: The highest so far.
    severity: Severity
    #: Start of the first window in which it was found, end of the last; microseconds since the epoch.
    since_us: int
    until_us: int
    value: float
    threshold: float
    baseline: float
    message: str
    #: The smallest so far; None of a rule that tests no chance.
    p_value: float | None = None
    #: The slice of rows that carries it: its conditions, or `everywhere`; empty if it is not known.
    where: str = ""


class Decided(msgspec.Struct, frozen=True, array_like=True):
    """What a person decided about an incident."""

    by: str
    #: When, by their clock; microseconds since the epoch.
    at_us: int
    why: str
    #: How long it holds, event time in microseconds since the epoch; None without an end.
    until_us: int | None = None


class Incident(msgspec.Struct, frozen=True, array_like=True):
    """One incident, firing or resolved not long ago."""

    #: Of the job's incidents, from 1.
    number: int
    #: The root suspect first, see `sparsewatch.detectors.incidents.causes`.
    members: tuple[Member, ...]
    #: Start of its first window, end of the last one with a finding; microseconds since the epoch.
    started_us: int
    until_us: int
    #: Windows with a finding.
    windows: int = 1
    #: Findings on other subjects or by other rules, which are not among the members.
    left_out: int = 0
    #: Windows in a row that could have shown it and did not.
    quiet: int = 0
    is_resolved: bool = False
    #: How often it was resolved and came back.
    reopened: int = 0
    #: Ids of the orders about it that were followed, see `sparsewatch.schemas.orders`.
    orders: tuple[str, ...] = ()
    #: Somebody looks after it, since it came back last.
    acked: Decided | None = None
    #: What was found so far raises no alert.
    muted: Decided | None = None
    #: It was resolved by hand, and has not come back since.
    closed: Decided | None = None
    #: What it found is silent until it has been gone, see `sparsewatch.detectors.incidents.follow_orders`.
    is_held: bool = False
    #: Effect times subjects, summed over windows, see `sparsewatch.detectors.incidents.weight`.
    weight: float = 0.0
    #: It weighs so much that it is critical, unless all that was found is information.
    is_heavy: bool = False

    @property
    def severity(self) -> Severity:
        """The highest of its members, or critical by its weight."""
        highest = max((member.severity for member in self.members), key=SEVERITIES.index)
        return "critical" if self.is_heavy and highest != "info" else highest

    @property
    def is_over(self) -> bool:
        """Whether it is resolved, and what it found is gone."""
        return self.is_resolved and not self.is_held


class Incidents(msgspec.Struct, frozen=True, array_like=True):
    """What a job remembers of its incidents."""

    #: Of the newest one; 0 before the first.
    number: int = 0
    #: Those that fire, and those resolved that may be reopened; by number.
    known: tuple[Incident, ...] = ()


class IncidentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An incident as others read it; of an id the newest record counts."""

    #: Job and number, such as `clicks-17`.
    id: str
    job: str
    state: State
    #: What this record tells.
    change: Change
    severity: Severity
    #: The root suspect.
    rule: str
    subject: str
    message: str
    value: float
    threshold: float
    baseline: float
    #: Start of the first window; end of the last with a finding, None while it fires. Microseconds since the epoch.
    started_us: int
    ended_us: int | None
    #: The window that told it.
    window_start_us: int
    window_end_us: int
    #: Windows with a finding.
    windows: int
    reopened: int
    #: All that was found, the root suspect first.
    findings: tuple["FoundRecord", ...]
    #: Findings that are not among them.
    left_out: int
    #: Smallest of the root suspect so far; None of a rule that tests no chance.
    p_value: float | None = None
    #: Who looks after it; who muted what was found so far, and until when; who resolved it by hand.
    acked: "DecidedRecord | None" = None
    muted: "DecidedRecord | None" = None
    closed: "DecidedRecord | None" = None
    #: Where the root suspect is, see `Member`.
    where: str = ""
    #: Section of the docs that says what to do about the root suspect.
    runbook: str = ""
    #: Effect times subjects, summed over windows.
    weight: float = 0.0


class FoundRecord(Member, frozen=True, array_like=False):
    """A member of an incident as others read it: its fields by name."""


class DecidedRecord(Decided, frozen=True, array_like=False):
    """A decision about an incident as others read it: its fields by name."""


def incident_id(job: str, number: int) -> str:
    """Id of an incident.

    A job that is killed opens the same incidents again under the same numbers, since they go on from what it committed.

    >>> incident_id("clicks", 17)
    'clicks-17'
    """
    return f"{job}-{number}"


def headline(subject: str, message: str) -> str:
    """What was found, and of what: a message that begins with its subject does not name it again.

    >>> headline("site", "half of it is gone"), headline("site", "site: half of it is gone")
    ('site: half of it is gone', 'site: half of it is gone')
    """
    return f"{subject}: {message.removeprefix(f'{subject}: ')}"


def incident_record(
    incident: Incident, change: Change, job: str, window_start_us: int, window_end_us: int
) -> IncidentRecord:
    """The record of an incident behind a window that changed it."""
    root = incident.members[0]
    return IncidentRecord(
        id=incident_id(job, incident.number),
        job=job,
        state="resolved" if incident.is_resolved else "firing",
        change=change,
        severity=incident.severity,
        rule=root.rule,
        subject=root.subject,
        message=root.message,
        value=root.value,
        threshold=root.threshold,
        baseline=root.baseline,
        started_us=incident.started_us,
        ended_us=incident.until_us if incident.is_resolved else None,
        window_start_us=window_start_us,
        window_end_us=window_end_us,
        windows=incident.windows,
        reopened=incident.reopened,
        findings=tuple(FoundRecord(**msgspec.structs.asdict(member)) for member in incident.members),
        left_out=incident.left_out,
        p_value=root.p_value,
        acked=_decided_record(incident.acked),
        muted=_decided_record(incident.muted),
        closed=_decided_record(incident.closed),
        where=root.where,
        runbook=runbook_of(root.rule),
        weight=round(incident.weight, 3),
    )


def _decided_record(decided: Decided | None) -> DecidedRecord | None:
    return None if decided is None else DecidedRecord(**msgspec.structs.asdict(decided))


def _shortened(message: str) -> str:
    return message if len(message) <= MOST_OF_MESSAGE else f"{message[: MOST_OF_MESSAGE - 1]}…"


def member_of(finding: Finding, start_us: int, end_us: int) -> Member:
    """A finding of a window as a member of an incident."""
    return Member(
        rule=finding.rule,
        subject=finding.subject,
        severity=finding.severity,
        since_us=start_us,
        until_us=end_us,
        value=finding.value,
        threshold=finding.threshold,
        baseline=finding.baseline,
        message=_shortened(finding.message),
        p_value=finding.p_value,
        where=finding.evidence.get("slice", {}).get("where", ""),
    )
