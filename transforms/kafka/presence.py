"""Whether a broker is there, said once when that changes: for all clients of a process, and however often they try."""

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from sparsewatch.schemas.errors import SparsewatchError

_logger = logging.getLogger(__name__)
_T = TypeVar("_T")
#: Set, it stops the readers of this process after their batch; windows that are open are left to the next run. Readers
#: of endless runs (`forever`) are stopped by their runner. Nobody waits for a broker then.
STOP = threading.Event()
#: Between two tries of a call that waits for its broker.
_TRY_AGAIN_S = 1.0


class Presence:
    """Remembers since when something is away, and logs when that changes; safe to use from several threads.

    Args:
        name: Of what may be away, as a message begins.
        clock: Gives seconds.

    Example:
        >>> broker = Presence("the broker at kafka:9092", log=print)
        >>> broker.away("connection refused"); broker.away("connection refused")
        the broker at kafka:9092 is away: connection refused; waiting for it
    """

    def __init__(
        self,
        name: str,
        clock: Callable[[], float] = time.monotonic,
        log: Callable[[str], None] = lambda line: _logger.warning("%s", line),
    ) -> None:
        self._name = name
        self._clock = clock
        self._log = log
        self._lock = threading.Lock()
        self._since: float | None = None

    def away(self, reason: object) -> None:
        """It does not answer; logged unless that is known."""
        with self._lock:
            if self._since is not None:
                return
            self._since = self._clock()
        self._log(f"{self._name} is away: {reason}; waiting for it")

    def answers(self) -> None:
        """It answers; logged if it was away."""
        if self._since is None:
            return
        with self._lock:
            since, self._since = self._since, None
        if since is not None:
            self._log(f"{self._name} answers again after {self._clock() - since:.0f} s")

    @property
    def is_away(self) -> bool:
        """Whether it was away when it was last asked."""
        return self._since is not None


#: By address. Clients of a process share what they know.
_BROKERS: dict[str, Presence] = {}


def broker_at(address: str) -> Presence:
    """The presence of the broker at `host:port`."""
    return _BROKERS.setdefault(address, Presence(f"the broker at {address}"))


def is_any_away() -> bool:
    """Whether a broker was away when it was last asked."""
    return any(broker.is_away for broker in list(_BROKERS.values()))


def patiently(call: Callable[[], _T], try_again_s: float = _TRY_AGAIN_S) -> _T:
    """What a call returns, which is made again for as long as its broker is away and the run is not asked to stop.

    Raises:
        SparsewatchError: If trying again cannot help, or the run is asked to stop.
    """
    while True:
        try:
            return call()
        except SparsewatchError as error:
            if not error.retriable or STOP.wait(try_again_s):
                raise
            _logger.debug("tried again: %s", error)
