"""What a new reference is worth: refused if it could find nothing, remarks if little, and a report for people."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.clicks.feature_reference import FeatureReference
from sparsewatch.detectors.clicks.reference import Reference
from sparsewatch.detectors.clicks.sensitivity import Sensitivity, sensitivity
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.clicks.timely import timely, told
from sparsewatch.detectors.counts.number_bins import BITS
from sparsewatch.pipelines.console.tables import output, table
from sparsewatch.pipelines.ctr.settings import CtrJob
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import ConfigError

#: Windows below which the spread between windows is so uncertain that the tolerances grow by a third or more.
_FEW_WINDOWS = 10
#: Numbers whose greatest is less than so many times the least lie close together: 16 bins of 3 % hold them.
_NARROW = 1.5
#: Features the report shows.
_SHOWN = 10


def check_worth(reference: Reference, job: CtrJob) -> list[str]:
    """Refuse a reference that is worth nothing.

    Returns:
        Remarks on a reference that finds little, a sentence each.

    Raises:
        ConfigError: If it has a single window, or if no check of the job could find any loss with it.
    """
    length = job.windows.length
    if reference.windows < 2:
        raise ConfigError(
            f"expected files that span at least 4 windows of {length}, since the first and the last may be partial and "
            f"are left out; got {counted(reference.windows, 'whole window')}: give files of a longer time, or shorter "
            "windows (windows.length)"
        )
    seen = sensitivity(reference, job.checks.thresholds.within(job.allowance))
    if seen.is_blind:
        raise ConfigError(
            f"expected windows of enough rows to find a loss, got {seen.rows:.0f} rows on average in windows of "
            f"{length}: not even a window without rows would be found. Take longer windows (windows.length)"
        )
    return [
        *_left_out(reference),
        *_timely(reference),
        *_few_rows(seen, job),
        *_few_windows(reference),
        *_coarse_bins(reference),
    ]


def _left_out(reference: Reference) -> Iterator[str]:
    if reference.left_out:
        yield (
            f"{counted(reference.left_out, 'window')} left out of the reference, since the volume or the click rate is "
            "unlike that of the others"
        )
    features = {name: feature.left_out for name, feature in reference.features.items() if feature.left_out}
    if features:
        most = sorted(features, key=lambda name: (-features[name], name))[:_SHOWN]
        shown = ", ".join(f"{name} ({counted(features[name], 'window')})" for name in most)
        yield f"left out of {counted(len(features), 'feature')}, where it is unlike itself: {shown}"


def _timely(reference: Reference) -> Iterator[str]:
    if names := timely(reference.features):
        yield told(names)


def _few_rows(seen: Sensitivity, job: CtrJob) -> Iterator[str]:
    if seen.rows < (least := job.checks.thresholds.min_rows):
        yield (
            f"windows of {job.windows.length} have {seen.rows:.0f} rows on average: features and the click rate are "
            f"judged from {least} rows on (checks.thresholds.min_rows), so only the volume is checked. Windows "
            f"{math.ceil(least / seen.rows)} times as long would do"
        )


def _few_windows(reference: Reference) -> Iterator[str]:
    if reference.windows < _FEW_WINDOWS:
        yield (
            f"{counted(reference.windows, 'window')}: how much figures vary between windows is uncertain, and hours "
            "that the files lack will look odd. Better is a stretch with all hours of a day or week"
        )


def _coarse_bins(reference: Reference) -> Iterator[str]:
    """Remark on numbers that lie so close together, far from zero, that a few bins hold them all."""
    coarse = [
        name
        for name in reference.bins.features
        if name in reference.features and _is_coarse(reference.known_values[name].to_numpy())
    ]
    if coarse and reference.bins.bits == BITS:
        shown = ", ".join(f"{name} ({counted(reference.known_values[name].len(), 'bin')})" for name in coarse[:_SHOWN])
        yield (
            f"numbers that lie so close together, far from 0, that few bins tell them apart: {shown}. Take finer bins "
            f"(ranking.number_bits = 12), or send them less an offset"
        )


def _is_coarse(bins: NDArray[np.float64]) -> bool:
    """Whether all bins lie within a narrow range to one side of zero; a single one may be that of a constant."""
    sizes = np.abs(bins)
    return bool(bins.size > 1 and abs(np.sign(bins).sum()) == bins.size and sizes.max() < _NARROW * sizes.min())


def losses_seen(reference: Reference, thresholds: ClickThresholds) -> str:
    """The smallest losses that would be found, for people."""
    seen = sensitivity(reference, thresholds)
    return f"found in a window of {seen.rows:.0f} rows: {'; '.join((_volume(seen), *_of_features(seen)))}"


def _volume(seen: Sensitivity) -> str:
    if seen.volume_low is None:
        return "no loss of volume"
    volume = f"volume at or below {seen.volume_low:.0f} rows ({seen.volume_low / seen.rows - 1:.0%})"
    return f"{volume}, none in {counted(seen.blind_hours, 'hour')} of the reference" if seen.blind_hours else volume


def _of_features(seen: Sensitivity) -> Iterator[str]:
    change = seen.click_rate_change
    yield "no fall of the click rate" if change is None else f"a click rate {change:.0%} higher or lower"
    if seen.typical_null_rise is None:
        yield "no missing values"
    else:
        worst = max(seen.null_rise, key=lambda name: seen.null_rise[name])
        yield (
            f"values missing in {seen.typical_null_rise:.1%} more rows (median feature; {worst}: "
            f"{seen.null_rise[worst]:.1%})"
        )
    losses = [loss for loss in seen.signal_loss.values() if loss is not None]
    if not seen.signal_loss:
        yield "no loss of signal, since no feature has much"
    else:
        least = f", at the earliest when {min(losses):.0%} of it is gone" if losses else ""
        yield f"loss of signal in {len(losses)} of the {counted(len(seen.signal_loss), 'feature')} that have it{least}"


def report(reference: Reference, thresholds: ClickThresholds, unusable: int) -> None:
    """Show what was learned and which losses it can see."""
    best = sorted(reference.features, key=lambda name: reference.features[name].rank)[:_SHOWN]
    columns = ("feature", "of the label's entropy", "cardinality", "nulls", "unseen")
    console = output(soft_wrap=True)
    console.print(table(columns, (_cells(name, reference.features[name]) for name in best)))
    console.print(
        f"{counted(reference.windows, 'window')} of {reference.volume.mean:.0f} ± {reference.volume.sd:.0f} rows, "
        f"{reference.click_rate.mean:.2%} clicks; {counted(unusable, 'row')} without a usable time or label left out"
    )
    for remark in _rhythms(reference):
        console.print(remark)
    console.print(losses_seen(reference, thresholds))


def _rhythms(reference: Reference) -> Iterator[str]:
    for figure, rhythm in (("volume", reference.volume_by_hour), ("click rate", reference.click_rate_by_hour)):
        if rhythm is not None:
            means = sorted(hour.mean for hour in rhythm.hours)
            yield (
                f"{figure} by {rhythm.kind}: up to {means[-1] / means[0]:.1f} times that of the lowest hour"
                if means[0]
                else f"{figure} by {rhythm.kind}"
            )


def _cells(name: str, feature: FeatureReference) -> tuple[str, ...]:
    return (
        name,
        f"{feature.normalised.mean:.2%} ± {feature.normalised.sd:.2%}",
        f"{feature.cardinality.mean:.0f}",
        f"{feature.null_share.mean:.1%}",
        f"{feature.unseen_share.mean:.1%}" if feature.unseen_share else "-",
    )
