"""A job over events that no broker holds: read, cut into windows, measured and decided by the code that runs it.

The records are those of one partition. What a reader does with a batch of them
(`sparsewatch.transforms.kafka.reading.added`, `close_bounded`), how blocks are measured, how a window is closed and
decided of is called here in the order in which a run on one reader does; only what a job writes is not written.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from sparsewatch.pipelines.backtest.history import PARTITION
from sparsewatch.pipelines.job.ready import Prepared, Ready
from sparsewatch.pipelines.run.run import read_specs
from sparsewatch.schemas.accounts import Account, Marker, WindowParts, ack_part, marker_part, sort_parts
from sparsewatch.schemas.set_aside import ack_of
from sparsewatch.transforms.codecs.decode import Decoded
from sparsewatch.transforms.kafka.closing import close_bounded
from sparsewatch.transforms.kafka.reading import added
from sparsewatch.transforms.kafka.resume import start_state
from sparsewatch.transforms.kafka.routing import Step
from sparsewatch.transforms.window.close_windows import close_window
from sparsewatch.transforms.window.closed import Closed
from sparsewatch.transforms.window.decide import Decided
from sparsewatch.transforms.window.in_memory import DecideInOrder, view_in_memory
from sparsewatch.transforms.window.judge_stream import StreamRules
from sparsewatch.transforms.window.measure import BlockParts, measuring

#: An offset that no file reaches: where the events end is known with the last batch.
_FAR = 2**62


class Passed(NamedTuple):
    """A window that has passed, as its readers and workers leave it; its end is exclusive."""

    start_us: int
    end_us: int
    parts: WindowParts


class Told(NamedTuple):
    """A window and what a job decides of it."""

    closed: Closed
    decided: Decided

    @property
    def account(self) -> Account:
        """Its numbers."""
        return sum((marker.account for marker in self.closed.markers), Account())


class Windows:
    """The windows of a job's run over records, batch by batch. Memory: the measures of those that are open.

    Args:
        made: The job.
        prepared: What its kind does with windows.
    """

    def __init__(self, made: Ready, prepared: Prepared) -> None:
        [self._spec] = read_specs(made, [PARTITION], "latest")
        self._state = start_state(None, [PARTITION], {PARTITION: 0}, self._spec.reader)
        self._new = measuring(prepared.measure).new_parts
        #: By start of their window.
        self._open: dict[int, BlockParts] = {}
        self._acks: dict[int, list[bytes]] = {}

    def take(self, decoded: Decoded, *, is_last: bool) -> Iterator[Passed]:
        """Windows that have passed behind a batch.

        Args:
            decoded: The batch: records of `PARTITION` that follow those before.
            is_last: Whether the run ends with it; all windows are closed then.
        """
        end = decoded.fetched[-1].next_offset if is_last else _FAR
        self._state = msgspec.structs.replace(self._state, stop=(end,))
        step = added(self._state, self._spec, decoded)
        # Event times alone close windows: the events are history, whatever the clock says.
        self._state, step.markers = close_bounded(step.state, self._spec, now_us=0)
        self._measure(step)
        for marker in step.markers:
            yield self._passed(marker)

    def _measure(self, step: Step) -> None:
        for window_us, block in step.blocks:
            self._open.setdefault(window_us, self._new()).add(block)
        if step.aside:
            self._acks.setdefault(step.aside_window_us, []).append(ack_part(ack_of(step.aside)))

    def _passed(self, marker: Marker) -> Passed:
        start_us = marker.window_us
        measured = self._open.pop(start_us, None)
        parts = [*self._acks.pop(start_us, []), *(() if measured is None else measured.parts()), marker_part(marker)]
        return Passed(start_us, start_us + self._spec.windows.length_us, sort_parts(parts))


class Judge:
    """Decides of the windows of a run, in their order, by the settings of a job; it remembers what the job would.

    Args:
        made: The job.
        prepared: What its kind does with windows.
    """

    def __init__(self, made: Ready, prepared: Prepared) -> None:
        self._conclude = prepared.conclude
        view = view_in_memory(prepared.look_back)
        stream = StreamRules(made.job.stream.within(made.job.allowance), prepared.own_volume)
        self._decide = DecideInOrder(made.identity, view, stream, made.job.incidents, prepared.learning)
        self._remembered = self._decide.first

    def __call__(self, passed: Passed) -> Told:
        """What the job decides of the window that follows."""
        closed = close_window(*passed, self._conclude)
        assert closed is not None, "its reader closed it"
        # As it travels between the steps of a job: of a number 0 that is read as a float, a record says 0.0.
        closed = Closed.from_bytes(closed.to_bytes())
        decided, self._remembered = self._decide(self._remembered, closed)
        return Told(closed, decided)
