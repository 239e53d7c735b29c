"""The newest event time of a partition, row by row as docs/accounts.md has it: slow, obvious, independent of numpy."""

from collections.abc import Iterable

_RECENT, _PER_RECORD, _LEAST, _REACH, _LAST = 63, 4, 7, 4, 15


class SlowClock:
    """Newest event time of one partition; None before there is one."""

    def __init__(self, disorder_us: int) -> None:
        self._disorder_us = disorder_us
        self._recent: list[int] = []
        self.newest_us: int | None = None

    def record(self, times_us: Iterable[int]) -> list[int | None]:
        """Take the rows of a record; gives the newest time with each row."""
        given = []
        for place, time in enumerate(times_us):
            if place < _PER_RECORD:
                self._recent = [*self._recent, time][-_RECENT:]
            self._move(time)
            given.append(self.newest_us)
        return given

    def _move(self, time: int) -> None:
        if len(self._recent) < _LEAST:
            return
        ranked, last = sorted(self._recent), len(self._recent) - 1
        median, quartile = ranked[last // 2], ranked[last // 4]
        supported = time <= median + max(self._disorder_us, _REACH * (median - quartile))
        to = time if supported else median
        self.newest_us = to if self.newest_us is None else max(self.newest_us, to)

    def settled_us(self) -> int | None:
        """Newest event time once the partition is silent."""
        last = sorted(self._recent[-_LAST:])
        known = [] if self.newest_us is None else [self.newest_us]
        return max([*known, last[(len(last) - 1) // 2]]) if last else self.newest_us
