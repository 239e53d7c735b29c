"""What people ordered about incidents: which findings are silent, and what becomes of an incident.

An incident remembers which orders it has followed, so that one that came back does not follow those of before again. An
incident that was closed by hand *holds* what it found: it is silent until it has been gone for as long as resolves an
incident; then it opens the incident again like any other.
"""

from collections.abc import Iterable, Sequence

import msgspec

from sparsewatch.detectors.incidents.causes import kind_of
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.incidents import Change, Decided, Incident, incident_id
from sparsewatch.schemas.orders import Named, Order


def silent_names(known: Iterable[Incident], orders: Iterable[Order], start_us: int) -> set[Named]:
    """Findings by name that raise no alert in a window.

    Args:
        known: Incidents behind the orders about them, see `follow`.
        orders: Those in force on the window.
        start_us: Its start, microseconds since the epoch.
    """
    ordered = {named for order in orders if is_silencing(order, start_us) for named in order.findings}
    held = {Named(member.rule, member.subject) for one in known if one.is_held for member in one.members}
    # Accounts that do not balance are never silent: nothing is committed from there on.
    return {named for named in ordered | held if kind_of(named.rule) != "books"}


def name_of(finding: Finding) -> Named:
    """The name of a finding."""
    return Named(finding.rule, finding.subject)


def follow(incident: Incident, orders: Sequence[Order], start_us: int) -> tuple[Incident, Change | None]:
    """An incident behind the orders about it, and what they changed last.

    Args:
        incident: As it was.
        orders: Those in force on a window, in turn.
        start_us: Its start, microseconds since the epoch.
    """
    own = [order for order in orders if order.incident == incident_id(order.job, incident.number)]
    after, change = _muted(incident, [o for o in own if o.verb == "mute" and is_silencing(o, start_us)])
    for order in own:
        if order.id not in incident.orders:
            after, told = _followed(after, order)
            change = told or change
    return msgspec.structs.replace(after, orders=tuple(order.id for order in own)), change


def is_silencing(order: Order, start_us: int) -> bool:
    """Whether what an order names raises no alert in the window that starts then."""
    if order.verb == "accept":
        # What a job learns is held by its incident, until it is learned.
        return bool(order.compares)
    return order.verb == "mute" and (order.until_us is None or start_us < order.until_us)


def _muted(incident: Incident, mutes: Sequence[Order]) -> tuple[Incident, Change | None]:
    muted = _decided(mutes[-1]) if mutes else None
    if muted == incident.muted:
        return incident, None
    change: Change | None = None if incident.is_resolved else "unmuted" if muted is None else "muted"
    return msgspec.structs.replace(incident, muted=muted), change


def _followed(incident: Incident, order: Order) -> tuple[Incident, Change | None]:
    if order.verb == "unmute":
        return msgspec.structs.replace(incident, is_held=False), None
    if incident.is_resolved:
        return incident, None
    if order.verb == "ack":
        return msgspec.structs.replace(incident, acked=_decided(order)), "acked"
    if order.verb in ("close", "accept"):
        # What is compared with references and models that were accepted is silent by the order, as long as those are.
        held = order.verb == "close" or not order.compares
        closed = msgspec.structs.replace(incident, closed=_decided(order), is_resolved=True, is_held=held, quiet=0)
        return closed, "closed" if order.verb == "close" else "accepted"
    return incident, None


def _decided(order: Order) -> Decided:
    return Decided(order.by, order.at_us, order.why, order.until_us if order.verb == "mute" else None)
