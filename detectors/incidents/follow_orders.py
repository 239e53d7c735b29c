"""What people ordered about an incident, followed once each.

An incident remembers which orders it has followed, so that one that came back does not follow those of before again.
"""

from collections.abc import Sequence

import msgspec

from sparsewatch.schemas.incidents import Change, Decided, Incident, incident_id
from sparsewatch.schemas.orders import Order


def follow(incident: Incident, orders: Sequence[Order]) -> tuple[Incident, Change | None]:
    """The incident behind the orders about it, and what they changed last.

    Args:
        incident: As it was.
        orders: Those in force, in turn.
    """
    own = [order for order in orders if order.incident == incident_id(order.job, incident.number)]
    change: Change | None = None
    after = incident
    for order in own:
        if order.id not in incident.orders:
            after, told = _followed(after, order)
            change = told or change
    return msgspec.structs.replace(after, orders=tuple(order.id for order in own)), change


def _followed(incident: Incident, order: Order) -> tuple[Incident, Change | None]:
    if order.verb == "ack" and not incident.is_resolved:
        return msgspec.structs.replace(incident, acked=Decided(order.by, order.at_us, order.why)), "acked"
    return incident, None
