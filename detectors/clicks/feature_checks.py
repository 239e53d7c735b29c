"""Rules on one feature of one window, against a reference.

Each rule is a function of a `View` and returns a finding or None; `RULES` lists them from the strongest to the
weakest explanation of what happened.
"""

from collections.abc import Callable
from typing import Any

import polars as pl

from sparsewatch.detectors.budget.chance import p_value
from sparsewatch.detectors.clicks.feature_reference import FeatureReference
from sparsewatch.detectors.clicks.feature_view import View, null_tolerance
from sparsewatch.detectors.clicks.moved_values import EXAMPLES, most_frequent, moved_at, taker
from sparsewatch.detectors.clicks.number_shares import NumberMovement
from sparsewatch.detectors.clicks.profile import unseen_values
from sparsewatch.detectors.clicks.reference import Reference
from sparsewatch.detectors.clicks.signal_checks import feature_signal_gained, feature_signal_lost
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.clicks.tolerances import (
    Statistic,
    distinct_surprise,
    distinct_tolerance,
    share_tolerance,
)
from sparsewatch.detectors.clicks.unit_factor import quantile_factor, unit_factor, wording
from sparsewatch.detectors.counts.counts import Counts
from sparsewatch.detectors.counts.number_bins import is_number
from sparsewatch.schemas.alerts import Finding, counted

#: Of Arrow's types: text as it is counted.
_OLDEST = pl.CompatLevel.oldest()


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
        top_values=_top(view, view.held.values, view.held.rows),
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
        return ratio.inflation * distinct_tolerance(expected, missing, ratio.sd / ratio.mean, view.windows, z)

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
        top_values=_top(view, view.held.values, view.held.rows),
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
    distinct, values = round(float(unseen["weight"].sum())), unseen["value"].to_arrow(compat_level=_OLDEST)
    factor = _factor(view, values, unseen["rows"].to_numpy())
    message = f"{share:.1%} of values are not in {reference.name}, {baseline.mean:.1%} expected; {distinct} distinct"
    return view.finding(
        "feature_unseen_values",
        "warning",
        share,
        threshold,
        baseline.mean,
        message if factor is None else f"{message}, {wording(factor)} known ones: another unit?",
        p_value(lambda z: share >= excluded(z), view.settings.of_features),
        unseen=distinct,
        top_values=_top(view, values, unseen["rows"].to_numpy()),
        **({} if factor is None else {"factor": factor}),
    )


def _factor(view: View, new: Any, rows: Counts) -> float | None:
    """By what factor new numbers are known ones, if by one."""
    if view.numbers is not None:
        # Those in another unit may be known, too, where numbers reach far; all together differ by it then.
        return _bins_factor(view.numbers, new.to_numpy(), rows) or _factor_of_all(view, view.numbers)
    known = view.reference.known_values[view.name].to_arrow(compat_level=_OLDEST)
    if known.type != new.type or not is_number(known.type):
        return None
    return unit_factor(new.to_numpy(), rows, known.to_numpy())


def _factor_of_all(view: View, numbers: NumberMovement) -> float | None:
    held = view.counts.ascending(view.name)
    return _bins_factor(numbers, held.values.to_numpy(), held.rows)


def _bins_factor(numbers: NumberMovement, bins: Any, rows: Counts) -> float | None:
    return quantile_factor(bins, rows, numbers.shares.borders, numbers.shares.figures[0])


def feature_numbers_moved(view: View) -> Finding | None:
    """Numbers lie higher or lower than in the reference, or closer together."""
    numbers, z, threshold = view.numbers, view.settings.of_features, view.settings.numbers_moved
    if numbers is None or view.listed < view.settings.min_rows or (moved := numbers.distance(z)) < threshold:
        return None
    border, below = view.counts.bins.upper(numbers.border), float(numbers.now[numbers.place])
    median, median_before = (view.told_value(one) for one in (numbers.median, numbers.shares.median))
    factor = _factor_of_all(view, numbers)
    return view.finding(
        "feature_numbers_moved",
        "warning",
        moved,
        threshold,
        0.0,
        f"{moved:.1%} of values moved {'down' if numbers.changes[numbers.place] > 0 else 'up'} across {border:g}; the "
        f"median is {median}, {median_before} in the reference"
        + ("" if factor is None else f"; they are {wording(factor)} those before: another unit?"),
        p_value(lambda at: numbers.distance(at) >= threshold, z),
        listed=view.listed,
        border=border,
        below=below,
        below_before=float(numbers.shares.figures[0][numbers.place]),
        median=median,
        median_before=median_before,
        **({} if factor is None else {"factor": factor}),
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
        settings.null_rise, null_tolerance(before, reference, rows, settings.of_features)
    )


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


def _top(view: View, values: Any, rows: Counts) -> list[dict[str, Any]]:
    """The most frequent of values, an Arrow array, as alerts show them."""
    return [{"value": view.told_value(value), "rows": number} for value, number in most_frequent(values, rows)]
