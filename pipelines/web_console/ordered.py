"""What people ordered about an incident ahead of the job, which follows from its next window on."""

from collections.abc import Sequence
from typing import NamedTuple

from sparsewatch.pipelines.orders.wording import held_until
from sparsewatch.pipelines.records.listing import decision
from sparsewatch.pipelines.records.reading import Record
from sparsewatch.schemas.orders import Order, in_force, in_turn

#: Orders of one kind undo one another: the last holds.
_KINDS = {"ack": "ack", "mute": "silence", "unmute": "silence", "close": "end", "accept": "end"}
_SAID = {
    "ack": "looked after by",
    "mute": "muted by",
    "unmute": "told again by order of",
    "close": "called a false alarm by",
    "accept": "accepted by",
}
_EVER = 1 << 62


class Ordered(NamedTuple):
    """Orders about an incident, as far as its record does not tell them."""

    #: In words, those that the job has not followed yet.
    ahead: tuple[str, ...]
    #: Verbs of orders that would change something.
    offered: frozenset[str]


def ordered(incident: Record, orders: Sequence[Order], known_us: int, user: str) -> Ordered:
    """What was ordered, and what else can be.

    Args:
        incident: As the job told it last.
        orders: Those about it.
        known_us: Start of the newest window that the job told, microseconds since the epoch.
        user: Who could give another order.
    """
    told_us = max(known_us, incident["window_start_us"])
    given = [order for order in in_force(in_turn(orders), _EVER) if order.verb in _KINDS]
    last = {_KINDS[order.verb]: order for order in given if order.from_us > told_us}
    waiting = sorted(last.values(), key=lambda order: (order.at_us, order.id))
    return Ordered(tuple(map(_said, waiting)), _offered(incident, given, last, user))


def _said(order: Order) -> str:
    until = held_until(order) or (" until it is unmuted" if order.verb == "mute" else "")
    return f"{_SAID[order.verb]} {order.by}{until}, from the job's next window on"


def _offered(incident: Record, given: Sequence[Order], last: dict[str, Order], user: str) -> frozenset[str]:
    end, silence, closed = last.get("end"), last.get("silence"), incident.get("closed")
    goes_on = incident["state"] == "firing" and end is None
    acked_by = last["ack"].by if "ack" in last else (incident.get("acked") or {}).get("by")
    is_muted = silence.verb == "mute" if silence is not None else bool(incident.get("muted"))
    is_accepted = (end is not None and end.verb == "accept") or (
        bool(closed) and decision(incident, "closed") == "accepted"
    )
    is_told_again = closed and any(order.verb == "unmute" and order.at_us > closed["at_us"] for order in given)
    found = {
        "ack": goes_on and acked_by != user,
        "accept": not is_accepted,
        "close": goes_on,
        "mute": not is_muted and end is None,
        "unmute": is_muted or (bool(closed) and not is_told_again),
    }
    return frozenset(verb for verb, is_of_use in found.items() if is_of_use)
