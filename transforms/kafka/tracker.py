"""The tracker of a reader's restriction: one vector of positions, claimed as a whole.

Beam's own offset tracker halves an endless range when a runner asks to split at a fraction, and the next claim raises.
A reader's vector cannot be halved at all, so the only split accepted is the self-checkpoint (fraction 0).
"""

from typing import Any

import msgspec
from apache_beam.io.iobase import RestrictionProgress, RestrictionTracker

from sparsewatch.schemas.accounts import ReaderState


class ReaderTracker(RestrictionTracker):
    """Tracks a `ReaderState`; `try_claim` takes the state after the next batch."""

    def __init__(self, state: ReaderState, bounded: bool) -> None:
        self._state = state
        self._bounded = bounded
        self._split = False

    def current_restriction(self) -> ReaderState:
        """The state claimed last."""
        return self._state

    def try_claim(self, position: ReaderState) -> bool:
        """Claim all up to the new state; False once the rest was handed back."""
        if self._split:
            return False
        self._state = position
        return True

    def try_split(self, fraction_of_remainder: float) -> tuple[ReaderState, ReaderState] | None:
        """Hand back all that is left (fraction 0), or refuse."""
        if fraction_of_remainder > 0 or self._split or self._state.finished:
            return None
        self._split = True
        residual = self._state
        self._state = msgspec.structs.replace(residual, finished=True)
        return self._state, residual

    def check_done(self) -> None:
        """Nothing claimed is ever left undone: a claim covers a batch that was emitted whole."""
        if self._bounded and not (self._state.finished or self._split):
            raise ValueError(f"the reader stopped before its stop offsets {self._state.stop}")

    def current_progress(self) -> RestrictionProgress:
        """Share of the offsets read in bounded mode, unknown otherwise."""
        if not self._state.stop:
            return RestrictionProgress(fraction=0.0)
        done = sum(min(p.position, s) for p, s in zip(self._state.partitions, self._state.stop, strict=True))
        return RestrictionProgress(completed=float(done), remaining=float(max(0, sum(self._state.stop) - done)))

    def is_bounded(self) -> bool:
        """Whether the restriction has an end."""
        return self._bounded

    def __reduce__(self) -> Any:
        raise TypeError("a tracker is never stored; its restriction is")
