"""Rules on one feature of one window, against a reference.

Each rule is a function of a `View` and returns a finding or None; `RULES` lists them from the strongest to the
weakest explanation of what happened.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import polars as pl

from sparsewatch.detectors.budget.chance import p_value
from sparsewatch.detectors.clicks.moved_values import EXAMPLES, Moved, most_moved, moved_at, shown, taker
from sparsewatch.detectors.clicks.number_shares import NumberMovement
from sparsewatch.detectors.clicks.profile import FeatureProfile, unseen_values
from sparsewatch.detectors.clicks.reference import FeatureReference, Reference
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.clicks.tolerances import (
    Information,
    Statistic,
    distinct_surprise,
    distinct_tolerance,
    information_tolerance,
    share_tolerance,
)
from sparsewatch.detectors.clicks.value_shares import Movement
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.schemas.alerts import Finding, Severity, counted


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One feature in one window, and its reference."""

    name: str
    counts: FeatureCounts
    figures: FeatureProfile
    reference: Reference
    settings: ClickThresholds
    #: How the shares of its values changed; None where the reference does not know them.
    movement: Movement | None = None
    #: Where its numbers lie and lay; None where they are counted by value.
    numbers: NumberMovement | None = None

    @property
    def before(self) -> FeatureReference:
        """The feature's reference."""
        return self.reference.features[self.name]

    @property
    def windows(self) -> int:
        """Windows of the feature's reference."""
        return self.before.windows(self.reference.windows)

    @property
    def listed(self) -> int:
        """Rows with a value."""
        return self.counts.rows - self.counts.nulls(self.name)

    def null_tolerance(self, z: float | None = None) -> float:
        """How far the share of rows without a value may lie from its reference, at the settings' `z` if absent."""
        z = self.settings.of_features if z is None else z
        return _null_tolerance(self.before, self.reference, self.counts.rows, z)

    def moved_values(self) -> list[Moved]:
        """The values whose shares of the rows with a value changed most, with these before and now."""
        if self.movement is None:
            return []
        found = most_moved(self.movement, self.counts.table(self.name).drop_nulls("value"))
        return [self.told(one) for one in found]

    def told(self, moved: Moved) -> Moved:
        """With the value as alerts show it."""
        return msgspec.structs.replace(moved, value=self.told_value(moved.value))

    def told_value(self, value: Any) -> Any:
        """A value as alerts show it."""
        return shown(self.counts.value_text(self.name, value))

    def cause(self) -> str:
        """Why rows lack a value, where values of another type have a part in it."""
        share = self.figures.mistyped_share
        return f"; {share:.1%} hold a value of another type" if share else ""

    def finding(
        self,
        rule: str,
        severity: Severity,
        value: float,
        threshold: float,
        baseline: float,
        message: str,
        p_value: float,
        **evidence: Any,
    ) -> Finding:
        """A finding on this feature."""
        return Finding(
            rule=rule,
            subject=self.name,
            severity=severity,
            value=value,
            threshold=threshold,
            baseline=baseline,
            message=f"{self.name}: {message}",
            evidence={
                "rows": self.counts.rows,
                "effect": value - baseline,
                **evidence,
                "moved": [msgspec.structs.asdict(one) for one in self.moved_values()],
            },
            p_value=p_value,
        )


def feature_vanished(view: View) -> Finding | None:
    """Nearly no row has a value, and every window of the reference had more."""
    share, baseline = 1 - view.figures.null_share, 1 - view.before.null_share.mean
    threshold = min(view.settings.absent_share, baseline / 2, baseline - view.null_tolerance())
    if share > threshold or 1 - view.before.null_share.max <= threshold:
        return None
    message = f"{share:.1%} of rows have a value, {baseline:.1%} in {view.reference.name}{view.cause()}"
    chance = p_value(lambda z: share <= baseline - view.null_tolerance(z), view.settings.of_features)
    return view.finding("feature_vanished", "critical", share, threshold, baseline, message, chance, listed=view.listed)


def feature_appeared(view: View) -> Finding | None:
    """Rows have values, and nearly none in any window of the reference had."""
    share, baseline = 1 - view.figures.null_share, 1 - view.before.null_share.mean
    threshold = max(view.settings.appeared_share, baseline + view.null_tolerance())
    absent = 1 - view.before.null_share.min <= view.settings.absent_share
    if not absent or share < threshold:
        return None
    message = f"{share:.1%} of rows have a value, {baseline:.1%} in {view.reference.name}"
    return view.finding(
        "feature_appeared",
        "warning",
        share,
        threshold,
        baseline,
        message,
        p_value(lambda z: share >= baseline + view.null_tolerance(z), view.settings.of_features),
        listed=view.listed,
        top_values=_top(view, view.counts.table(view.name).drop_nulls("value")),
    )


def feature_nulls(view: View) -> Finding | None:
    """More rows than in the reference lack a value."""
    share, baseline = view.figures.null_share, view.before.null_share.mean
    threshold = null_limit(view.before, view.reference, view.counts.rows, view.settings)
    if share < threshold:
        return None
    message = f"{share:.1%} of rows lack a value, {baseline:.1%} in {view.reference.name}{view.cause()}"
    return view.finding(
        "feature_nulls",
        "warning",
        share,
        threshold,
        baseline,
        message,
        p_value(lambda z: share >= baseline + view.null_tolerance(z), view.settings.of_features),
        nulls=view.counts.nulls(view.name),
        reference_max=view.before.null_share.max,
    )


def feature_cardinality(view: View) -> Finding | None:
    """The number of distinct values collapsed or exploded, given the number of rows."""
    settings, ratio = view.settings, view.before.cardinality_ratio
    abundances = view.reference.abundances[view.name]
    expected = abundances.expected_distinct(view.listed) * ratio.mean
    if view.listed < settings.min_rows or not expected:
        return None
    missing = abundances.expected_missing(view.listed)
    seen = view.figures.cardinality
    surprise = distinct_surprise(seen, expected, missing, abundances.values)

    def tolerance(z: float) -> float:
        return distinct_tolerance(expected, missing, ratio.sd / ratio.mean, view.windows, z)

    def excludes_chance(z: float) -> bool:
        return abs(seen - expected) >= expected * tolerance(z) and surprise >= z**2 / 2

    low = expected * min(settings.cardinality_low, 1 - tolerance(settings.of_features))
    high = expected * max(settings.cardinality_high, 1 + tolerance(settings.of_features))
    if low < seen < high or not excludes_chance(settings.of_features):
        return None
    message = f"{seen} distinct values in {view.listed} rows, {expected:.0f} expected"
    return view.finding(
        "feature_cardinality",
        "warning",
        seen,
        low if seen <= low else high,
        expected,
        message,
        p_value(excludes_chance, settings.of_features),
        listed=view.listed,
        top_values=_top(view, view.counts.table(view.name).drop_nulls("value")),
    )


def feature_unseen_values(view: View) -> Finding | None:
    """More rows than in the reference have a value it does not know."""
    share, baseline = view.figures.unseen_share, view.before.unseen_share
    if share is None or baseline is None or view.listed < view.settings.min_rows:
        return None

    def excluded(z: float) -> float:
        return baseline.mean + unseen_tolerance(view.before, baseline, view.windows, view.listed, z)

    threshold = max(baseline.mean + view.settings.unseen_rise, excluded(view.settings.of_features))
    if share < threshold:
        return None
    reference = view.reference
    unseen = unseen_values(view.counts, view.name, reference.known_values[view.name], reference.hash_limit(view.name))
    distinct = round(float(unseen["weight"].sum()))
    message = f"{share:.1%} of values are not in {reference.name}, {baseline.mean:.1%} expected; {distinct} distinct"
    return view.finding(
        "feature_unseen_values",
        "warning",
        share,
        threshold,
        baseline.mean,
        message,
        p_value(lambda z: share >= excluded(z), view.settings.of_features),
        unseen=distinct,
        top_values=_top(view, unseen),
    )


def feature_numbers_moved(view: View) -> Finding | None:
    """Numbers lie higher or lower than in the reference, or closer together."""
    numbers, z, threshold = view.numbers, view.settings.of_features, view.settings.numbers_moved
    if numbers is None or view.listed < view.settings.min_rows or (moved := numbers.distance(z)) < threshold:
        return None
    border, below = view.counts.bins.upper(numbers.border), float(numbers.now[numbers.place])
    median, median_before = (view.told_value(one) for one in (numbers.median, numbers.shares.median))
    return view.finding(
        "feature_numbers_moved",
        "warning",
        moved,
        threshold,
        0.0,
        f"{moved:.1%} of values moved {'down' if numbers.changes[numbers.place] > 0 else 'up'} across {border:g}; the "
        f"median is {median}, {median_before} in the reference",
        p_value(lambda at: numbers.distance(at) >= threshold, z),
        listed=view.listed,
        border=border,
        below=below,
        below_before=float(numbers.shares.figures[0][numbers.place]),
        median=median,
        median_before=median_before,
    )


def value_vanished(view: View) -> Finding | None:
    """A value that many rows of every window of the reference had is gone: lost with its rows, merged or renamed."""
    movement, settings = view.movement, view.settings
    if movement is None:
        return None

    def gone(z: float) -> list[int]:
        places: list[int] = movement.vanished(settings.value_share, settings.value_left, z).tolist()
        return places

    lost = gone(settings.of_features)
    if not lost:
        return None
    vanished, taken = [view.told(moved_at(movement, place)) for place in lost[:EXAMPLES]], taker(movement, lost)
    first, into = vanished[0], None if taken is None else view.told(taken)
    more = f" and {counted(len(lost) - 1, 'other')} vanished" if len(lost) > 1 else ""
    return view.finding(
        "value_vanished",
        "warning",
        first.now,
        settings.value_left * float(movement.shares.least[lost[0]]),
        first.before,
        f"{first.wording()} of values{more}{'' if into is None else f'; {into.wording()}'}",
        p_value(lambda z: lost[0] in gone(z), settings.of_features),
        vanished=[one.value for one in vanished],
        count=len(lost),
        into=None if into is None else into.value,
    )


def feature_values_moved(view: View) -> Finding | None:
    """Rows moved from some known values to others, in values whose change is no chance."""
    movement, z, threshold = view.movement, view.settings.of_features, view.settings.values_moved
    if movement is None or view.listed < view.settings.min_rows or (moved := movement.moved(z)) < threshold:
        return None
    message = f"{moved:.1%} of values moved; {view.moved_values()[0].wording()}"
    chance = p_value(lambda at: movement.moved(at) >= threshold, z)
    return view.finding("feature_values_moved", "warning", moved, threshold, 0.0, message, chance, listed=view.listed)


def feature_signal_lost(view: View) -> Finding | None:
    """A feature carries much less information about the label than in the reference."""
    baseline, tolerance = view.before.normalised.mean, _signal_tolerance(view, upwards=False)
    if tolerance is None or baseline < view.settings.min_signal:
        return None
    threshold = signal_lost_limit(baseline, tolerance, view.settings)
    if threshold <= 0 or view.figures.normalised > threshold:
        return None
    message = (
        f"explains {view.figures.normalised:.2%} of the label's entropy, {baseline:.2%} in "
        f"{view.reference.name}; rank {view.figures.rank}, was {view.before.rank}"
    )
    return _signal(view, "feature_signal_lost", "warning", threshold, message, upwards=False)


def feature_signal_gained(view: View) -> Finding | None:
    """A feature carries far more information about the label than in the reference: a leak, or a real change."""
    baseline, tolerance = view.before.normalised.mean, _signal_tolerance(view, upwards=True)
    if tolerance is None:
        return None
    threshold = max(view.settings.signal_gained * baseline, baseline + view.settings.signal_rise, baseline + tolerance)
    if view.figures.normalised < threshold:
        return None
    message = (
        f"explains {view.figures.normalised:.2%} of the label's entropy, {baseline:.2%} in "
        f"{view.reference.name}; rank {view.figures.rank}, was {view.before.rank}"
    )
    return _signal(view, "feature_signal_gained", "info", threshold, message, upwards=True)


Rule = Callable[[View], Finding | None]
#: Strongest explanation first.
RULES: tuple[Rule, ...] = (
    feature_vanished,
    feature_appeared,
    feature_nulls,
    feature_cardinality,
    feature_unseen_values,
    feature_numbers_moved,
    value_vanished,
    feature_signal_gained,
    feature_values_moved,
    feature_signal_lost,
)


def null_limit(before: FeatureReference, reference: Reference, rows: float, settings: ClickThresholds) -> float:
    """Share of so many rows without a value from which on it counts as risen; above 1 if no rise can."""
    return before.null_share.mean + max(
        settings.null_rise, _null_tolerance(before, reference, rows, settings.of_features)
    )


def _null_tolerance(before: FeatureReference, reference: Reference, rows: float, z: float) -> float:
    windows = before.windows(reference.windows)
    return share_tolerance(before.null_share, windows, rows, reference.volume.mean, z)


def unseen_tolerance(before: FeatureReference, share: Statistic, windows: int, listed: float, z: float) -> float:
    """How far the share of new values may lie from its reference.

    Args:
        before: The feature's reference.
        share: Its share of values that are in no other window.
        windows: Its windows.
        listed: Rows with a value.
        z: Strictness, in standard deviations.
    """
    return share_tolerance(share, windows, listed, before.listed / windows, z)


def signal_lost_limit(baseline: float, tolerance: float, settings: ClickThresholds) -> float:
    """Share of the label's entropy at or below which a signal counts as lost; none can be lost if it is not positive.

    Args:
        baseline: The share in the reference.
        tolerance: See `signal_tolerance`.
        settings: When a deviation matters.
    """
    return min(settings.signal_lost * baseline, baseline - tolerance)


def signal_tolerance(
    before: FeatureReference,
    reference: Reference,
    rows: float,
    noise: float,
    z: float,
    *,
    click_rate: float | None = None,
    upwards: bool,
) -> float:
    """See `information_tolerance`.

    Args:
        before: The feature's reference.
        reference: The whole reference.
        rows: Rows of the window.
        noise: Standard deviation of the score by chance, nats.
        z: Strictness, in standard deviations.
        click_rate: Clicks a row, in (0, 1); the reference's if absent.
        upwards: Whether a rise is judged.
    """
    window = Information(rows, reference.click_rate.mean if click_rate is None else click_rate, noise)
    windows, reference_rows = before.windows(reference.windows), reference.volume.mean
    return information_tolerance(
        before.normalised, before.score.mean, windows, reference_rows, window, z, upwards=upwards
    )


def _signal_tolerance(view: View, *, upwards: bool) -> float | None:
    """See `signal_tolerance`; None if that cannot be judged."""
    counts, settings = view.counts, view.settings
    if min(counts.clicks, counts.rows - counts.clicks) < settings.min_clicks:
        return None
    if view.listed < settings.min_rows or _resolution_changed(view):
        return None
    return _signal_tolerance_at(view, settings.of_signal, upwards=upwards)


def _signal_tolerance_at(view: View, z: float, *, upwards: bool) -> float:
    rows, rate, noise = view.counts.rows, view.counts.clicks / view.counts.rows, view.figures.noise
    return signal_tolerance(view.before, view.reference, rows, noise, z, click_rate=rate, upwards=upwards)


def _resolution_changed(view: View) -> bool:
    """Whether the volume alone changes how much information a feature of many values can carry.

    It does not where values are bins: as many groups of them are ranked, whatever the volume.
    """
    if view.name in view.counts.bins.features:
        return False
    abundances, reference = view.reference.abundances[view.name], view.before
    baseline = abundances.expected_distinct(reference.listed // view.windows)
    now = abundances.expected_distinct(view.listed)
    return not baseline or not 0.8 < now / baseline < 1.25


def _signal(view: View, rule: str, severity: Severity, threshold: float, message: str, *, upwards: bool) -> Finding:
    figures, before = view.figures, view.before
    change = abs(figures.normalised - before.normalised.mean)
    return view.finding(
        rule,
        severity,
        figures.normalised,
        threshold,
        before.normalised.mean,
        message,
        p_value(lambda z: change >= _signal_tolerance_at(view, z, upwards=upwards), view.settings.of_signal),
        score_nats=figures.score,
        noise_nats=figures.noise,
        rank=figures.rank,
        reference_rank=before.rank,
    )


def _top(view: View, table: pl.DataFrame) -> list[dict[str, Any]]:
    """The most frequent values, ties by value."""
    top = table.sort(["rows", "value"], descending=[True, False]).head(EXAMPLES)
    values = top.select("value", "rows").iter_rows()
    return [{"value": shown(view.counts.value_text(view.name, value)), "rows": rows} for value, rows in values]
