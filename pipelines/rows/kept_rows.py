"""Saved state of a window of rows: a sample to retrain from."""

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
    """Saves the panes and reports their number; see `sparsewatch.transforms.window.measure.LookBack`."""

    panes: int

    def __call__(self, pane: Pane, earlier: Sequence[Pane]) -> Conclusion:
        """See `sparsewatch.transforms.window.measure.LookBack`."""
        saved = decode_panes([*earlier, pane], RowPane)
        learned = [state for one, state in saved if one.learned]
        numbers = {"windows": len(saved), "learned": len(learned), "learned_rows": sum(state.rows for state in learned)}
        return Conclusion(numbers["learned_rows"], {"kept": numbers}, findings=[], metrics=[])

    def close(self) -> None:
        """See `sparsewatch.transforms.window.measure.LookBack`; it holds nothing open."""
