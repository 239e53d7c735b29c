"""Where a partition starts again: the first offset that an open window needs, and what was known before it."""

from collections.abc import Iterable, Mapping

from sparsewatch.schemas.accounts import NEVER_US, PREFACE_US, PartitionState, Progress, ReaderState, ResumePoint


def resume_point(part: PartitionState) -> ResumePoint:
    """Where a partition starts again."""
    first = min(part.open_windows, key=lambda w: w.first_offset, default=None)
    newest = part.newest_us if first is None else first.newest_before_us
    recent = part.recent_us if first is None else first.recent_before_us
    return ResumePoint(
        offset=part.position if first is None else first.first_offset,
        newest_us=newest,
        high=max(part.position, part.high),
        lead_us=part.lead_us,
        confirmed_us=part.confirmed_us,
        topic_id=part.topic_id,
        era=part.era,
        last=part.last,
        gone=sum(w.gone for w in part.open_windows),
        behind_us=tuple(_behind(newest, time) for time in recent),
    )


def _behind(newest_us: int, time_us: int) -> int:
    """How far a time lies behind the newest; the inverse of itself. Small numbers, since each commit holds them."""
    return time_us if newest_us == NEVER_US else newest_us - time_us


def start_state(
    progress: Progress | None, partitions: Iterable[int], begin: Mapping[int, int], reader: int
) -> ReaderState:
    """Where a reader starts: at the job's resume points, or at `begin` for partitions without one."""
    points = {} if progress is None else progress.partitions
    closed_end_us = PREFACE_US if progress is None else progress.closed_end_us
    mine = sorted(partitions)
    return ReaderState(
        partitions=tuple(
            _resumed(p, points[p]) if p in points else PartitionState(p, begin[p], NEVER_US, 0) for p in mine
        ),
        closed_end_us=closed_end_us,
        markers=0 if progress is None else progress.sequences.get(reader, 0),
        began=closed_end_us > PREFACE_US,
        lost=sum(points[p].gone for p in mine if p in points),
        ahead_us=() if progress is None else progress.ahead_us,
    )


def _resumed(partition: int, point: ResumePoint) -> PartitionState:
    return PartitionState(
        partition,
        point.offset,
        point.newest_us,
        point.high,
        lead_us=point.lead_us,
        stamp_us=point.confirmed_us,
        confirmed_us=point.confirmed_us,
        topic_id=point.topic_id,
        era=point.era,
        last=point.last,
        recent_us=tuple(_behind(point.newest_us, behind) for behind in point.behind_us),
    )
