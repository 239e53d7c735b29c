"""The baseline that a click-through job without a reference learns of its own windows, and what it finds by it.

Which windows are learned of which subjects is said in `sparsewatch.detectors.learned_windows`; the rules are those
of a reference (`sparsewatch.detectors.clicks.checks`). A window is kept with a sample of its values where they are
many, so that what a job remembers is bounded whatever its number of features. Rows and clicks of windows further back
are kept, too: hours of the day, or of the week, are learned of them.
"""

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.clicks.baselines import told_of, with_baseline
from sparsewatch.detectors.clicks.calibration import calibration_of
from sparsewatch.detectors.clicks.checks import check_window
from sparsewatch.detectors.clicks.determined import Link, fit_determined, sought
from sparsewatch.detectors.clicks.determined_checks import check_determined
from sparsewatch.detectors.clicks.learned import LearnedWindow, fit_learned
from sparsewatch.detectors.clicks.located import Samples, locate
from sparsewatch.detectors.clicks.past import Past
from sparsewatch.detectors.clicks.profile import WindowFigures, profile_window
from sparsewatch.detectors.clicks.reference import Reference
from sparsewatch.detectors.clicks.repeated_rows import Repeats, check_repeats, fit_pairs
from sparsewatch.detectors.clicks.rhythm import fit_rhythm
from sparsewatch.detectors.clicks.slow_changes import observed
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.clicks.timely import timely
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.window_values import WindowValues
from sparsewatch.detectors.learned_windows import (
    STREAM,
    Marked,
    Renewed,
    Size,
    chosen,
    good_windows,
    ordered,
    slots,
    spare,
    suspects,
)
from sparsewatch.pipelines.ctr.learned_pane import LearnedPane, OwnWindow
from sparsewatch.pipelines.job.learning import LearningSettings
from sparsewatch.schemas.alerts import Finding, counted
from sparsewatch.schemas.incidents import Member
from sparsewatch.schemas.orders import Order
from sparsewatch.schemas.slow_changes import Observed
from sparsewatch.transforms.window.job_metrics import baseline_metrics
from sparsewatch.transforms.window.measure import Conclusion, Window
from sparsewatch.transforms.window.panes import Pane, decode_panes

#: Values of all features in all windows that are kept: 24 bytes each for numbers, 40 to 80 for text.
_CELLS = 2_000_000
#: Windows whose rows and clicks are kept: a week of windows of five minutes.
_HISTORY = 2_016


@dataclass(frozen=True)
class _Rows:
    """Sampled rows of the windows that a baseline is fitted to; they are needed only where something is found."""

    panes: Sequence[tuple[int, LearnedPane]]

    def repeats(self) -> Repeats | None:
        """How they repeat one another."""
        return fit_pairs([pane.repeats(start_us) for start_us, pane in self.panes])

    @functools.cached_property
    def whole(self) -> pa.RecordBatch | None:
        """The rows; None without one."""
        tables = [pane.rows() for _, pane in self.panes]
        if not sum(table.num_rows for table in tables):
            return None
        return pa.concat_tables(tables, promote_options="permissive").combine_chunks().to_batches()[0]


class _Baseline(NamedTuple):
    """What a window is compared with."""

    reference: Reference
    #: The same with the click rate of the whole history, for changes that many windows show.
    slow: Reference
    rows: _Rows
    #: Rows of the windows of a subject of which others are learned than of the stream: during a fault those before it.
    own_rows: Mapping[str, _Rows]

    def rows_of(self, subject: str) -> pa.RecordBatch | None:
        """Rows of the windows that a subject was learned of; None without one."""
        return self.own_rows.get(subject, self.rows).whole


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
    #: Feature that predicts the label, if one does.
    prediction: str | None = None
    _kept: dict[int, _Kept] = field(default_factory=dict, compare=False, repr=False)
    _windows: dict[int, LearnedWindow] = field(default_factory=dict, compare=False, repr=False)
    #: The last baseline, by the windows that it was fitted to.
    _fitted: dict[Any, "_Baseline | None"] = field(default_factory=dict, compare=False, repr=False)
    #: The last window that was judged, by its state: it is learned next.
    _judged: dict[bytes, OwnWindow] = field(default_factory=dict, compare=False, repr=False)

    @property
    def size(self) -> int:
        """See `sparsewatch.transforms.window.measure.Learning`."""
        return slots(self.settings.windows)

    def __call__(self, window: Window, found: Conclusion, kept: Sequence[Pane], orders: Sequence[Order]) -> Conclusion:
        """See `sparsewatch.transforms.window.measure.Learning`."""
        marked = ordered(self._marked(kept), orders)
        of = self._chosen(window, marked)
        baseline = self._baseline(window, marked, of)
        state = {"windows": len(of[STREAM]), "needed": self.settings.least}
        metrics = baseline_metrics(len(of[STREAM]), self.settings.least)
        if baseline is None:
            return Conclusion(summary={"baseline": {"kind": "learning", **state}}, metrics=metrics)
        own = self._own(found)
        learning = sorted(set(self.features) - set(baseline.reference.features))
        since = min(of[STREAM], default=window.start_us)
        return Conclusion(
            summary={
                "baseline": {
                    "kind": "learned",
                    **state,
                    "since_us": since,
                    "learning": learning,
                    "timely": timely(baseline.reference.features),
                }
            },
            metrics=metrics,
            findings=self._findings(window, found, own, baseline),
            observed=self._watched(window, own, baseline),
        )

    def learn(
        self, window: Window, found: Conclusion, kept: Sequence[Pane], wrong: Sequence[Finding | Member]
    ) -> bytes | None:
        """See `sparsewatch.transforms.window.measure.Learning`."""
        if not window.complete:
            return None
        own = self._own(found)
        self._judged.clear()
        suspect = suspects(wrong) & {STREAM, *self.features}
        learned = LearnedPane(
            suspect=sorted(suspect),
            ranking=msgspec.Raw(msgspec.msgpack.encode(own.pane.ranking)),
            counts=memoryview(own.counts.thinned(_CELLS // self.size).to_bytes()),
            history=self._history(window, own.counts, kept, suspect).tobytes(),
            sample=memoryview(own.pane.learned_rows),
            pairs=own.pane.learned_pairs,
            calibration=calibration_of(own.counts, self.prediction),
        )
        return learned.to_bytes()

    def spare(self, kept: Sequence[Pane]) -> Pane:
        """See `sparsewatch.transforms.window.measure.Learning`."""
        start_us = spare(self._marked(kept), self.features, self.settings.windows)
        return next((pane for pane in kept if pane.start_us == start_us), kept[0])

    def _own(self, found: Conclusion) -> OwnWindow:
        state = found.learnable or b""
        if state not in self._judged:
            self._judged.clear()
            self._judged[state] = OwnWindow.of(state)
        return self._judged[state]

    def _findings(self, window: Window, found: Conclusion, own: OwnWindow, baseline: "_Baseline") -> list[Finding]:
        reference = baseline.reference
        matched = reference.known.match(own.counts)
        unseen = reference.known.unseen_shares(own.counts, matched)
        findings = check_window(
            own.counts,
            profile_window(own.counts, own.pane.ranking, unseen, prediction=self.prediction),
            reference,
            self.checks,
            matched=matched,
            complete=window.complete,
            start_us=window.start_us,
        )
        findings += self._repeated([*found.findings, *findings], own, reference)
        if reference.determined and own.pane.sample:
            subjects = {one.subject for one in (*found.findings, *findings)}
            findings += check_determined(own.rows, reference.determined, self.checks, subjects, reference.name)
        explained = {(finding.rule, finding.subject) for finding in found.findings}
        if reference.volume_by_hour is None:
            # Few rows are found by the job's own volume, which remembers more windows, but no hours.
            explained.add(("volume_low", STREAM))
        told = {finding.subject for finding in found.findings} - {STREAM}
        news = [one for one in findings if (one.rule, one.subject) not in explained and one.subject not in told]
        return self._located(with_baseline(news, reference, "learned", None), own, baseline)

    def _repeated(self, found: Sequence[Finding], own: OwnWindow, reference: Reference) -> list[Finding]:
        # Where values moved or went missing, rows are more alike for that; while copies of rows give it a signal.
        moved = [one for one in found if one.subject in self.features and not one.rule.startswith("feature_signal_")]
        if moved or own.pane.repeated is None or reference.repeats is None:
            return []
        repeated = check_repeats(own.pane.repeated, own.counts.rows, reference.repeats, self.checks)
        return [] if repeated is None else [repeated]

    def _located(self, findings: list[Finding], own: OwnWindow, baseline: "_Baseline") -> list[Finding]:
        if not findings or not own.pane.sample:
            return findings
        return locate(findings, Samples.of(own.counts, own.rows, baseline.reference), baseline.rows_of)

    def _watched(self, window: Window, own: OwnWindow, baseline: "_Baseline") -> Observed | None:
        if not window.complete:
            return None
        settings = msgspec.structs.replace(self.checks, slow_nulls=0.0)
        baseline_told = told_of(baseline.slow, "learned", None)
        return observed(own.counts, baseline.slow, settings, (window.start_us, window.end_us), baseline_told)

    def _chosen(self, window: Window, marked: Sequence[Marked]) -> dict[str, tuple[int, ...]]:
        renewed = Renewed.at(window.start_us, window.end_us - window.start_us)
        size = Size(self.settings.least, self.settings.windows)
        return chosen(marked, self.features, size, renewed)

    def _baseline(self, window: Window, marked: Sequence[Marked], of: dict[str, tuple[int, ...]]) -> "_Baseline | None":
        starts = sorted({start for own in of.values() for start in own})
        good = good_windows(marked, of, starts)
        key = (tuple(of.values()), *good.items())
        if key not in self._fitted:
            self._fitted.clear()
            self._fitted[key] = self._fit(window, of, starts, good)
        return self._fitted[key]

    def _fit(
        self,
        window: Window,
        of: dict[str, tuple[int, ...]],
        starts: Sequence[int],
        good: dict[str, tuple[int, ...]],
    ) -> "_Baseline | None":
        if len(of[STREAM]) < self.settings.least:
            return None
        for gone in set(self._windows) - set(starts):
            del self._windows[gone]
        for start in set(starts) - set(self._windows):
            self._windows[start] = self._decoded(start)
        windows, length_us = [self._windows[start] for start in starts], window.end_us - window.start_us
        reference = fit_learned(windows, of, length_us, self.settings.least)
        # What the newest of its windows knew: that of a later one would depend on when the baseline is fitted.
        past, rows = Past.of(_history_of(self._kept[of[STREAM][-1]].pane)), self._rows(of[STREAM])
        reference = msgspec.structs.replace(
            past.judged(reference),
            name=f"the {counted(reference.windows, 'window')} before",
            volume_by_hour=fit_rhythm(past.volume, length_us),
            click_rate_by_hour=fit_rhythm(past.click_rate, length_us),
            repeats=rows.repeats(),
            determined=self._determined(starts, good, reference),
        )
        own = {name: self._rows(starts) for name, starts in of.items() if starts != of[STREAM]}
        return _Baseline(reference, past.of_click_rate(reference), rows, own)

    def _rows(self, starts: Sequence[int]) -> _Rows:
        """Rows of the windows in which nothing was wrong with anything; of all, if these are fewer than half."""
        panes = [(start, self._kept[start].pane) for start in starts]
        good = [one for one in panes if not one[1].suspect]
        chosen_panes = good if 2 * len(good) >= len(panes) else panes
        return _Rows([one for one in chosen_panes if one[1].sample])

    def _determined(
        self, starts: Sequence[int], good: dict[str, tuple[int, ...]], reference: Reference
    ) -> tuple[Link, ...]:
        signals = {name: feature.normalised.mean for name, feature in reference.features.items()}
        names = sought(signals)
        sampled = [start for start in starts if self._kept[start].pane.sample]
        if not sampled:
            return ()
        tables = [self._kept[start].pane.rows(names) for start in sampled]
        rows = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
        begun = np.repeat(np.array(sampled, np.int64), [table.num_rows for table in tables])
        return fit_determined(rows.to_batches()[0], begun, names, good) if rows.num_rows else ()

    def _decoded(self, start_us: int) -> LearnedWindow:
        pane = self._kept[start_us].pane
        values = WindowValues(FeatureCounts.from_bytes(pane.counts))
        return LearnedWindow(start_us, values, WindowFigures.of(values, pane.ranked(), pane.calibration))

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
            if {one.feature for one in learned.ranked()} == set(self.features):
                self._kept[pane.start_us] = _Kept(pane.state, learned)
                self._windows.pop(pane.start_us, None)
        return [(pane.start_us, self._kept[pane.start_us].pane) for pane in kept if pane.start_us in self._kept]

    def _history(
        self, window: Window, counts: FeatureCounts, kept: Sequence[Pane], suspect: Collection[str]
    ) -> NDArray[np.int64]:
        panes = self._panes(kept)
        before = _history_of(panes[-1][1]) if panes else np.zeros((0, 3), np.int64)
        if STREAM in suspect:
            return before
        own = np.array([[window.start_us, counts.rows, counts.clicks]], np.int64)
        return np.concatenate([before, own])[-_HISTORY:]


def _history_of(pane: LearnedPane) -> NDArray[np.int64]:
    return np.frombuffer(pane.history, np.int64).reshape(-1, 3)
