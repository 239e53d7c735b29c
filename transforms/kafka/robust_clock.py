"""The newest event time of a partition that its rows agree on: one clock ahead must not make the rows of others late.

Example: events come in order, and one device runs 59 minutes ahead. The maximum of all event times would follow its
first event, and the next hour of all other devices would be late. Here its rows are counted in the window that they
name, and the partition's newest time stays where the others are.

A row may move the newest time if its event time is within reach of the median of the `RECENT` event times up to it. The
reach is the stream's disorder, or four times the distance from lower quartile to median where rows are sparse: the
steps of a slow stream are no leaps. After a true leap of all rows the newest time follows when half of the recent ones
have leapt, or when the partition falls silent. The median breaks down at a half (Huber and Ronchetti, Robust
Statistics, 2nd ed. 2009, sec. 1.4): where one row in ten is ahead, 32 of 63 are with a probability of 4e-16, where one
in five is, with 5e-8.

All depends on the order of the rows in the partition alone, so a replay decides the same.
"""

import numpy as np

from sparsewatch.schemas.accounts import NEVER_US

#: Event times that decide. 32 rows of a clock ahead in a row would move the newest time.
RECENT = 63
#: Rows of one record that count among the recent ones: a record may hold thousands, all of one clock.
PER_RECORD = 4
#: Rows before which a partition has no newest time, unless it is silent: the first rows may be of a clock ahead.
LEAST = 7
#: Rows at the end of a silent partition of which the median is its newest time.
_LAST = 15
#: Quartile distances that a row may lie ahead of the median.
_REACH = 4
_NONE = np.iinfo(np.int64).max


class Rows:
    """Rows of one partition in a batch, and the newest event time before each.

    Args:
        newest_us: Newest event time before the first row; `NEVER_US` for none.
        recent_us: Event times before the first row that decide, oldest first, at most `RECENT`.
        offsets: Offset of each row's record, shape (n,), ascending.
        times_us: Event time of each row, shape (n,).
        disorder_us: How far event times may run back.
    """

    def __init__(
        self,
        newest_us: int,
        recent_us: tuple[int, ...],
        offsets: np.ndarray,
        times_us: np.ndarray,
        disorder_us: int,
    ) -> None:
        deciding = _leads_of_records(offsets)
        self._times = np.concatenate([np.asarray(recent_us, dtype=np.int64), times_us[deciding]])
        #: Of `_times`, how many there are before each row, and after the last.
        self._known = len(recent_us) + np.concatenate([[0], np.cumsum(deciding)])
        #: Newest event time before each row, and after the last: microseconds, ascending int64 of shape (n + 1,).
        self.newest_us = np.maximum.accumulate(
            np.concatenate([[newest_us], self._steps(newest_us, times_us, disorder_us)])
        )

    def _steps(self, newest_us: int, times_us: np.ndarray, disorder_us: int) -> np.ndarray:
        """Where each row moves the newest time, if that is ahead."""
        known = self._known[1:]
        near = times_us <= self._lowest()[known - 1] + disorder_us
        doubtful = np.flatnonzero(((known < LEAST) | ~near) & (times_us > newest_us))
        if not len(doubtful):
            return times_us
        steps = times_us.astype(np.int64, copy=True)
        steps[doubtful] = self._supported(times_us[doubtful], known[doubtful], disorder_us)
        return steps

    def _lowest(self) -> np.ndarray:
        """Lowest of the `RECENT` times up to each: no median is below it."""
        lowest, width = self._times.copy(), 1
        while width < RECENT:
            step = min(width, RECENT - width)
            lowest[step:] = np.minimum(lowest[step:], lowest[:-step])
            width += step
        return lowest

    def _supported(self, times_us: np.ndarray, known: np.ndarray, disorder_us: int) -> np.ndarray:
        """Each time if the median supports it, else the median."""
        # Rows of one record mostly have the same recent ones, which are sorted once.
        firsts = np.flatnonzero(np.diff(known, prepend=-1))
        runs = np.diff(firsts, append=len(known))
        padded = np.concatenate([np.full(RECENT, _NONE), self._times])
        recent = np.sort(np.lib.stride_tricks.sliding_window_view(padded, RECENT)[known[firsts]], axis=1)
        last = np.minimum(known[firsts], RECENT) - 1
        median, quartile = (
            np.repeat(np.take_along_axis(recent, (last // part)[:, None], axis=1)[:, 0], runs) for part in (2, 4)
        )
        reach = np.maximum(disorder_us, _REACH * (median - quartile))
        return np.where(known < LEAST, NEVER_US, np.where(times_us <= median + reach, times_us, median))

    def recent_us(self, row: int) -> tuple[int, ...]:
        """The event times that decide before a row, or after the last: what a replay from that row on starts with."""
        end = int(self._known[row])
        return tuple(self._times[max(0, end - RECENT) : end].tolist())


def _leads_of_records(offsets: np.ndarray) -> np.ndarray:
    """Whether each row is among the first `PER_RECORD` of its record, bool of shape (n,)."""
    leads = np.ones(len(offsets), dtype=bool)
    leads[PER_RECORD:] = offsets[PER_RECORD:] != offsets[:-PER_RECORD]
    return leads


def settled_us(newest_us: int, recent_us: tuple[int, ...]) -> int:
    """Newest event time of a partition that is read to its end and silent: its last rows wait for no more support.

    It is the lower median of the last `_LAST`, or of what there is, so that a clock ahead still moves nothing.
    """
    last = sorted(recent_us[-_LAST:])
    return max(newest_us, last[(len(last) - 1) // 2]) if last else newest_us
