"""Which windows a reader closes behind a batch: at the watermark of a live stream, or to the end of a run."""

import time
from collections.abc import Callable, Collection, Mapping

import msgspec

from sparsewatch.schemas.accounts import Marker, ReaderState
from sparsewatch.schemas.errors import SourceError
from sparsewatch.transforms.kafka.accounts import close_all, close_windows
from sparsewatch.transforms.kafka.reader_start import ReadSpec
from sparsewatch.transforms.kafka.routing import Step
from sparsewatch.transforms.kafka.stream_clock import live_silences_us, watermark_us
from sparsewatch.transforms.kafka.watching import Batch

#: Longest time that a run until windows close goes on behind a backlog after the first of them.
_CATCH_UP_S = 10.0


def close_bounded(state: ReaderState, spec: ReadSpec, now_us: int) -> tuple[ReaderState, list[Marker]]:
    """The state of a bounded run and its markers; it is finished once all partitions are read up to their stops."""
    until_us = spec.until * 1000 if isinstance(spec.until, int) else now_us
    # A backfill ends with its last row.
    silences = {} if spec.close_at_end else live_silences_us(state, spec.rules, min(until_us, now_us))
    done = all(p.position >= s for p, s in zip(state.partitions, state.stop, strict=True))
    # A partition that ended still holds back the watermark: the next run may bring rows of its open windows. Where
    # that has been the end for long, nothing holds it back.
    idle = [*state.silent, *silences] if done else state.silent
    ended = [p.partition for p, stop in zip(state.partitions, state.stop, strict=True) if p.position >= stop]
    watermark = watermark_us(state, spec.rules, {p: silences.get(p, 0) for p in idle}, ended)
    state, markers = close_windows(state, spec.rules, watermark, spec.reader)
    if done and spec.close_at_end:
        state, last = close_all(state, spec.rules, spec.reader)
        markers += last
    return msgspec.structs.replace(state, finished=done), markers


def close_live(
    state: ReaderState, spec: ReadSpec, batch: Batch, waiting: Collection[int]
) -> tuple[ReaderState, list[Marker]]:
    """The state of a live reader and its markers.

    Args:
        state: With the batch in it.
        spec: The reader.
        batch: Tells which partitions were idle when it was fetched.
        waiting: Partitions of which records have been fetched since: they are not idle.
    """
    if batch.sight is None:
        # What a partition holds that was added since belongs to these windows.
        return state, []
    idle = {p: us for p, us in batch.idle.us.items() if p not in waiting}
    before = live_silences_us(state, spec.rules, batch.at_us)
    idle |= {p: max(idle[p], us) for p, us in before.items() if p in idle and p in batch.idle.unseen}
    return close_windows(state, spec.rules, watermark_us(state, spec.rules, idle), spec.reader)


class WindowsClosed:
    """Whether a run until windows close is over: it has closed some, and read what there was then."""

    def __init__(self) -> None:
        self._ends: Mapping[int, int] | None = None
        self._latest = 0.0

    def over(self, step: Step, ends: Callable[[], Mapping[int, int]]) -> bool:
        """Whether it is over behind this step; `ends` asks where partitions end now."""
        if self._ends is None:
            if not step.markers:
                return False
            self._latest = time.monotonic() + _CATCH_UP_S
            self._ends = _known(ends)
        behind = any(p.position < self._ends.get(p.partition, 0) for p in step.state.partitions)
        return not behind or time.monotonic() >= self._latest


def _known(ends: Callable[[], Mapping[int, int]]) -> Mapping[int, int]:
    try:
        return ends()
    except SourceError:
        return {}
