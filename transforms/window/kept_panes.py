"""The saved windows that a job chooses to keep, in slots of a compacted topic; those of `panes` are kept in turn.

Of a full set one window is let go for each new one. It stays in its slot as long as the windows that were decided
beside it are not committed: whoever reads them again, after a kill at any point, meets the windows that they met the
first time. So there are as many slots more as windows may be written before a commit. Which windows a window met
follows from what lies in the slots alone, since each says which one it took the place of.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sparsewatch.transforms.kafka.client import Writer
from sparsewatch.transforms.window.panes import Pane, send_pane

#: Windows that are written before a commit, at most.
LEARNED_A_COMMIT = 8


class KeptPanes:
    """The windows that are kept.

    A window that is let go for a new one is not seen by that one either: read again, it sees the same windows.

    Args:
        job: Name of the job.
        topic: Compacted topic of its saved windows.
        size: How many are kept, at least 1.
        spare: Chooses the window that is let go, of all kept ones, oldest first.
        earlier: Those of earlier runs, by slot.
    """

    def __init__(
        self, job: str, topic: str, size: int, spare: Callable[[Sequence[Pane]], Pane], earlier: Mapping[int, Pane]
    ) -> None:
        self._job = job
        self._topic = topic
        self._size = size
        self._spare = spare
        self._slots = {slot: pane for slot, pane in earlier.items() if slot < size + LEARNED_A_COMMIT}
        #: Start of the first window since the last commit, None before it is known: those before it are committed.
        self._since_us: int | None = None
        #: The window that one asked for last lets go, with its start.
        self._let_go: tuple[int, Pane | None] | None = None

    def before(self, start_us: int) -> list[Pane]:
        """The windows that one is compared with, oldest first."""
        if self._since_us is None:
            self._since_us = start_us
        gone = self._gone(start_us)
        return [pane for pane in self._visible(start_us) if pane is not gone]

    @property
    def stored(self) -> dict[int, Pane]:
        """All that lie in slots, those that were let go among them, by slot."""
        return dict(self._slots)

    def add(self, pane: Pane) -> tuple[int, Pane]:
        """Keep a window; its slot, and the window with what it takes the place of."""
        if self._since_us is None:
            self._since_us = pane.start_us
        gone = self._gone(pane.start_us)
        kept = replace(pane, gone_us=None if gone is None else gone.start_us)
        slot = self._slot(pane.start_us, self._since_us)
        self._slots[slot] = kept
        self._let_go = None
        return slot, kept

    def put(self, pane: Pane, writer: Writer) -> None:
        """Keep a window and send it; the caller flushes."""
        slot, kept = self.add(pane)
        send_pane(kept, self._job, slot, self._topic, writer)

    def commit(self) -> None:
        """All windows so far are committed: none of them is read again."""
        self._since_us = None

    def _visible(self, start_us: int) -> list[Pane]:
        """The windows that were kept when the one before this was, oldest first."""
        earlier = sorted(
            (pane for pane in self._slots.values() if pane.start_us < start_us), key=lambda pane: pane.start_us
        )
        gone = {pane.gone_us for pane in earlier}
        return [pane for pane in earlier if pane.start_us not in gone][-self._size :]

    def _gone(self, start_us: int) -> Pane | None:
        """The window that one takes the place of; None while there is room."""
        if self._let_go is None or self._let_go[0] != start_us:
            kept = self._visible(start_us)
            self._let_go = start_us, None if len(kept) < self._size else self._spare(kept)
        return self._let_go[1]

    def _slot(self, start_us: int, since_us: int) -> int:
        """Where a window is kept: where it was, or in a slot whose window nobody will see again."""
        seen = {pane.start_us for pane in self._visible(since_us)}
        by = {pane.gone_us: pane.start_us for pane in self._slots.values()}

        def order(slot: int) -> tuple[int, int]:
            pane = self._slots.get(slot)
            if pane is None:
                return 2, slot
            if pane.start_us == start_us:
                return 0, 0
            if pane.start_us in seen or since_us <= pane.start_us < start_us:
                return 4, -by.get(pane.start_us, 0)
            # Let go first first: a window must not outlive the one that says that it was let go. A window behind this
            # one was left by a run that was killed, and is written again.
            return (1, by.get(pane.start_us, 0)) if pane.start_us < start_us else (3, -pane.start_us)

        return min(range(self._size + LEARNED_A_COMMIT), key=order)
