"""What a console reads of its store."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from sparsewatch.pipelines.records.reading import Record
from sparsewatch.pipelines.web_console.store import Store
from sparsewatch.schemas.incidents import SEVERITIES
from sparsewatch.schemas.orders import Order


class Page(NamedTuple):
    """Some records of many, newest first."""

    records: list[Record]
    #: How many there are in all.
    total: int


@dataclass(frozen=True)
class Series:
    """A figure of windows, oldest first; all arrays of shape (n,)."""

    starts_us: NDArray[np.int64]
    values: NDArray[np.float64]
    #: Whether the window is complete and without an alert.
    is_clean: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.starts_us)


def firing(store: Store) -> list[Record]:
    """Incidents that fire: those to be looked at first come first."""
    with store.reading() as connection:
        found = connection.execute("SELECT record FROM incidents WHERE is_open").fetchall()
    return sorted(_decoded(found), key=urgency)


def urgency(incident: Record) -> tuple[int, int, float, int]:
    """Sort key: what nobody has taken on, then the most severe, the weightiest, the oldest."""
    taken = incident.get("acked") is not None or incident.get("muted") is not None
    severity = SEVERITIES.index(incident["severity"]) if incident["severity"] in SEVERITIES else -1
    return int(taken), -severity, -float(incident.get("weight") or 0.0), incident["started_us"]


def incidents(store: Store, limit: int, offset: int = 0) -> Page:
    """Incidents, those that changed last first."""
    with store.reading() as connection:
        found = connection.execute(
            "SELECT record FROM incidents ORDER BY told_us DESC, started_us DESC LIMIT ? OFFSET ?", (limit, offset)
        ).fetchall()
        total = connection.execute("SELECT count(*) FROM incidents").fetchone()[0]
    return Page(_decoded(found), total)


def incident(store: Store, id_: str) -> Record | None:
    """One incident as it stands."""
    with store.reading() as connection:
        found = connection.execute("SELECT record FROM incidents WHERE id = ?", (id_,)).fetchall()
    return next(iter(_decoded(found)), None)


def alerts_of(store: Store, incident_id: str, limit: int) -> list[Record]:
    """Alerts of an incident, the newest of them, oldest first."""
    with store.reading() as connection:
        found = connection.execute(
            "SELECT record FROM alerts WHERE incident = ? ORDER BY time_us DESC LIMIT ?", (incident_id, limit)
        ).fetchall()
    return _decoded(found)[::-1]


def first_alert(store: Store, incident_id: str, rule: str, subject: str) -> Record | None:
    """The first alert by a rule on a subject in an incident."""
    with store.reading() as connection:
        found = connection.execute(
            "SELECT record FROM alerts WHERE incident = ? AND rule = ? AND subject = ? ORDER BY time_us LIMIT 1",
            (incident_id, rule, subject),
        ).fetchall()
    return next(iter(_decoded(found)), None)


def orders_about(store: Store, incident_id: str) -> list[Order]:
    """Orders about an incident, in turn."""
    with store.reading() as connection:
        found = connection.execute(
            "SELECT record FROM orders WHERE incident = ? ORDER BY at_us, id", (incident_id,)
        ).fetchall()
    return [msgspec.json.decode(row["record"], type=Order) for row in found]


def orders_by_incident(store: Store) -> dict[str, list[Order]]:
    """Orders about each incident, in turn."""
    with store.reading() as connection:
        found = connection.execute(
            "SELECT incident, record FROM orders WHERE incident IS NOT NULL ORDER BY at_us, id"
        ).fetchall()
    orders: dict[str, list[Order]] = {}
    for row in found:
        orders.setdefault(row["incident"], []).append(msgspec.json.decode(row["record"], type=Order))
    return orders


def newest_start_us(store: Store) -> int:
    """Start of the newest window, microseconds since the epoch; 0 before the first."""
    with store.reading() as connection:
        found = connection.execute("SELECT time_us FROM newest WHERE what = 'window'").fetchone()
    return 0 if found is None else int(found["time_us"])


def newest_window(store: Store) -> Record | None:
    """The newest window's record, whole."""
    with store.reading() as connection:
        found = connection.execute("SELECT record FROM newest WHERE what = 'window'").fetchall()
    return next(iter(_decoded(found)), None)


def windows(store: Store, start_us: int, end_us: int, limit: int) -> list[tuple[Record, bool]]:
    """Windows that start in a stretch, the newest of them, oldest first; and whether nothing was found in them."""
    with store.reading() as connection:
        found = connection.execute(
            "SELECT record, is_clean FROM windows WHERE time_us >= ? AND time_us < ? ORDER BY time_us DESC LIMIT ?",
            (start_us, end_us, limit),
        ).fetchall()
    return [(msgspec.json.decode(row["record"]), bool(row["is_clean"])) for row in found][::-1]


def has_features(store: Store) -> bool:
    """Whether windows state figures of features."""
    with store.reading() as connection:
        return connection.execute("SELECT 1 FROM features LIMIT 1").fetchone() is not None


def figures(store: Store, feature: str, column: str, start_us: int, end_us: int, limit: int) -> Series:
    """A figure of a feature in windows that start in a stretch, the newest of them.

    Args:
        store: Of the job.
        feature: Its name.
        column: Of the table `figures`.
        start_us: Microseconds since the epoch.
        end_us: Likewise.
        limit: Windows at most.
    """
    with store.reading() as connection:
        found = connection.execute(
            f"SELECT figures.time_us AS time_us, {column} AS value, coalesce(windows.is_clean, 0) AS is_clean "
            "FROM figures JOIN features ON features.id = figures.feature "
            "LEFT JOIN windows ON windows.time_us = figures.time_us "
            "WHERE features.name = ? AND figures.time_us >= ? AND figures.time_us < ? "
            "ORDER BY figures.time_us DESC LIMIT ?",
            (feature, start_us, end_us, limit),
        ).fetchall()
    return series([(row["time_us"], row["value"], bool(row["is_clean"])) for row in reversed(found)])


def series(points: Sequence[tuple[int, float | None, bool]]) -> Series:
    """Start, value and whether it is clean of each window, oldest first; None for no value."""
    return Series(
        np.array([start for start, _, _ in points], np.int64),
        np.array([np.nan if value is None else value for _, value, _ in points], np.float64),
        np.array([clean for _, _, clean in points], np.bool_),
    )


def results(store: Store, kind: str, label: str | None, words: str, limit: int, offset: int = 0) -> Page:
    """Rows or wafers, newest first.

    Args:
        store: Of the job.
        kind: `rows` or `wafers`.
        label: Only of this verdict or main column, which is empty of a row without columns; all if None.
        words: Only those that have all of these words; all if empty.
        limit: Records at most.
        offset: Newer ones to pass over.
    """
    where, given = ["kind = ?"], [kind]
    if label is not None:
        where.append("label = ?")
        given.append(label)
    for word in words.lower().split()[:_WORDS]:
        where.append("instr(words, ?) > 0")
        given.append(word)
    condition = " AND ".join(where)
    with store.reading() as connection:
        found = connection.execute(
            f"SELECT record FROM results WHERE {condition} ORDER BY time_us DESC LIMIT ? OFFSET ?",
            (*given, limit, offset),
        ).fetchall()
        total = connection.execute(f"SELECT count(*) FROM results WHERE {condition}", given).fetchone()[0]
    return Page(_decoded(found), total)


def result(store: Store, id_: str) -> Record | None:
    """One row or wafer."""
    with store.reading() as connection:
        found = connection.execute("SELECT record FROM results WHERE id = ?", (id_,)).fetchall()
    return next(iter(_decoded(found)), None)


def labels(store: Store, kind: str) -> list[tuple[str, int]]:
    """Verdicts or main columns, and how many results have each, most first."""
    with store.reading() as connection:
        found = connection.execute(
            "SELECT label, count(*) AS number FROM results WHERE kind = ? GROUP BY label ORDER BY number DESC, label",
            (kind,),
        ).fetchall()
    return [(row["label"], row["number"]) for row in found]


def pattern_records(store: Store) -> list[tuple[bytes, bytes]]:
    """Keys and values of the topic of patterns."""
    with store.reading() as connection:
        found = connection.execute("SELECT key, record FROM patterns").fetchall()
    return [(row["key"].encode(), row["record"]) for row in found]


_WORDS = 8


def _decoded(rows: Sequence[Any]) -> list[Record]:
    return [msgspec.json.decode(row["record"]) for row in rows]
