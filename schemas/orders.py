"""Orders: what people decide about a job's incidents and its baseline; the job follows them, without a restart.

Example: `sparsewatch incidents mute clicks.toml clicks-17 --for 2h` writes an order to `<prefix>.orders`, and from the
next window on the job raises nothing of what `clicks-17` found.

An order states the first window that it acts on (`from_us`), so what a job decides is a function of its records and of
its orders, not of the moment at which it reads them. Nothing about an order ever changes: another one may cancel it.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, NamedTuple

import msgspec

from sparsewatch.schemas.stored import Format

ORDER = Format("an order")
#: Orders that a job follows, the newest. The command that gives one more removes another, see `superfluous`.
MOST_ORDERS = 1_000
#: Subjects or findings that an order names; characters of a person's name and of a reason.
MOST_NAMED = 50
MOST_OF_NAME = 100
MOST_OF_REASON = 300

Verb = Literal["accept", "exclude", "reset", "ack", "mute", "unmute", "close"]


class Named(NamedTuple):
    """A finding by name: what a rule finds on a subject."""

    rule: str
    subject: str


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a person decided about a job."""

    #: Digest of all else, see `identified`.
    id: str = ""
    job: str
    verb: Verb
    #: Who gave it, when by their clock (microseconds since the epoch), and why.
    by: Annotated[str, msgspec.Meta(max_length=MOST_OF_NAME)]
    at_us: int
    why: Annotated[str, msgspec.Meta(max_length=MOST_OF_REASON)] = ""
    #: Start of the first window that it acts on, event time in microseconds since the epoch.
    from_us: int
    #: Id of the incident that it is about.
    incident: str | None = None
    #: What it is about: subjects, such as features, all if empty; of an incident also its findings by name.
    subjects: Annotated[tuple[str, ...], msgspec.Meta(max_length=MOST_NAMED)] = ()
    findings: Annotated[tuple[Named, ...], msgspec.Meta(max_length=MOST_NAMED)] = ()
    #: Stretch of event time that it is about, the end exclusive; None where it is open.
    since_us: int | None = None
    until_us: int | None = None
    #: Of what was accepted: versions of the references and models that the job compared with. It is silent as long as
    #: the job compares with these; where there are none, the job learns it.
    compares: tuple[str, ...] = ()
    #: Ids of orders that hold no longer.
    cancels: Annotated[tuple[str, ...], msgspec.Meta(max_length=MOST_ORDERS)] = ()


def identified(order: Order) -> Order:
    """The order with its id: the same order, given at the same moment, has the same."""
    content = msgspec.json.encode(msgspec.structs.replace(order, id=""))
    return msgspec.structs.replace(order, id=hashlib.blake2b(content, digest_size=6).hexdigest())


def in_turn(orders: Iterable[Order]) -> tuple[Order, ...]:
    """Orders as they were given, the newest `MOST_ORDERS` of them."""
    return tuple(sorted(orders, key=lambda order: (order.at_us, order.id))[-MOST_ORDERS:])


def in_force(orders: Iterable[Order], start_us: int, compares: Sequence[str] = ()) -> tuple[Order, ...]:
    """The orders that act on a window, in the order given.

    Args:
        orders: All of a job, in turn.
        start_us: Start of the window, microseconds since the epoch.
        compares: Versions of the references and models that the job compares with: what was accepted beside others
            is silent no longer, so its order names no findings.
    """
    given = [order for order in orders if order.from_us <= start_us]
    cancelled = {id_ for order in given for id_ in order.cancels}
    return tuple(
        order if order.compares in ((), tuple(compares)) else msgspec.structs.replace(order, findings=())
        for order in given
        if order.id not in cancelled
    )


def superfluous(orders: Sequence[Order], start_us: int) -> list[Order]:
    """Orders beyond `MOST_ORDERS`: those that act no more come first, then the oldest.

    What an order cancels is removed before it, so it never comes back.

    Args:
        orders: All of a job.
        start_us: Start of the window that acts next, microseconds since the epoch.
    """
    cancelled = {id_ for order in orders for id_ in order.cancels}

    def is_over(order: Order) -> bool:
        return order.id in cancelled or (
            order.verb == "mute" and order.until_us is not None and order.until_us <= start_us
        )

    by_use = sorted(orders, key=lambda order: (not is_over(order), order.at_us, order.id))
    return by_use[: max(0, len(orders) - MOST_ORDERS)]
