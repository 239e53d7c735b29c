"""Records of a job's topics on their way into the store of a console."""

import logging
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from sparsewatch.pipelines.records.reading import Record, read_record
from sparsewatch.pipelines.web_console.store import Store
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.orders import Order
from sparsewatch.transforms.kafka.follow_topic import Records

_logger = logging.getLogger(__name__)
#: Records of a transaction and bytes from which on it has no further one; records after which what is beyond the bounds
#: is forgotten.
_AT_ONCE, _AT_ONCE_BYTES, _TRIM_AFTER = 500, 4 << 20, 4_000
#: Largest part of a window's record that is remembered of every window, bytes.
_LIGHT = 2_000
_UNREADABLE = (ConfigError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, sqlite3.DataError)
_FIGURES = ("rank", "normalised", "null_share", "mistyped_share", "cardinality", "unseen_share")


@dataclass(frozen=True)
class Place:
    """Where records of one kind go."""

    #: Puts one: the connection, the record, as it was read, its key.
    put: Callable[[sqlite3.Connection, Record, bytes, str], None]
    #: Table that holds what stands in the topic, nothing else; empty if what the topic lost is remembered.
    stands: str = ""
    #: Statement that removes the record of a key.
    remove: str = ""


class Taking:
    """Takes one topic into a store; see `sparsewatch.transforms.kafka.follow_topic.Sink`.

    Args:
        store: Of the job.
        job: Its name: records of other jobs in the topic are passed over.
        topic: Its name, for messages.
        place: Where its records go.
    """

    def __init__(self, store: Store, job: str, topic: str, place: Place) -> None:
        self._store, self._job, self._topic, self._place = store, job, topic, place
        #: Records since what is beyond the bounds was forgotten.
        self._untrimmed = 0
        #: When the topic was read to its end, seconds since the epoch; 0 before. Whether it can be read now.
        self.seen_s = 0.0
        self.is_up = False
        #: Records that could not be read.
        self.bad = 0

    def begin(self, records: Records) -> None:
        """See `Sink`."""
        if self._place.stands:
            found = list(records)
            with self._store.writing() as connection:
                connection.execute(f"DELETE FROM {self._place.stands}")
                self._put_all(connection, found)
        else:
            self._take(iter(records))
        self._store.trim()
        self.seen()

    def take(self, records: Records) -> None:
        """See `Sink`."""
        self._take(iter(records))

    def seen(self) -> None:
        """See `Sink`."""
        self.is_up, self.seen_s = True, time.time()

    def lost(self) -> None:
        """See `Sink`; what was read stays."""
        self.is_up = False

    def _take(self, records: Iterator[tuple[bytes, bytes | None]]) -> None:
        while found := list(_some(records)):
            with self._store.writing() as connection:
                self._put_all(connection, found)
            self.seen()
            self._untrimmed += len(found)
            if self._untrimmed >= _TRIM_AFTER:
                self._untrimmed = 0
                self._store.trim()

    def _put_all(self, connection: sqlite3.Connection, found: list[tuple[bytes, bytes | None]]) -> None:
        for key, value in found:
            try:
                self._put(connection, key.decode(errors="replace"), value)
            except _UNREADABLE as error:
                # Something else writes to the topic, or a newer version of the job.
                self.bad += 1
                if self.bad == 1:
                    _logger.warning("topic %r: a record is left out, further ones are counted: %r", self._topic, error)

    def _put(self, connection: sqlite3.Connection, key: str, value: bytes | None) -> None:
        if value is None:
            if self._place.remove:
                connection.execute(self._place.remove, (key,))
            return
        record = read_record(value, self._topic)
        if record.get("job", self._job) == self._job:
            self._place.put(connection, record, value, key)


def _some(records: Iterator[tuple[bytes, bytes | None]]) -> Iterator[tuple[bytes, bytes | None]]:
    """The next records, few enough to hold them all."""
    taken = 0
    for record in islice(records, _AT_ONCE):
        yield record
        taken += len(record[1] or b"")
        if taken >= _AT_ONCE_BYTES:
            return


def put_incident(connection: sqlite3.Connection, record: Record, value: bytes, _key: str) -> None:
    """Remember an incident as it stands."""
    connection.execute(
        "INSERT OR REPLACE INTO incidents VALUES (?, ?, ?, ?, ?, ?)",
        (
            record["id"],
            record["state"] == "firing",
            record["severity"],
            record["started_us"],
            record["window_end_us"],
            value,
        ),
    )


def put_alert(connection: sqlite3.Connection, record: Record, value: bytes, _key: str) -> None:
    """Remember an alert."""
    about = (record["id"], record.get("incident", ""), record["rule"], record["subject"], record["window_start_us"])
    connection.execute("INSERT OR REPLACE INTO alerts VALUES (?, ?, ?, ?, ?, ?)", (*about, value))


def put_window(connection: sqlite3.Connection, record: Record, value: bytes, _key: str) -> None:
    """Remember a window: what is small of it, figures of its features, and all of it if it is the newest."""
    start_us, checksum = int(record["window_start_us"]), zlib.crc32(value)
    known = connection.execute("SELECT checksum FROM windows WHERE time_us = ?", (start_us,)).fetchone()
    if known is not None and known[0] == checksum:
        return
    connection.execute(
        "INSERT OR REPLACE INTO windows VALUES (?, ?, ?, ?, ?, ?)",
        (
            start_us,
            record["window_end_us"],
            record["rows"],
            bool(record["complete"]) and not record["alerts"],
            checksum,
            msgspec.json.encode(light(record)),
        ),
    )
    _put_figures(connection, record, start_us)
    connection.execute(
        "INSERT INTO newest VALUES ('window', ?, ?) ON CONFLICT (what) DO UPDATE SET time_us = excluded.time_us, "
        "record = excluded.record WHERE excluded.time_us >= newest.time_us",
        (start_us, value),
    )


def light(record: Record) -> Record:
    """What is small of a window's record, its profile without features among it."""
    profile = {key: part for key, part in (record.get("profile") or {}).items() if key != "features"}
    slim = {**record, "profile": profile} if profile else record
    return {key: part for key, part in slim.items() if len(msgspec.json.encode(part)) <= _LIGHT}


def _put_figures(connection: sqlite3.Connection, record: Record, start_us: int) -> None:
    features: dict[str, dict[str, Any]] = (record.get("profile") or {}).get("features") or {}
    if not features:
        return
    connection.executemany("INSERT OR IGNORE INTO features (name) VALUES (?)", ((name,) for name in features))
    ids = dict(connection.execute("SELECT name, id FROM features").fetchall())
    connection.executemany(
        "INSERT OR REPLACE INTO figures VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        ((ids[name], start_us, *(figures.get(key) for key in _FIGURES)) for name, figures in features.items()),
    )


def put_order(connection: sqlite3.Connection, record: Record, value: bytes, _key: str) -> None:
    """Remember an order, if it is one that pages can show."""
    msgspec.convert(record, Order)
    about = (record["id"], record.get("incident"), record["at_us"])
    connection.execute("INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?)", (*about, value))


def put_row(connection: sqlite3.Connection, record: Record, value: bytes, _key: str) -> None:
    """Remember a row above the threshold."""
    words = " ".join([record["id"], *record["columns"], *map(str, record.get("identity", {}).values())])
    main = next(iter(record["columns"]), "")
    _put_result(connection, (record["id"], "rows", record["event_time_us"], main, words.lower()), value)


def put_wafer(connection: sqlite3.Connection, record: Record, value: bytes, _key: str) -> None:
    """Remember the verdict on a wafer."""
    named = (record[key] for key in ("id", "wafer_id", "lot", "tool", "step", "pattern"))
    about = (record["id"], "wafers", record["event_time_us"], record["verdict"], " ".join(named).lower())
    _put_result(connection, about, value)


def _put_result(connection: sqlite3.Connection, about: tuple[str, str, int, str, str], value: bytes) -> None:
    connection.execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?)", (*about, value))


def put_pattern(connection: sqlite3.Connection, _record: Record, value: bytes, key: str) -> None:
    """Remember an emerging pattern, or what a person decided about one."""
    connection.execute("INSERT OR REPLACE INTO patterns VALUES (?, ?)", (key, value))


INCIDENTS = Place(put_incident, stands="incidents")
ALERTS = Place(put_alert)
WINDOWS = Place(put_window)
ORDERS = Place(put_order, stands="orders", remove="DELETE FROM orders WHERE ? LIKE '%/' || id")
ROWS = Place(put_row)
WAFERS = Place(put_wafer)
PATTERNS = Place(put_pattern, stands="patterns", remove="DELETE FROM patterns WHERE key = ?")
