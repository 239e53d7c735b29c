"""Rejects as a table or as JSON lines. Their content came from outside: it is escaped before it is shown."""

import base64
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from rich.table import Table

from sparsewatch.pipelines.console.printable import printable
from sparsewatch.pipelines.console.tables import table
from sparsewatch.pipelines.rejects.topics import SetAside

_SHOWN_BYTES = 80


class RejectCounts:
    """Rejects by code, counted as they are read.

    Args:
        done: Ids that were replayed.
    """

    def __init__(self, done: set[str]) -> None:
        self._done = done
        self._records: Counter[str] = Counter()
        self._events: Counter[str] = Counter()
        self._replayed: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """Rejects counted."""
        return self._records.total()

    @property
    def events(self) -> int:
        """Events in them."""
        return self._events.total()

    def watch(self, found: Iterable[SetAside]) -> Iterator[SetAside]:
        """Pass rejects on and count them."""
        for reject in found:
            code = printable(reject.record.code)
            self._records[code] += 1
            self._events[code] += reject.record.events
            self._replayed[code] += reject.id in self._done
            yield reject

    def table(self, noun: str = "reject") -> Table:
        """The numbers as a table."""
        rows = (
            (code, str(records), str(self._events[code]), str(self._replayed[code]))
            for code, records in self._records.most_common()
        )
        return table(("code", f"{noun}s", "events", "replayed"), rows, title="By code")

    @property
    def by_code(self) -> str:
        """The numbers for the end of a line; empty if there are none."""
        return ": " * bool(self._records) + ", ".join(f"{code} {n}" for code, n in self._records.most_common())


def json_line(reject: SetAside, replayed: bool) -> str:
    """A reject as JSON in one line with its whole value; also a line of a repair file."""
    record = reject.record
    about: dict[str, Any] = {
        "id": reject.id,
        "code": record.code,
        "message": record.message,
        "events": record.events,
        "timestamp_ms": record.timestamp_ms,
        "retriable": record.retriable,
        "replayed": replayed,
    }
    if record.value is not None:
        try:
            about["value"] = record.value.decode()
        except UnicodeDecodeError:
            about["value_base64"] = base64.b64encode(record.value).decode()
    return msgspec.json.encode(about).decode()


def table_row(reject: SetAside, replayed: bool) -> tuple[str, ...]:
    """A reject as cells of `record_table`."""
    record = reject.record
    if reject.left_out:
        value = "(too large for this topic)"
    elif record.value is None:
        value = "(none)"
    else:
        value = record.value[:_SHOWN_BYTES].decode(errors="backslashreplace")
        value += "…" if len(record.value) > _SHOWN_BYTES else ""
    return reject.id, record.code, record.message, value, "yes" if replayed else "no"


def record_table(rows: Iterable[tuple[str, ...]], noun: str = "reject") -> Table:
    """Cells of `table_row` as a table; nothing in them is read as markup."""
    title = f"{noun.capitalize()}s, newest last"
    return table(("id", "code", "message", "first bytes", "replayed"), rows, title=title)
