"""Orders about one incident, as commands and pages give them alike."""

from typing import Any

from sparsewatch.pipelines.job.ready import compared_with
from sparsewatch.pipelines.orders.desk import Asker, Desk, names_of
from sparsewatch.pipelines.records.reading import Record
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.orders import Order
from sparsewatch.schemas.units import moment_text


def ack_order(desk: Desk, record: Record, asker: Asker) -> Order:
    """The asker looks after the incident.

    Raises:
        ConfigError: If it is resolved.
    """
    return desk.order("ack", asker, incident=_firing(record)["id"])


def mute_order(desk: Desk, record: Record, asker: Asker, until_us: int | None = None) -> Order:
    """What it found so far is silent, in event time until a moment; None for no end.

    Raises:
        ConfigError: If it cannot be silenced.
    """
    # The newest holds: it may be shorter than one before.
    before = tuple(one.id for one in desk.silencing() if (one.verb, one.incident) == ("mute", record["id"]))
    return desk.order("mute", asker, until_us=until_us, cancels=before, **_silenced(desk, record))


def unmute_order(desk: Desk, record: Record, asker: Asker) -> Order:
    """What it found is told again.

    Raises:
        ConfigError: If nothing of it is silent; names what is.
    """
    silent = desk.silencing()
    own = tuple(one.id for one in silent if one.incident == record["id"])
    if not own and not record.get("closed"):
        others = ", ".join(dict.fromkeys(one.incident for one in silent if one.incident)) or "none"
        raise ConfigError(f"nothing of {record['id']} is muted; muted are: {others}")
    return desk.order("unmute", asker, incident=record["id"], cancels=own)


def close_order(desk: Desk, record: Record, asker: Asker) -> Order:
    """It is resolved by hand, and what it found silent for as long as it goes on.

    Raises:
        ConfigError: If it is resolved, or cannot be silenced.
    """
    return desk.order("close", asker, **_silenced(desk, _firing(record)))


def accept_order(desk: Desk, record: Record, asker: Asker) -> Order:
    """What it found is the new normal.

    Raises:
        ConfigError: If it cannot be accepted.
        ModelError: If a model or reference that the job compares with is missing.
    """
    job = desk.made.job
    if not names_of(record):
        raise ConfigError(f"{record['id']}: accounts that do not balance cannot be accepted: the job commits nothing")
    compares = () if job.learns else compared_with(job)
    return desk.order("accept", asker, since_us=record["started_us"], compares=compares, **desk.about(record))


def _firing(record: Record) -> Record:
    if record["state"] != "firing":
        raise ConfigError(f"{record['id']} is resolved: what it found ended {moment_text(record['ended_us'])} UTC")
    return record


def _silenced(desk: Desk, record: Record) -> dict[str, Any]:
    if not names_of(record):
        raise ConfigError(f"{record['id']}: accounts that do not balance cannot be silenced: the job commits nothing")
    return desk.about(record)
