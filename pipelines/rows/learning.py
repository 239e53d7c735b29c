"""What a rows job learns of its own windows beside its model: how far they go that the model finds odd for long.

The model stays as it was trained. Which windows are learned of which subjects is said in
`sparsewatch.detectors.learned_windows`, what is usual by them in `sparsewatch.detectors.rows.windows.usual`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from sparsewatch.detectors.learned_windows import (
    STREAM,
    Marked,
    Renewed,
    Size,
    chosen,
    ordered,
    slots,
    spare,
    suspects,
)
from sparsewatch.detectors.rows.windows.checks import SUBJECT
from sparsewatch.detectors.rows.windows.thresholds import RowCheck
from sparsewatch.detectors.rows.windows.usual import JUDGED, Level, levels_of, usual_findings
from sparsewatch.pipelines.job.learning import BESIDE_MODEL, LearningSettings
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.incidents import Member
from sparsewatch.schemas.metrics import USUAL_FINDINGS
from sparsewatch.schemas.orders import Order
from sparsewatch.schemas.stored import Format
from sparsewatch.transforms.window.measure import Conclusion, Window
from sparsewatch.transforms.window.panes import Pane, PaneState, decode_panes

FORMAT = Format("a learned window of rows")


class LearnedRows(PaneState, frozen=True, array_like=True, kw_only=True):
    """What is kept of a window: some hundred bytes."""

    stored: ClassVar[Format] = FORMAT

    #: Subjects on which something was wrong.
    suspect: tuple[str, ...]
    #: What the model found, told or not.
    levels: tuple[Level, ...]
    #: The findings themselves, before it is decided which are told; none of them is kept.
    findings: tuple[Finding, ...] = ()


def learnable(findings: Sequence[Finding]) -> tuple[list[Finding], bytes]:
    """Findings of a window that are told whatever was learned; and the others, which are decided in order."""
    told = [one for one in findings if one.rule not in JUDGED]
    judged = tuple(one for one in findings if one.rule in JUDGED)
    return told, LearnedRows(suspect=(), levels=(), findings=judged).to_bytes()


@dataclass(frozen=True)
class LearnedUsual:
    """See `sparsewatch.transforms.window.measure.Learning`.

    Args:
        columns: That the model may score.
        settings: How many windows.
        check: Levels and least effects.
    """

    columns: tuple[str, ...]
    settings: LearningSettings
    check: RowCheck

    @property
    def size(self) -> int:
        """See `sparsewatch.transforms.window.measure.Learning`."""
        return slots(self.settings.windows)

    def __call__(self, window: Window, found: Conclusion, kept: Sequence[Pane], orders: Sequence[Order]) -> Conclusion:
        """See `sparsewatch.transforms.window.measure.Learning`."""
        panes = _decoded(kept)
        of = self._chosen(window, panes, orders)
        learned = {name: [panes[start].levels for start in starts] for name, starts in of.items()}
        findings, needed = _findings(found), self.settings.least
        usual = usual_findings(findings, learned, needed, self.check)
        state = {"windows": len(of[STREAM]), "needed": needed, "since_us": min(of[STREAM], default=None)}
        named = [f"{one.rule} {one.subject}" for one in usual]
        return Conclusion(
            summary={"baseline": {"kind": BESIDE_MODEL, **state, "usual": named}},
            metrics=[USUAL_FINDINGS.sample(len(usual))],
            findings=[one for one in findings if one not in usual],
        )

    def learn(
        self, window: Window, found: Conclusion, kept: Sequence[Pane], wrong: Sequence[Finding | Member]
    ) -> bytes | None:
        """See `sparsewatch.transforms.window.measure.Learning`."""
        del kept
        if not window.complete:
            return None
        own = suspects(wrong) & {STREAM, *self._subjects}
        return LearnedRows(suspect=tuple(sorted(own)), levels=levels_of(_findings(found))).to_bytes()

    def spare(self, kept: Sequence[Pane]) -> Pane:
        """See `sparsewatch.transforms.window.measure.Learning`."""
        start_us = spare(_marked(_decoded(kept)), self._subjects, self.settings.windows)
        return next((pane for pane in kept if pane.start_us == start_us), kept[0])

    @property
    def _subjects(self) -> tuple[str, ...]:
        return (SUBJECT, *self.columns)

    def _chosen(
        self, window: Window, panes: dict[int, LearnedRows], orders: Sequence[Order]
    ) -> dict[str, tuple[int, ...]]:
        # Levels are a few numbers: their baseline is renewed with every window.
        size, renewed = Size(self.settings.least, self.settings.windows), Renewed(window.start_us, window.start_us)
        return chosen(ordered(_marked(panes), orders), self._subjects, size, renewed)


def _findings(found: Conclusion) -> tuple[Finding, ...]:
    return LearnedRows.from_bytes(found.learnable or b"").findings


def _decoded(kept: Sequence[Pane]) -> dict[int, LearnedRows]:
    return {pane.start_us: state for pane, state in decode_panes(kept, LearnedRows)}


def _marked(panes: dict[int, LearnedRows]) -> list[Marked]:
    return [Marked(start_us, frozenset(pane.suspect)) for start_us, pane in panes.items()]
