"""The life of an incident: opened, grown, resolved, reopened; window by window, in their order.

What a window does to the incidents depends on those before it and on its findings alone, so a run that reads it again
writes the same.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from sparsewatch.detectors.incidents.causes import by_suspicion, cause_key, follows, is_about, is_news, kind_of
from sparsewatch.detectors.incidents.follow_orders import follow, name_of, silent_names
from sparsewatch.detectors.incidents.settings import IncidentSettings
from sparsewatch.detectors.incidents.weight import weight_of
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.incidents import SEVERITIES, Change, Incident, Incidents, Member, member_of
from sparsewatch.schemas.orders import Order

#: Incidents that a job remembers, and members of one that are listed: its state stays small.
MOST_KNOWN = 100
MOST_MEMBERS = 50
#: Members of all incidents together: half a megabyte or so of a progress record, which brokers take up to one.
MOST_LISTED = 1_000


class Seen(NamedTuple):
    """A window that incidents are told of."""

    start_us: int
    end_us: int
    #: Whether it would have shown what is still wrong: it has rows, and all of them.
    is_judged: bool


class Changed(NamedTuple):
    """What a window did to an incident."""

    incident: Incident
    change: Change


class Advanced(NamedTuple):
    """The incidents behind a window."""

    incidents: Incidents
    #: By number.
    changed: list[Changed]
    #: Number of the incident of each finding, in their order; None for one that raises no alert, by order of a person.
    numbers: list[int | None]


def advance(
    incidents: Incidents,
    window: Seen,
    findings: Sequence[Finding],
    settings: IncidentSettings,
    orders: Sequence[Order] = (),
) -> Advanced:
    """The incidents behind a window.

    Args:
        incidents: Those before it.
        window: The window.
        findings: Found in it.
        settings: When an incident is over.
        orders: Those in force on the window.
    """
    known, told = _behind_orders(incidents, orders, window.start_us)
    silent = silent_names(known.values(), orders, window.start_us)
    loud = [name_of(finding) not in silent for finding in findings]
    homes, newest = _homes(known, incidents.number, window, findings, loud)
    changed = []
    for number in sorted({*known, *(home for home in homes if home is not None)}):
        own = [(f, is_loud) for f, home, is_loud in zip(findings, homes, loud, strict=True) if home == number]
        after, change = _after(known.get(number), number, window, own, settings)
        known[number] = after
        if change in (None, "lasts"):
            change = told.get(number, change)
        if change is not None:
            changed.append(Changed(after, change))
        if after.quiet >= settings.resolve_after + settings.reopen_within and after.is_resolved:
            del known[number]
    kept, crowded = _bounded(list(known.values()))
    changed = [one for one in changed if one.incident.number not in {own.incident.number for own in crowded}] + crowded
    return Advanced(
        Incidents(newest, kept),
        sorted(changed, key=lambda one: one.incident.number),
        [home if is_loud else None for home, is_loud in zip(homes, loud, strict=True)],
    )


def _behind_orders(
    incidents: Incidents, orders: Sequence[Order], start_us: int
) -> tuple[dict[int, Incident], dict[int, Change]]:
    """Incidents behind the orders about them, and what these changed, by number."""
    known, told = {}, {}
    for incident in incidents.known:
        known[incident.number], change = follow(incident, orders, start_us)
        if change is not None:
            told[incident.number] = change
    return known, told


def _homes(
    known: Mapping[int, Incident], newest: int, window: Seen, findings: Sequence[Finding], loud: Sequence[bool]
) -> tuple[list[int | None], int]:
    """Number of the incident of each finding, whatever their order, and the newest number.

    A silent finding opens no incident, joins none and brings none back.
    """
    incidents = list(known.values())
    homes = [
        _home(finding, incidents, window, findings) if is_loud else _silent_home(finding, incidents)
        for finding, is_loud in zip(findings, loud, strict=True)
    ]
    found = list(zip(findings, homes, loud, strict=True))
    new = sorted({cause_key(finding) for finding, home, is_loud in found if home is None and is_loud})
    opened = {key: number for number, key in enumerate(new, start=newest + 1)}
    numbers = [opened[cause_key(f)] if home is None and is_loud else home for f, home, is_loud in found]
    return numbers, newest + len(new)


def _home(finding: Finding, known: Sequence[Incident], window: Seen, findings: Sequence[Finding]) -> int | None:
    """The known incident that a finding belongs to."""
    for incident in reversed(known):
        if any(is_about(finding, member) for member in incident.members):
            return incident.number
    for incident in reversed(known):
        if is_news(finding) and all(is_news(one) and one.rule == finding.rule for one in incident.members):
            return incident.number
    for incident in reversed(known):
        if kind_of(finding.rule) == "data" and _explains(incident, window, finding, findings):
            return incident.number
    return None


def _silent_home(finding: Finding, known: Sequence[Incident]) -> int | None:
    """The incident that a silent finding goes on with."""
    for incident in reversed(known):
        if not incident.is_over and any(name_of(finding) == (one.rule, one.subject) for one in incident.members):
            return incident.number
    return None


def _explains(incident: Incident, window: Seen, finding: Finding, findings: Sequence[Finding]) -> bool:
    """Whether what a window shows for the first time follows from an incident."""
    if incident.is_resolved or any(kind_of(member.rule) != "data" for member in incident.members):
        return False
    if 0 <= window.start_us - incident.started_us <= window.end_us - window.start_us:
        return True
    still = {other.rule for other in findings if follows(finding, other)}
    return any(member.rule in still for member in incident.members)


def _after(
    incident: Incident | None,
    number: int,
    window: Seen,
    found: Sequence[tuple[Finding, bool]],
    settings: IncidentSettings,
) -> tuple[Incident, Change | None]:
    """An incident behind its findings of a window, each with whether it is loud, and what changed."""
    members = [member_of(finding, window.start_us, window.end_us) for finding, _ in found]
    more = weight_of(members)
    if incident is None:
        first, left_out = _joined((), members)
        heavy = more >= settings.critical_from
        opened = Incident(number, first, window.start_us, window.end_us, left_out=left_out, weight=more, is_heavy=heavy)
        return opened, "opened"
    if not members:
        return _without_finding(incident, window, settings)
    is_loud = any(is_loud for _, is_loud in found)
    if incident.is_resolved and not is_loud:
        return msgspec.structs.replace(incident, quiet=0), None
    listed, left_out = _joined(incident.members, members)
    after = msgspec.structs.replace(
        incident,
        members=listed,
        left_out=incident.left_out + left_out,
        until_us=max(incident.until_us, window.end_us),
        windows=incident.windows + 1,
        quiet=0,
        is_resolved=False,
        is_held=False,
        reopened=incident.reopened + incident.is_resolved,
        acked=None if incident.is_resolved else incident.acked,
        closed=None,
        weight=incident.weight + more,
        is_heavy=incident.weight + more >= settings.critical_from,
    )
    return after, _change(incident, after) if is_loud else None


def _without_finding(incident: Incident, window: Seen, settings: IncidentSettings) -> tuple[Incident, Change | None]:
    if not window.is_judged or kind_of(incident.members[0].rule) == "books":
        return incident, None
    over = incident.quiet + 1 >= settings.resolve_after
    held = incident.is_held and not over
    after = msgspec.structs.replace(
        incident, quiet=incident.quiet + 1, is_resolved=incident.is_resolved or over, is_held=held
    )
    return after, "resolved" if over and not incident.is_resolved else None


def _change(before: Incident, after: Incident) -> Change | None:
    if before.is_resolved:
        return "reopened"
    if SEVERITIES.index(after.severity) > SEVERITIES.index(before.severity):
        return "worse"
    if len(after.members) > len(before.members):
        return "grew"
    return "lasts" if after.windows >= 4 and after.windows.bit_count() == 1 else None


def _joined(members: Sequence[Member], found: Sequence[Member]) -> tuple[tuple[Member, ...], int]:
    """Members with those found now, the root suspect first, and how many new ones there was no room for."""
    by_name = {(member.rule, member.subject): member for member in members}
    left_out = 0
    for member in sorted(found, key=by_suspicion):
        before = by_name.get((member.rule, member.subject))
        if before is None and len(by_name) >= MOST_MEMBERS:
            left_out += 1
            continue
        by_name[member.rule, member.subject] = member if before is None else _again(before, member)
    return tuple(sorted(by_name.values(), key=by_suspicion)), left_out


def _again(before: Member, now: Member) -> Member:
    severity = max(before.severity, now.severity, key=SEVERITIES.index)
    known = [p_value for p_value in (before.p_value, now.p_value) if p_value is not None]
    return msgspec.structs.replace(
        now,
        since_us=before.since_us,
        severity=severity,
        p_value=min(known) if known else None,
        where=now.where or before.where,
    )


def _bounded(known: Sequence[Incident]) -> tuple[tuple[Incident, ...], list[Changed]]:
    """As many incidents as are remembered, and the others, resolved: those that were found longest ago."""
    by_age = sorted(known, key=lambda incident: (not incident.is_over, incident.until_us, incident.number))
    crowded, kept = by_age[: max(0, len(known) - MOST_KNOWN)], by_age[max(0, len(known) - MOST_KNOWN) :]
    ended = [msgspec.structs.replace(incident, is_resolved=True) for incident in crowded if not incident.is_resolved]
    listed = sorted(_listed(kept), key=lambda incident: incident.number)
    return tuple(listed), [Changed(one, "resolved") for one in ended]


def _listed(by_age: Sequence[Incident]) -> list[Incident]:
    """The same with as many members as there is room for: of those found longest ago only the root suspects."""
    left, listed = MOST_LISTED - len(by_age), []
    for incident in reversed(by_age):
        others = min(len(incident.members) - 1, left)
        left -= others
        gone = len(incident.members) - 1 - others
        members = incident.members[: 1 + others]
        listed.append(msgspec.structs.replace(incident, members=members, left_out=incident.left_out + gone))
    return listed
