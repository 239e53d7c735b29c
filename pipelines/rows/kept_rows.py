"""What a window of rows leaves behind: a sample to retrain from."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import msgspec

from sparsewatch.schemas.errors import StateError
from sparsewatch.schemas.stored import Format
from sparsewatch.transforms.window.close_windows import Conclusion
from sparsewatch.transforms.window.panes import Pane

_logger = logging.getLogger(__name__)

FORMAT = Format("the pane of a window of rows")


class RowPane(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """State of the pane that a window of rows leaves."""

    rows: int
    #: Bytes of a `RowSample` of the job's scored columns.
    sample: bytes

    def to_bytes(self) -> bytes:
        """The state; equal panes give equal bytes."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def of(cls, state: bytes) -> Self:
        """From the state of a `Pane`.

        Raises:
            StateError: If the bytes are others.
        """
        return FORMAT.unpack(state, cls)


def readable(panes: Iterable[Pane]) -> list[tuple[Pane, RowPane]]:
    """Panes of this layout, in their order; others were left by other versions."""
    found = []
    for pane in panes:
        try:
            found.append((pane, RowPane.of(pane.state)))
        except StateError as error:
            _logger.warning("the window at %d us is left out: %s", pane.start_us, error)
    return found


@dataclass(frozen=True)
class KeepRows:
    """Keeps the panes and says how many there are; see `sparsewatch.transforms.window.close_windows.LookBack`."""

    panes: int

    def __call__(self, pane: Pane, earlier: Sequence[Pane]) -> Conclusion:
        """See `sparsewatch.transforms.window.close_windows.LookBack`."""
        kept = readable([*earlier, pane])
        learned = [state for one, state in kept if one.learned]
        told = {"windows": len(kept), "learned": len(learned), "learned_rows": sum(state.rows for state in learned)}
        return Conclusion(told["learned_rows"], {"kept": told}, findings=[], metrics=[])

    def close(self) -> None:
        """See `sparsewatch.transforms.window.close_windows.LookBack`; it holds nothing open."""
