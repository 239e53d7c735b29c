"""Exact accounts of a reader: which rows are on time, when windows close, where to resume. No Kafka, no Beam, no clock.

The rules (docs/accounts.md has the argument in full):

* Event times of one partition may run out of order by `disorder_us`. A row is late if its window ended at or before
  the partition's newest event time so far minus that allowance, or before the end of the last closed window (only a
  partition that was idle can meet the second case). The first test depends on the order inside the partition alone,
  so a replay decides the same. The newest event time is that which rows agree on: see `robust_clock`.
* Windows close in order of time, each of them, also those without a row. Whatever is set aside meanwhile (late rows,
  rejects) belongs to the first window from the end of the last closed one on that has no marker yet: no earlier window
  can open any more, so its account is stated next. Before the first window is known it belongs to a preface, which
  closes none.
* A resume point holds the first offset an open window needs, and the newest event time *before* that offset.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from sparsewatch.schemas.accounts import (
    NEVER_US,
    PREFACE_US,
    Account,
    Marker,
    OpenWindow,
    PartitionState,
    ReaderState,
)
from sparsewatch.transforms.kafka.resume import resume_point
from sparsewatch.transforms.kafka.robust_clock import Rows, settled_us
from sparsewatch.transforms.kafka.row_places import by_partition, by_window
from sparsewatch.transforms.kafka.stream_clock import Reject, WindowRules, confirmed_stamps, lead_us, partition_clocks

#: Windows without a row that are closed one by one after a window with rows, and in all at a time. A thousand minutes
#: are 16 hours, in which every rule about silence has spoken; one mad event time may leave millions of windows out.
MOST_EMPTY = 1_000
MOST_EMPTY_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Routing:
    """What became of the rows of one batch."""

    #: Positions of rows on time, by the start of their window.
    on_time: dict[int, np.ndarray]
    #: Positions of late rows that were not accounted before.
    late: np.ndarray
    #: Start of the window in which they and the rejects travel: its marker states them.
    aside_window_us: int
    state: ReaderState


def take(
    state: ReaderState,
    rules: WindowRules,
    partitions: np.ndarray,
    offsets: np.ndarray,
    times_us: np.ndarray,
    stamps_us: np.ndarray,
    positions: Mapping[int, int],
    rejects: Mapping[int, Sequence[Reject]],
) -> Routing:
    """Add a batch to the accounts.

    Args:
        state: What the reader knew; not changed.
        rules: How windows are cut.
        partitions: Partition of each row, shape (n,), grouped.
        offsets: Offset of each row, shape (n,), ascending within a partition.
        times_us: Event time of each row, shape (n,).
        stamps_us: Kafka timestamp of each row's record, negative for none, shape (n,).
        positions: Next offset of each partition that was read.
        rejects: Rejects by partition, in order of offset.

    Returns:
        Rows on time by window, late rows, and the new state.

    Raises:
        ValueError: If the rows of a partition do not stand together.
    """
    late = np.zeros(len(offsets), dtype=bool)
    replayed = np.zeros(len(offsets), dtype=bool)
    windows = rules.window_us(times_us)
    updated: list[PartitionState] = []
    rejected = 0
    places = by_partition(partitions)
    for part in state.partitions:
        if part.partition not in positions:
            updated.append(part)
            continue
        mine = rejects.get(part.partition, ())
        rejected += sum(reject.events for reject in mine if reject.offset >= part.high)
        at = places.get(part.partition, slice(0))
        closed = windows[at] + rules.length_us <= state.closed_end_us
        closed |= np.isin(windows[at], state.ahead_us)
        new, late[at] = _take_partition(part, rules, closed, offsets[at], times_us[at], stamps_us[at], windows[at])
        replayed[at] = offsets[at] < part.high
        stamp, confirmed = confirmed_stamps(part, mine)
        updated.append(
            msgspec.structs.replace(new, position=positions[part.partition], stamp_us=stamp, confirmed_us=confirmed)
        )
    late_new = np.flatnonzero(late & ~replayed)
    return Routing(
        on_time=by_window(windows, np.flatnonzero(~late), rules.length_us),
        late=late_new,
        aside_window_us=_next_us(state, rules),
        state=msgspec.structs.replace(
            state,
            partitions=tuple(updated),
            late=state.late + len(late_new),
            rejected=state.rejected + rejected,
            events=state.events + int(np.count_nonzero(~replayed)) + rejected,
            first_stamp_us=_first_stamp_us(state, rejects),
        ),
    )


def _first_stamp_us(state: ReaderState, rejects: Mapping[int, Sequence[Reject]]) -> int:
    if state.began:
        return state.first_stamp_us
    stamps = [reject.stamp_us for mine in rejects.values() for reject in mine]
    known = [stamp for stamp in (state.first_stamp_us, *stamps) if stamp != NEVER_US]
    return min(known, default=NEVER_US)


def _take_partition(
    part: PartitionState,
    rules: WindowRules,
    closed: np.ndarray,
    offsets: np.ndarray,
    times_us: np.ndarray,
    stamps_us: np.ndarray,
    windows: np.ndarray,
) -> tuple[PartitionState, np.ndarray]:
    if not len(offsets):
        return part, np.zeros(0, dtype=bool)
    clock = Rows(part.newest_us, part.recent_us, offsets, times_us, rules.disorder_us)
    newest = clock.newest_us
    late = closed | (windows + rules.length_us <= newest[1:] - rules.disorder_us)
    open_windows = {w.window_us: w for w in part.open_windows}
    for window, at in by_window(windows, np.flatnonzero(~late), rules.length_us).items():
        known = open_windows.get(window)
        if known is not None:
            open_windows[window] = msgspec.structs.replace(known, rows=known.rows + len(at))
            continue
        # A record may hold many rows; reading starts again at its first row.
        first_offset = offsets.item(at.item(0))
        row = int(offsets.searchsorted(first_offset))
        open_windows[window] = OpenWindow(
            window, first_offset, newest.item(row), len(at), recent_before_us=clock.recent_us(row)
        )
    recent = clock.recent_us(len(times_us))
    supported = times_us <= settled_us(int(newest[-1]), recent)
    new = msgspec.structs.replace(
        part,
        newest_us=int(newest[-1]),
        recent_us=recent,
        lead_us=lead_us(times_us[supported], stamps_us[supported], part.newest_us, part.lead_us),
        open_windows=tuple(open_windows[w] for w in sorted(open_windows)),
    )
    return new, late


def close_windows(
    state: ReaderState, rules: WindowRules, watermark: int, reader: int, *, ended: bool = True
) -> tuple[ReaderState, list[Marker]]:
    """Close every window that ended at or before the watermark, also those without a row.

    Nothing closes before the first window of the job is known: that of its earliest row or, where none has come, of
    its first reject. Of many windows in a row without a row the first `MOST_EMPTY` are closed, the others passed over.

    Args:
        state: What the reader knows; not changed.
        rules: How windows are cut.
        watermark: As from `watermark_us`.
        reader: Number of the reader, for its markers.
        ended: Whether the windows have ended. False when the run stops while they are still open.

    Returns:
        The new state, and a marker for each window, in order of time; before the first of a job the preface, if
        anything was set aside.
    """
    first, closed_end = _first_us(state, rules), rules.start_us(watermark)
    if first is None or closed_end <= first:
        return state, []
    markers: list[Marker] = []
    if (state.late or state.rejected) and state.closed_end_us == PREFACE_US < first:
        state, preface = _close_window(state, PREFACE_US, PREFACE_US, reader, ended)
        markers.append(preface)
    full = {w.window_us for p in state.partitions for w in p.open_windows if w.window_us < closed_end}
    for window in _in_order(full, first, closed_end, rules.length_us):
        if window not in state.ahead_us:
            state, marker = _close_window(state, window, window + rules.length_us, reader, ended)
            markers.append(marker)
    ahead = tuple(window for window in state.ahead_us if window >= closed_end)
    return msgspec.structs.replace(state, closed_end_us=closed_end, ahead_us=ahead), markers


def _first_us(state: ReaderState, rules: WindowRules) -> int | None:
    """Start of the first window that is not closed; None if it is not known yet."""
    if state.closed_end_us > PREFACE_US:
        return _next_us(state, rules)
    opened = [w.window_us for p in state.partitions for w in p.open_windows]
    if not opened and state.first_stamp_us != NEVER_US:
        opened = [rules.start_us(state.first_stamp_us)]
    return min(opened, default=None)


def _next_us(state: ReaderState, rules: WindowRules) -> int:
    """Start of the first window from the closed end on that has no marker yet: those of clocks ahead may have one."""
    window = state.closed_end_us
    while window in state.ahead_us:
        window += rules.length_us
    return window


def _in_order(full: set[int], first: int, closed_end: int, length_us: int) -> list[int]:
    """Windows to close from `first` on: all with rows, and of those between them as many as the bounds allow."""
    windows: list[int] = []
    left = MOST_EMPTY_AT_ONCE
    for window in [*sorted(full), closed_end]:
        number = min((window - first) // length_us, MOST_EMPTY, left)
        left -= number
        windows += range(first, first + number * length_us, length_us)
        first = window + length_us
        windows += [window] if window < closed_end else []
    return windows


def _close_window(
    state: ReaderState, window: int, end: int, reader: int, ended: bool, *, ahead: bool = False
) -> tuple[ReaderState, Marker]:
    if ahead:
        state = msgspec.structs.replace(state, ahead_us=tuple(sorted({*state.ahead_us, window})))
    preface = end == PREFACE_US
    gone = () if preface else (window,)
    counted = sum(w.rows for p in state.partitions for w in p.open_windows if w.window_us in gone)
    partitions = tuple(
        msgspec.structs.replace(p, open_windows=tuple(w for w in p.open_windows if w.window_us not in gone))
        for p in state.partitions
    )
    marker = Marker(
        reader=reader,
        sequence=state.markers + 1,
        window_us=window,
        window_end_us=end,
        account=Account(counted=counted, late=state.late, rejected=state.rejected, lost=state.lost),
        complete=ended and state.began,
        resume={p.partition: resume_point(p) for p in partitions},
        events=state.events,
        notices=state.notices,
        ahead_us=state.ahead_us,
    )
    state = msgspec.structs.replace(
        state,
        partitions=partitions,
        closed_end_us=state.closed_end_us if ahead or preface else end,
        late=0,
        rejected=0,
        events=0,
        lost=0,
        notices=(),
        markers=marker.sequence,
        began=state.began or not preface,
    )
    return state, marker


def close_all(state: ReaderState, rules: WindowRules, reader: int) -> tuple[ReaderState, list[Marker]]:
    """Close what is still open, and state all that was set aside: the end of a finished backfill.

    Windows that only clocks ahead have reached are closed, too, but not the windows before them: the rows of the next
    run are not late for that. Where only records are lost, nothing closes: the next run finds them lost again.
    """
    clocks = partition_clocks(state, rules, settled=[p.partition for p in state.partitions])
    reached = rules.start_us(max(clocks.values(), default=NEVER_US))
    opened = [window for window in _open(state) if window <= reached]
    last, first, markers = list(opened), _first_us(state, rules), list[Marker]()
    if (state.late or state.rejected) and not opened:
        if first is not None and not state.began:
            # Nothing but rejects so far: the stream reaches as far as their timestamps.
            stamps = [p.confirmed_us for p in state.partitions if p.confirmed_us != NEVER_US]
            last = [first, *map(rules.start_us, stamps)]
        elif first not in _open(state):
            # No time was shown, or none that is not closed: each run of a job from cron would close a window to come.
            # Where a clock ahead has opened the next window, its own marker states it: a window has one of a reader.
            state, aside = _close_window(state, first or PREFACE_US, PREFACE_US, reader, ended=False)
            markers.append(aside)
    if last:
        state, markers = close_windows(state, rules, max(last) + rules.length_us, reader, ended=False)
    for window in _open(state):
        state, marker = _close_window(state, window, window + rules.length_us, reader, ended=False, ahead=True)
        markers.append(marker)
    return state, markers


def _open(state: ReaderState) -> list[int]:
    return sorted({w.window_us for p in state.partitions for w in p.open_windows})
