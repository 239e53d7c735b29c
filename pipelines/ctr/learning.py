"""The baseline that a click-through job without a reference learns of its own windows, and what it finds by it.

Which windows are learned, and of which subjects, is said in `sparsewatch.detectors.clicks.learned`; the rules are those
of a reference (`sparsewatch.detectors.clicks.checks`). A window is kept with a sample of its values where they are
many, so that what a job remembers is bounded whatever its number of features. Rows and clicks of windows further back
are kept, too: hours of the day, or of the week, are learned of them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.clicks.baselines import with_baseline
from sparsewatch.detectors.clicks.checks import check_window
from sparsewatch.detectors.clicks.learned import (
    KEPT_NEWEST,
    RENEWAL,
    STREAM,
    LearnedWindow,
    Marked,
    chosen,
    fit_learned,
    ordered,
    renewed_us,
    spare,
    suspects,
)
from sparsewatch.detectors.clicks.profile import profile_window
from sparsewatch.detectors.clicks.reference import Reference
from sparsewatch.detectors.clicks.rhythm import Figures, fit_rhythm
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.outrank.ranking import RankedFeature
from sparsewatch.pipelines.ctr.settings import LearningSettings
from sparsewatch.pipelines.ctr.sliding import ClickPane
from sparsewatch.schemas.alerts import Finding, counted
from sparsewatch.schemas.incidents import Member
from sparsewatch.schemas.orders import Order
from sparsewatch.schemas.stored import Format
from sparsewatch.transforms.window.job_metrics import baseline_metrics
from sparsewatch.transforms.window.measure import Conclusion, Window
from sparsewatch.transforms.window.panes import Pane, PaneState, decode_panes

FORMAT = Format("a learned window of clicks")
#: Values of all features in all windows that are kept: 24 bytes each for numbers, 40 to 80 for text.
_CELLS = 2_000_000
#: Windows whose rows and clicks are kept: a week of windows of five minutes.
_HISTORY = 2_016


class LearnedPane(PaneState, frozen=True, array_like=True, kw_only=True):
    """Saved state of a window of clicks that may be learned."""

    stored: ClassVar[Format] = FORMAT

    #: Subjects on which something was wrong.
    suspect: list[str]
    ranking: list[RankedFeature]
    #: Bytes of its `FeatureCounts`, thinned.
    counts: bytes
    #: Start, rows and clicks of the last windows with nothing wrong on the stream, this one among them: int64, shape
    #: (n_windows, 3).
    history: bytes


class _Kept(NamedTuple):
    """A window that is kept, decoded once."""

    state: bytes
    pane: LearnedPane


@dataclass(frozen=True)
class LearnedBaseline:
    """See `sparsewatch.transforms.window.measure.Learning`."""

    features: tuple[str, ...]
    settings: LearningSettings
    checks: ClickThresholds
    _kept: dict[int, _Kept] = field(default_factory=dict, compare=False, repr=False)
    _windows: dict[int, LearnedWindow] = field(default_factory=dict, compare=False, repr=False)
    #: The last baseline, by the windows that it was fitted to.
    _fitted: dict[Any, Reference | None] = field(default_factory=dict, compare=False, repr=False)

    @property
    def size(self) -> int:
        """See `sparsewatch.transforms.window.measure.Learning`."""
        return 2 * self.settings.windows + RENEWAL + KEPT_NEWEST

    def __call__(self, window: Window, found: Conclusion, kept: Sequence[Pane], orders: Sequence[Order]) -> Conclusion:
        """See `sparsewatch.transforms.window.measure.Learning`."""
        of = self._chosen(window, kept, orders)
        reference = self._baseline(window, kept, of)
        state = {"windows": len(of[STREAM]), "needed": self.settings.least}
        metrics = baseline_metrics(len(of[STREAM]), self.settings.least)
        if reference is None:
            return Conclusion(summary={"baseline": {"kind": "learning", **state}}, metrics=metrics)
        learning = sorted(set(self.features) - set(reference.features))
        since = min(of[STREAM], default=window.start_us)
        summary = {"baseline": {"kind": "learned", **state, "since_us": since, "learning": learning}}
        return Conclusion(summary=summary, metrics=metrics, findings=self._findings(window, found, reference))

    def learn(
        self, window: Window, found: Conclusion, kept: Sequence[Pane], wrong: Sequence[Finding | Member]
    ) -> bytes | None:
        """See `sparsewatch.transforms.window.measure.Learning`."""
        if not window.complete or found.pane is None:
            return None
        own = ClickPane.of(found.pane)
        counts = FeatureCounts.from_bytes(own.counts)
        suspect = suspects(wrong) & {STREAM, *self.features}
        learned = LearnedPane(
            suspect=sorted(suspect),
            ranking=own.ranking,
            counts=counts.thinned(_CELLS // self.size).to_bytes(),
            history=self._history(window, counts, kept, suspect).tobytes(),
        )
        return learned.to_bytes()

    def spare(self, kept: Sequence[Pane]) -> Pane:
        """See `sparsewatch.transforms.window.measure.Learning`."""
        start_us = spare(self._marked(kept), self.features, self.settings.windows)
        return next((pane for pane in kept if pane.start_us == start_us), kept[0])

    def _findings(self, window: Window, found: Conclusion, reference: Reference) -> list[Finding]:
        own = ClickPane.of(found.pane or b"")
        counts = FeatureCounts.from_bytes(own.counts)
        profile = profile_window(counts, own.ranking, reference.known_values, reference.hash_limits)
        findings = check_window(
            counts, profile, reference, self.checks, complete=window.complete, start_us=window.start_us
        )
        # Few rows are found by the job's own volume, which remembers more windows.
        explained = {(finding.rule, finding.subject) for finding in found.findings} | {("volume_low", STREAM)}
        told = {finding.subject for finding in found.findings} - {STREAM}
        own_findings = [one for one in findings if (one.rule, one.subject) not in explained and one.subject not in told]
        return with_baseline(own_findings, reference, "learned", None)

    def _chosen(self, window: Window, kept: Sequence[Pane], orders: Sequence[Order]) -> dict[str, tuple[int, ...]]:
        boundary_us = renewed_us(window.start_us, window.end_us - window.start_us)
        return chosen(ordered(self._marked(kept), orders), self.features, self.settings.windows, boundary_us)

    def _baseline(self, window: Window, kept: Sequence[Pane], of: dict[str, tuple[int, ...]]) -> Reference | None:
        starts = sorted({start for own in of.values() for start in own})
        key = (tuple(of.values()), renewed_us(window.start_us, window.end_us - window.start_us))
        if key not in self._fitted:
            self._fitted.clear()
            self._fitted[key] = self._fit(window, kept, of, starts)
        return self._fitted[key]

    def _fit(
        self, window: Window, kept: Sequence[Pane], of: dict[str, tuple[int, ...]], starts: Sequence[int]
    ) -> Reference | None:
        for gone in set(self._windows) - set(starts):
            del self._windows[gone]
        windows = [self._windows.setdefault(start, self._decoded(start)) for start in starts]
        length_us = window.end_us - window.start_us
        reference = fit_learned(windows, of, length_us, self.settings.least)
        if reference is None:
            return None
        history = _last_history(self._panes(kept))
        volume, rate = (Figures(*_columns(history, share=share), share) for share in (False, True))
        return msgspec.structs.replace(
            reference,
            name=f"the {counted(reference.windows, 'window')} before",
            volume_by_hour=fit_rhythm(volume, length_us),
            click_rate_by_hour=fit_rhythm(rate, length_us),
        )

    def _decoded(self, start_us: int) -> LearnedWindow:
        pane = self._kept[start_us].pane
        counts = FeatureCounts.from_bytes(pane.counts)
        return LearnedWindow(start_us, counts, profile_window(counts, pane.ranking, None))

    def _marked(self, kept: Sequence[Pane]) -> list[Marked]:
        return [Marked(start_us, frozenset(pane.suspect)) for start_us, pane in self._panes(kept)]

    def _panes(self, kept: Sequence[Pane]) -> list[tuple[int, LearnedPane]]:
        """The windows that are kept, decoded, oldest first; without those of other settings."""
        for gone in set(self._kept) - {pane.start_us for pane in kept}:
            del self._kept[gone]
        news = [
            pane
            for pane in kept
            if pane.start_us not in self._kept or self._kept[pane.start_us].state is not pane.state
        ]
        for pane, learned in decode_panes(news, LearnedPane):
            if {one.feature for one in learned.ranking} == set(self.features):
                self._kept[pane.start_us] = _Kept(pane.state, learned)
                self._windows.pop(pane.start_us, None)
        return [(pane.start_us, self._kept[pane.start_us].pane) for pane in kept if pane.start_us in self._kept]

    def _history(
        self, window: Window, counts: FeatureCounts, kept: Sequence[Pane], suspect: Collection[str]
    ) -> NDArray[np.int64]:
        before = _last_history(self._panes(kept))
        if STREAM in suspect:
            return before
        own = np.array([[window.start_us, counts.rows, counts.clicks]], np.int64)
        return np.concatenate([before, own])[-_HISTORY:]


def _last_history(panes: Sequence[tuple[int, LearnedPane]]) -> NDArray[np.int64]:
    return np.frombuffer(panes[-1][1].history if panes else b"", np.int64).reshape(-1, 3)


def _columns(
    history: NDArray[np.int64], *, share: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    rows = history[:, 1].astype(np.float64)
    return (history[:, 2] / rows if share else rows), rows, history[:, 0]
