"""What a console remembers of one job: an SQLite file, filled from the job's topics, bounded by age and by rows.

It holds nothing that is found nowhere else, but for what is older than its topics keep: delete the file, and it is
filled anew. One thread or several write, one at a time; every reading has a connection of its own.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.units import DAY_US, HOUR_US

#: Of the tables below; a file of another version is made anew.
_VERSION = 1
_TABLES = """
CREATE TABLE incidents (
  id TEXT PRIMARY KEY, is_open INTEGER, severity TEXT, started_us INTEGER, told_us INTEGER, record BLOB);
CREATE INDEX incidents_by_time ON incidents (told_us);
CREATE TABLE alerts (
  id TEXT PRIMARY KEY, incident TEXT, rule TEXT, subject TEXT, time_us INTEGER, record BLOB);
CREATE INDEX alerts_by_incident ON alerts (incident, time_us);
CREATE INDEX alerts_by_time ON alerts (time_us);
CREATE TABLE windows (
  time_us INTEGER PRIMARY KEY, end_us INTEGER, rows INTEGER, is_clean INTEGER, checksum INTEGER, record BLOB);
CREATE TABLE features (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE figures (
  feature INTEGER, time_us INTEGER, rank INTEGER, normalised REAL, null_share REAL, mistyped_share REAL,
  cardinality INTEGER, unseen_share REAL, PRIMARY KEY (feature, time_us)) WITHOUT ROWID;
CREATE TABLE newest (what TEXT PRIMARY KEY, time_us INTEGER, record BLOB);
CREATE TABLE orders (id TEXT PRIMARY KEY, incident TEXT, at_us INTEGER, record BLOB);
CREATE TABLE results (
  id TEXT PRIMARY KEY, kind TEXT, time_us INTEGER, label TEXT, words TEXT, record BLOB);
CREATE INDEX results_by_time ON results (kind, time_us);
CREATE INDEX results_by_label ON results (kind, label, time_us);
CREATE TABLE patterns (key TEXT PRIMARY KEY, record BLOB);
"""
#: Tables that grow with the stream.
_BOUNDED = ("alerts", "windows", "results")
#: Figures of features are stored of every window for so long, after that of one an hour.
_FINE_US = 7 * DAY_US
_WAIT_S = 10.0
_MARGIN = 0.05


@dataclass(frozen=True)
class Bounds:
    """How much is remembered, by event time and in rows of a table."""

    keep_us: int = 90 * DAY_US
    most: int = 200_000


class Store:
    """The file of one job; also a context manager.

    Args:
        path: The file; it is made if it is missing.
        bounds: How much it may hold.

    Raises:
        ConfigError: If the file cannot be used.
    """

    def __init__(self, path: Path, bounds: Bounds | None = None) -> None:
        self.path = path
        self.bounds = Bounds() if bounds is None else bounds
        self._lock = threading.Lock()
        try:
            self._writing = _opened(path)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(f"--state: {path} cannot be used: {error}; delete it, and it is filled anew") from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction; nobody else writes meanwhile."""
        with self._lock, self._writing:
            yield self._writing

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """What was committed until now."""
        with closing(sqlite3.connect(self.path, timeout=_WAIT_S)) as connection:
            connection.execute("PRAGMA query_only = 1")
            connection.row_factory = sqlite3.Row
            yield connection

    def trim(self) -> None:
        """Forget what is beyond the bounds."""
        with self.writing() as connection:
            newest_us = _newest_us(connection)
            for table in _BOUNDED:
                connection.execute(f"DELETE FROM {table} WHERE time_us < ?", (newest_us - self.bounds.keep_us,))
                _leave(connection, table, self.bounds.most)
            connection.execute(
                "DELETE FROM incidents WHERE NOT is_open AND told_us < ?", (newest_us - self.bounds.keep_us,)
            )
            _thin(connection, newest_us - _FINE_US, newest_us - self.bounds.keep_us)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._writing.close()


def _opened(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    connection = sqlite3.connect(path, timeout=_WAIT_S, check_same_thread=False)
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] not in (0, _VERSION):
            connection.close()
            for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
                file.unlink(missing_ok=True)
            return _opened(path)
        path.chmod(0o600)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT;")
    except BaseException:
        connection.close()
        raise
    return connection


def _newest_us(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(time_us), 0) FROM windows").fetchone()[0])


def _leave(connection: sqlite3.Connection, table: str, most: int) -> None:
    """Leave the newest rows of a table, once it has some more than it may."""
    rows = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    if rows > most * (1 + _MARGIN):
        connection.execute(
            f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} ORDER BY time_us LIMIT ?)", (rows - most,)
        )


def _thin(connection: sqlite3.Connection, fine_us: int, oldest_us: int) -> None:
    connection.execute(
        "DELETE FROM figures WHERE feature IN (SELECT id FROM features) AND time_us < ? "
        "AND (time_us < ? OR time_us % ? != 0)",
        (fine_us, oldest_us, HOUR_US),
    )
