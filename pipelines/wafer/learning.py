"""What a wafer job learns of its own windows beside its model: what share of wafers shows each pattern.

The model stays as it was trained. Which windows are learned of which patterns is said in
`sparsewatch.detectors.learned_windows`, what is usual by them in `sparsewatch.detectors.wafers.usual_rates`. Wafers
that look unknown are told by the model's own rate until enough windows are learned; from then on only where they are
more than usual, too: wafers of a product that the model knows badly look unknown in window after window.

Lots differ, and one in which many wafers show a pattern comes and goes. So a short excess, of `BLIP` windows, is
learned once its incident is over. Were it not, a share that goes up and down would be told anew for ever, since what is
usual would be learned of its low windows alone. One or two of them among 24 change nothing
(`sparsewatch.detectors.clicks.outlying`). What lasts is not learned unless a person accepts it, or it outlasts a
baseline that is not whole yet.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

import msgspec

from sparsewatch.detectors.learned_windows import STREAM, Marked, slots, suspects
from sparsewatch.detectors.wafers.concentration import Concentration
from sparsewatch.detectors.wafers.lots import UNKNOWN
from sparsewatch.detectors.wafers.thresholds import WaferCheck
from sparsewatch.detectors.wafers.usual_rates import Groups, Shown, Unusual, same_before, unusual, unusual_finding
from sparsewatch.detectors.wafers.window_counts import NOVEL, SUBJECT
from sparsewatch.pipelines.job.beside_model import baseline_record, chosen_beside, decoded, own_state, spare_pane
from sparsewatch.pipelines.job.learning import LearningSettings
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.incidents import Member
from sparsewatch.schemas.orders import Order
from sparsewatch.schemas.stored import Format
from sparsewatch.transforms.window.job_metrics import baseline_metrics
from sparsewatch.transforms.window.measure import Conclusion, Window
from sparsewatch.transforms.window.panes import Pane, PaneState

FORMAT = Format("a learned window of wafers")
#: Windows in a row in which an excess was found and that are learned all the same, once it is over.
BLIP = 2


class LearnedWafers(PaneState, frozen=True, array_like=True, kw_only=True):
    """What is kept of a window: 100 bytes, and as many for each tool and step."""

    stored: ClassVar[Format] = FORMAT

    #: What its wafers show.
    shown: tuple[Shown, ...]
    #: Subjects on which something was wrong, in it or by an incident that fired; and those of the former.
    suspect: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    #: Of a window that is judged: that many wafers look unknown to the model, and where each pattern is; not kept.
    novel: Finding | None = None
    places: dict[str, Concentration] = msgspec.field(default_factory=dict)


def learnable(
    findings: Sequence[Finding], shown: tuple[Shown, ...], places: Mapping[str, Concentration]
) -> tuple[list[Finding], bytes]:
    """Findings of a window that are told whatever was learned; and what is decided in order."""
    novel = next((one for one in findings if one.rule == NOVEL), None)
    told = [one for one in findings if one is not novel]
    return told, LearnedWafers(shown=shown, novel=novel, places=dict(places)).to_bytes()


@dataclass(frozen=True)
class LearnedRates:
    """See `sparsewatch.transforms.window.measure.Learning`.

    Args:
        settings: How many windows.
        check: Levels, least numbers, and the rates that are stated: those patterns are not learned.
        normal: Name of the pattern of normal wafers; empty if there is none.
    """

    settings: LearningSettings
    check: WaferCheck
    normal: str

    @property
    def size(self) -> int:
        """See `sparsewatch.transforms.window.measure.Learning`."""
        return slots(self.settings.windows)

    def __call__(self, window: Window, found: Conclusion, kept: Sequence[Pane], orders: Sequence[Order]) -> Conclusion:
        """See `sparsewatch.transforms.window.measure.Learning`."""
        own, panes = own_state(found, LearnedWafers), decoded(kept, LearnedWafers)
        of = chosen_beside(window, _marked(panes), _subjects(panes.values()), self.settings, orders)
        groups = {start: {one.group: one for one in pane.shown} for start, pane in panes.items()}

        def before(pattern: str) -> dict[int, Groups]:
            return {start: groups[start] for start in of.get(subject_of(pattern), of[STREAM])}

        more = unusual(own.shown, before, self.settings.least, self.check, self.normal)
        is_learned = len(same_before(own.shown[0], before(UNKNOWN))) >= self.settings.least
        is_more = UNKNOWN in more and not more[UNKNOWN].of
        novel = [own.novel] if own.novel is not None and (is_more or not is_learned) else []
        usual = [] if own.novel is None or novel else [f"{NOVEL} {SUBJECT}"]
        return Conclusion(
            summary={"baseline": baseline_record(of, self.settings, usual)},
            metrics=baseline_metrics(len(of[STREAM]), self.settings.least),
            findings=novel + self._told(own, [*found.findings, *novel], more),
        )

    def learn(
        self, window: Window, found: Conclusion, kept: Sequence[Pane], wrong: Sequence[Finding | Member]
    ) -> bytes | None:
        """See `sparsewatch.transforms.window.measure.Learning`."""
        own = own_state(found, LearnedWafers)
        if not window.complete or not own.shown[0].wafers:
            return None
        subjects = {STREAM, *_subjects([own, *decoded(kept, LearnedWafers).values()])}
        in_it = [one for one in wrong if isinstance(one, Finding)]
        suspect, of_it = (tuple(sorted(suspects(some) & subjects)) for some in (wrong, in_it))
        return LearnedWafers(shown=own.shown, suspect=suspect, found=of_it).to_bytes()

    def spare(self, kept: Sequence[Pane]) -> Pane:
        """See `sparsewatch.transforms.window.measure.Learning`."""
        panes = decoded(kept, LearnedWafers)
        return spare_pane(kept, _marked(panes), _subjects(panes.values()), self.settings)

    def _told(self, own: LearnedWafers, found: Sequence[Finding], more: Mapping[str, Unusual]) -> list[Finding]:
        """Of what is unusual, what is to be told beside what was found by the model and the rates that are stated."""
        stated = {UNKNOWN, *self.check.expected_rates}
        told = {(one.rule, one.subject) for one in found}
        findings = [
            unusual_finding(one, own.places.get(pattern))
            for pattern, one in sorted(more.items())
            if one.of or pattern not in stated
        ]
        return [one for one in findings if (one.rule, one.subject) not in told]


def subject_of(pattern: str) -> str:
    """What findings on a pattern are about, and orders: of novel wafers all wafers."""
    return pattern or SUBJECT


def _subjects(panes: Iterable[LearnedWafers]) -> list[str]:
    patterns = {pattern for pane in panes for shown in pane.shown for pattern in shown.patterns}
    return sorted({SUBJECT, *map(subject_of, patterns)})


def _marked(panes: dict[int, LearnedWafers]) -> list[Marked]:
    """The windows, with what each is not to be learned of: not short excesses that are over."""
    names = {name for pane in panes.values() for name in pane.suspect} - {STREAM}
    over = {name: frozenset(_over(panes, name)) for name in names}
    return [
        Marked(start, frozenset(name for name in pane.suspect if start not in over.get(name, ())))
        for start, pane in panes.items()
    ]


def _over(panes: dict[int, LearnedWafers], subject: str) -> Iterator[int]:
    """Starts of the windows of short excesses that are over."""
    for is_suspect, run in groupby(panes.items(), lambda one: subject in one[1].suspect):
        windows = list(run)
        if is_suspect and windows[-1][0] != max(panes) and _longest([pane for _, pane in windows], subject) <= BLIP:
            yield from (start for start, _ in windows)


def _longest(panes: Sequence[LearnedWafers], subject: str) -> int:
    """Most windows in a row in which something was found on a subject itself."""
    runs = groupby(panes, lambda pane: subject in pane.found)
    return max((len(list(run)) for is_found, run in runs if is_found), default=0)
