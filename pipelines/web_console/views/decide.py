"""Orders about an incident, given by a form: the same that `sparsewatch incidents` and `sparsewatch baseline` give."""

from collections.abc import Callable

import msgspec

from sparsewatch.pipelines.console.durations import duration_us
from sparsewatch.pipelines.orders.desk import Asker, Desk
from sparsewatch.pipelines.orders.making import accept_order, ack_order, close_order, mute_order, unmute_order
from sparsewatch.pipelines.records.reading import Record
from sparsewatch.pipelines.web_console.asked import Asked, RefusedError
from sparsewatch.pipelines.web_console.taking import put_order
from sparsewatch.schemas.orders import MOST_OF_REASON, Order

#: How long a mute may last, and how that is called; event time.
SPANS = {"1h": "1 hour", "8h": "8 hours", "1d": "1 day", "7d": "7 days", "": "until it is unmuted"}

_MAKERS: dict[str, Callable[[Desk, Record, Asker], Order]] = {
    "ack": ack_order,
    "unmute": unmute_order,
    "close": close_order,
    "accept": accept_order,
}


def decide(asked: Asked) -> str:
    """Give an order about an incident; gives the address of its page.

    Raises:
        RefusedError: If the form asks for nothing that can be ordered.
        SparsewatchError: If the order cannot be given: the job has not run, the incident is over, no broker answers.
    """
    verb, id_ = asked.form.get("verb", ""), asked.names["incident"]
    if verb not in (*_MAKERS, "mute"):
        raise RefusedError(f"expected one of {', '.join([*_MAKERS, 'mute'])}, got {verb[:40]!r}")
    why = asked.form.get("why", "").strip()
    if len(why) > MOST_OF_REASON:
        raise RefusedError(f"the reason has {len(why)} characters, expected at most {MOST_OF_REASON}")
    watched = asked.job
    desk = Desk.of(watched.job)
    record, asker = desk.incident(id_), Asker(asked.user, why)
    order = (
        _mute(desk, record, asker, asked.form.get("for", "")) if verb == "mute" else _MAKERS[verb](desk, record, asker)
    )
    desk.give([order])
    with watched.store.writing() as connection:
        # Shown at once: it comes back from its topic a moment later.
        value = msgspec.json.encode(order)
        put_order(connection, msgspec.json.decode(value), value, "")
    return asked.done("incidents", record["id"])


def _mute(desk: Desk, record: Record, asker: Asker, span: str) -> Order:
    if span not in SPANS:
        raise RefusedError(
            f"expected how long it is muted to be one of {', '.join(filter(None, SPANS))}, got {span[:40]!r}"
        )
    return mute_order(desk, record, asker, desk.from_us + duration_us("for", span) if span else None)
