"""What a rows job learns of its own windows beside its model: how far they go that the model finds odd for long.

The model stays as it was trained. Which windows are learned of which subjects is said in
`sparsewatch.detectors.learned_windows`, what is usual by them in `sparsewatch.detectors.rows.windows.usual`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from sparsewatch.detectors.learned_windows import STREAM, Marked, slots, suspects
from sparsewatch.detectors.rows.windows.checks import SUBJECT
from sparsewatch.detectors.rows.windows.thresholds import RowCheck
from sparsewatch.detectors.rows.windows.usual import JUDGED, Level, levels_of, usual_findings
from sparsewatch.pipelines.job.beside_model import baseline_record, chosen_beside, decoded, own_state, spare_pane
from sparsewatch.pipelines.job.learning import LearningSettings
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.incidents import Member
from sparsewatch.schemas.metrics import USUAL_FINDINGS
from sparsewatch.schemas.orders import Order
from sparsewatch.schemas.stored import Format
from sparsewatch.transforms.window.measure import Conclusion, Window
from sparsewatch.transforms.window.panes import Pane, PaneState

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
        panes = decoded(kept, LearnedRows)
        of = chosen_beside(window, _marked(panes), self._subjects, self.settings, orders)
        learned = {name: [panes[start].levels for start in starts] for name, starts in of.items()}
        findings = own_state(found, LearnedRows).findings
        usual = usual_findings(findings, learned, self.settings.least, self.check)
        named = [f"{one.rule} {one.subject}" for one in usual]
        return Conclusion(
            summary={"baseline": baseline_record(of, self.settings, named)},
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
        return LearnedRows(
            suspect=tuple(sorted(own)), levels=levels_of(own_state(found, LearnedRows).findings)
        ).to_bytes()

    def spare(self, kept: Sequence[Pane]) -> Pane:
        """See `sparsewatch.transforms.window.measure.Learning`."""
        return spare_pane(kept, _marked(decoded(kept, LearnedRows)), self._subjects, self.settings)

    @property
    def _subjects(self) -> tuple[str, ...]:
        return (SUBJECT, *self.columns)


def _marked(panes: dict[int, LearnedRows]) -> list[Marked]:
    return [Marked(start_us, frozenset(pane.suspect)) for start_us, pane in panes.items()]
