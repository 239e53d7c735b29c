"""Exact accounts of a reader: which rows are on time, when windows close, where to resume. No Kafka, no Beam, no clock.

The rules (docs/accounts.md has the argument in full):

* Event times of one partition may run out of order by `disorder_us`. A row is late if its window ended at or before
  the partition's newest event time so far minus that allowance, or before the end of the last closed window (only a
  partition that was idle can meet the second case). The first test depends on the order inside the partition alone,
  so a replay decides the same.
* Windows close in order of time. Whatever is set aside meanwhile (late rows, rejects) belongs to the window that
  begins at the end of the last closed window: no earlier window can open any more, so its account is stated next.
* A resume point holds the first offset an open window needs, and the newest event time *before* that offset.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from sparsewatch.schemas.accounts import (
    NEVER_US,
    Account,
    Marker,
    OpenWindow,
    PartitionState,
    Progress,
    ReaderState,
    ResumePoint,
)


@dataclass(frozen=True, slots=True)
class WindowRules:
    """How windows are cut. All in microseconds of event time."""

    length_us: int
    disorder_us: int

    def window_us(self, times_us: np.ndarray) -> np.ndarray:
        """Start of the window of each event time, int64 of the same shape."""
        starts: np.ndarray = times_us // self.length_us * self.length_us
        return starts


@dataclass(frozen=True, slots=True)
class Routing:
    """What became of the rows of one batch."""

    #: Positions of rows on time, by the start of their window.
    on_time: dict[int, np.ndarray]
    #: Positions of late rows that were not accounted before.
    late: np.ndarray
    state: ReaderState


def take(
    state: ReaderState,
    rules: WindowRules,
    partitions: np.ndarray,
    offsets: np.ndarray,
    times_us: np.ndarray,
    positions: Mapping[int, int],
    rejects: Mapping[int, Sequence[int]],
) -> Routing:
    """Add a batch to the accounts.

    Args:
        state: What the reader knew; not changed.
        rules: How windows are cut.
        partitions: Partition of each row, shape (n,), grouped.
        offsets: Offset of each row, shape (n,), ascending within a partition.
        times_us: Event time of each row, shape (n,).
        positions: Next offset of each partition that was read.
        rejects: Offsets of rejects by partition; each entry counts as one event.

    Returns:
        Rows on time by window, late rows, and the new state.
    """
    late = np.zeros(len(offsets), dtype=bool)
    replayed = np.zeros(len(offsets), dtype=bool)
    windows = rules.window_us(times_us)
    updated: list[PartitionState] = []
    rejected = 0
    for part in state.partitions:
        if part.partition not in positions:
            updated.append(part)
            continue
        rejected += sum(offset >= part.high for offset in rejects.get(part.partition, ()))
        at = np.flatnonzero(partitions == part.partition)
        new, late[at] = _take_partition(part, rules, state.closed_end_us, offsets[at], times_us[at], windows[at])
        replayed[at] = offsets[at] < part.high
        updated.append(msgspec.structs.replace(new, position=positions[part.partition]))
    late_new = np.flatnonzero(late & ~replayed)
    return Routing(
        on_time=_by_window(windows, ~late),
        late=late_new,
        state=msgspec.structs.replace(
            state,
            partitions=tuple(updated),
            late=state.late + len(late_new),
            rejected=state.rejected + rejected,
        ),
    )


def _take_partition(
    part: PartitionState,
    rules: WindowRules,
    closed_end_us: int,
    offsets: np.ndarray,
    times_us: np.ndarray,
    windows: np.ndarray,
) -> tuple[PartitionState, np.ndarray]:
    if not len(offsets):
        return part, np.zeros(0, dtype=bool)
    #: newest[i] is the newest event time before row i; newest[i + 1] with it.
    newest = np.maximum.accumulate(np.concatenate([[part.newest_us], times_us]))
    late = windows + rules.length_us <= np.maximum(newest[1:] - rules.disorder_us, closed_end_us)
    open_windows = {w.window_us: w for w in part.open_windows}
    found, first, counts = np.unique(windows[~late], return_index=True, return_counts=True)
    on_time_at = np.flatnonzero(~late)
    for window, row, count in zip(found.tolist(), on_time_at[first].tolist(), counts.tolist(), strict=True):
        known = open_windows.get(window)
        if known is not None:
            open_windows[window] = msgspec.structs.replace(known, rows=known.rows + count)
            continue
        # A record may hold many rows; reading starts again at its first row.
        record_row = int(np.searchsorted(offsets, offsets[row], side="left"))
        open_windows[window] = OpenWindow(window, int(offsets[row]), int(newest[record_row]), count)
    new = msgspec.structs.replace(
        part, newest_us=int(newest[-1]), open_windows=tuple(open_windows[w] for w in sorted(open_windows))
    )
    return new, late


def _by_window(windows: np.ndarray, on_time: np.ndarray) -> dict[int, np.ndarray]:
    at = np.flatnonzero(on_time)
    return {int(window): at[windows[at] == window] for window in np.unique(windows[at])}


def watermark_us(state: ReaderState, rules: WindowRules, idle: Mapping[int, int]) -> int:
    """Event time up to which the reader has seen all rows it will count as on time.

    The minimum over active partitions of newest event time minus the allowance. A partition that was never read and
    is not idle holds it back. Idle partitions do not; when all are idle, it advances by the clock from the newest.

    Args:
        state: What the reader knows.
        rules: How windows are cut.
        idle: For each idle partition, microseconds since it became idle.

    Returns:
        Microseconds since the epoch, or `NEVER_US` if it is held back.
    """
    active = [p.newest_us for p in state.partitions if p.partition not in idle]
    if active:
        newest = min(active)
        return NEVER_US if newest == NEVER_US else newest - rules.disorder_us
    newest = max((p.newest_us for p in state.partitions), default=NEVER_US)
    return NEVER_US if newest == NEVER_US else newest - rules.disorder_us + min(idle.values(), default=0)


def close_windows(
    state: ReaderState, rules: WindowRules, watermark: int, reader: int, *, ended: bool = True
) -> tuple[ReaderState, list[Marker]]:
    """Close every window that ended at or before the watermark.

    Args:
        state: What the reader knows; not changed.
        rules: How windows are cut.
        watermark: As from `watermark_us`.
        reader: Number of the reader, for its markers.
        ended: Whether the windows have ended. False when the run stops while they are still open.

    Returns:
        The new state, and one marker for each window that holds rows or an account, in order of time.
    """
    closed_end = max(state.closed_end_us, watermark // rules.length_us * rules.length_us)
    if closed_end == state.closed_end_us:
        return state, []
    ending = {w.window_us for p in state.partitions for w in p.open_windows if w.window_us < closed_end}
    if state.late or state.rejected:
        ending.add(state.closed_end_us)
    markers: list[Marker] = []
    for window in sorted(ending):
        state, marker = _close_window(state, rules, window, reader, ended)
        markers.append(marker)
    return msgspec.structs.replace(state, closed_end_us=closed_end), markers


def _close_window(
    state: ReaderState, rules: WindowRules, window: int, reader: int, ended: bool
) -> tuple[ReaderState, Marker]:
    counted = sum(w.rows for p in state.partitions for w in p.open_windows if w.window_us == window)
    partitions = tuple(
        msgspec.structs.replace(p, open_windows=tuple(w for w in p.open_windows if w.window_us != window))
        for p in state.partitions
    )
    end = window + rules.length_us
    marker = Marker(
        reader=reader,
        sequence=state.markers + 1,
        window_us=window,
        window_end_us=end,
        account=Account(counted=counted, late=state.late, rejected=state.rejected),
        complete=ended and state.began,
        resume={p.partition: _resume_point(p) for p in partitions},
    )
    state = msgspec.structs.replace(
        state,
        partitions=partitions,
        closed_end_us=end,
        late=0,
        rejected=0,
        markers=marker.sequence,
        began=state.began or counted > 0,
    )
    return state, marker


def _resume_point(part: PartitionState) -> ResumePoint:
    first = min(part.open_windows, key=lambda w: w.first_offset, default=None)
    high = max(part.position, part.high)
    if first is None:
        return ResumePoint(offset=part.position, newest_us=part.newest_us, high=high)
    return ResumePoint(offset=first.first_offset, newest_us=first.newest_before_us, high=high)


def close_all(state: ReaderState, rules: WindowRules, reader: int) -> tuple[ReaderState, list[Marker]]:
    """Close what is still open: the end of a finished backfill."""
    ends = [w.window_us + rules.length_us for p in state.partitions for w in p.open_windows]
    if state.late or state.rejected:
        ends.append(state.closed_end_us + rules.length_us)
    return close_windows(state, rules, max(ends), reader, ended=False) if ends else (state, [])


def start_state(
    progress: Progress | None, partitions: Iterable[int], begin: Mapping[int, int], reader: int
) -> ReaderState:
    """Where a reader starts: at the job's resume points, or at `begin` for partitions without one."""
    points = {} if progress is None else progress.partitions
    return ReaderState(
        partitions=tuple(
            PartitionState(p, points[p].offset, points[p].newest_us, points[p].high)
            if p in points
            else PartitionState(p, begin[p], NEVER_US, 0)
            for p in sorted(partitions)
        ),
        closed_end_us=0 if progress is None else progress.closed_end_us,
        markers=0 if progress is None else progress.sequences.get(reader, 0),
        began=progress is not None and progress.totals.counted > 0,
    )
