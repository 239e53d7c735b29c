"""A clock that stands still until it is advanced: tests say what time it is."""

_START_US = 1_700_000_000_000_000


class SimulatedClock:
    """Time by hand; called, it gives seconds since the epoch, as `time.time` does.

    Args:
        start_us: Where it begins, microseconds since the epoch; 2023-11-14T22:13:20Z if absent.

    Example:
        >>> clock = SimulatedClock(start_us=0)
        >>> clock.advance(1.5)
        >>> clock.now_us, clock()
        (1500000, 1.5)
    """

    def __init__(self, start_us: int = _START_US) -> None:
        self.now_us = start_us

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self.now_us / 1e6

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now_us += round(seconds * 1e6)
