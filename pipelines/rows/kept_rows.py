"""What a window of rows leaves behind: a sample to retrain from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from sparsewatch.schemas.stored import Format
from sparsewatch.transforms.window.measure import Conclusion
from sparsewatch.transforms.window.panes import Pane, PaneState, decode_panes

FORMAT = Format("the pane of a window of rows")


class RowPane(PaneState, frozen=True, array_like=True, kw_only=True):
    """State of the pane that a window of rows leaves."""

    stored: ClassVar[Format] = FORMAT

    rows: int
    #: Bytes of a `RowSample` of the job's scored columns.
    sample: bytes


@dataclass(frozen=True)
class KeepRows:
    """Keeps the panes and says how many there are; see `sparsewatch.transforms.window.measure.LookBack`."""

    panes: int

    def __call__(self, pane: Pane, earlier: Sequence[Pane]) -> Conclusion:
        """See `sparsewatch.transforms.window.measure.LookBack`."""
        kept = decode_panes([*earlier, pane], RowPane)
        learned = [state for one, state in kept if one.learned]
        told = {"windows": len(kept), "learned": len(learned), "learned_rows": sum(state.rows for state in learned)}
        return Conclusion(told["learned_rows"], {"kept": told}, findings=[], metrics=[])

    def close(self) -> None:
        """See `sparsewatch.transforms.window.measure.LookBack`; it holds nothing open."""
