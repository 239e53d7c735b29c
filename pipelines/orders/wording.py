"""Orders in words."""

from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.orders import Order
from sparsewatch.schemas.units import moment_text

_NAMED = 3


def described(order: Order) -> str:
    """An order in a line: what, how long, by whom, when and why."""
    why = f": {order.why}" if order.why else ""
    return f"{order.verb}{held_until(order)} by {order.by} at {moment_text(order.at_us)} UTC{why}"


def held_until(order: Order) -> str:
    """How long what an order names is silent; empty where it does not say."""
    if order.verb == "mute" and order.until_us is not None:
        return f" until {moment_text(order.until_us)} UTC"
    if order.verb == "accept" and order.compares:
        return f" while compared with {', '.join(order.compares)}"
    return ""


def subjects_text(order: Order) -> str:
    """The subjects of an order, the first of them by name."""
    named = ", ".join(order.subjects[:_NAMED])
    more = len(order.subjects) - _NAMED
    return f"{named} and {counted(more, 'other')}" if more > 0 else named or "all"


def stretch_text(order: Order) -> str:
    """The stretch of event time that an order is about; empty without one."""
    since = "" if order.since_us is None else f"from {moment_text(order.since_us)}"
    until = "" if order.until_us is None else f"to {moment_text(order.until_us)}"
    return " ".join(part for part in (since, until) if part)
