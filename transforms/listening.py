"""What this process learns of its own job where the job's steps run in it: on the in-process runner and on Prism.

A cluster's workers are other processes: nobody listens there.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from sparsewatch.schemas.accounts import Account
from sparsewatch.schemas.incidents import IncidentRecord
from sparsewatch.schemas.side_records import SideRecord


@dataclass(frozen=True, slots=True)
class WindowClosed:
    """A window of which the results are durable; microseconds since the epoch.

    It ends at `PREFACE_US` if it is none, see `Marker.is_preface`.
    """

    start_us: int
    end_us: int
    account: Account
    #: Rules of its alerts.
    rules: tuple[str, ...] = ()
    #: False if rows of it may be missing.
    complete: bool = True
    #: What it did to the incidents of the job.
    incidents: tuple[IncidentRecord, ...] = ()
    #: Declared columns of which no row had a value.
    without_value: tuple[str, ...] = ()


class Listener(Protocol):
    """Called by any thread that works on the job."""

    def on_window(self, window: WindowClosed) -> None:
        """A window was closed."""

    def on_aside(self, records: Sequence[SideRecord]) -> None:
        """Records were set aside: rejects and late ones."""


_listeners: list[Listener] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """While the context lasts, `listener` is called for the jobs that run in this process."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def report_window(window: WindowClosed) -> None:
    """A window was closed."""
    for listener in _listeners:
        listener.on_window(window)


def report_aside(records: Sequence[SideRecord]) -> None:
    """Records were set aside."""
    for listener in _listeners:
        listener.on_aside(records)
