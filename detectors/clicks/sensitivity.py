"""Which losses a reference can see: the smallest changes that its checks would find in an average window.

A reference of few or small windows passes every check and finds nothing. Example: windows of 40 rows have no feature
judged at all, since features are judged from `ClickThresholds.min_rows` rows on.
"""

import math
from collections.abc import Iterator
from statistics import median

import msgspec

from sparsewatch.detectors.clicks.baselines import click_rate_baselines, volume_baselines
from sparsewatch.detectors.clicks.calibration_checks import smallest_change
from sparsewatch.detectors.clicks.checks import click_rate_tolerance, volume_limits
from sparsewatch.detectors.clicks.feature_checks import null_limit, unseen_tolerance
from sparsewatch.detectors.clicks.feature_reference import FeatureReference
from sparsewatch.detectors.clicks.link_checks import smallest_loss
from sparsewatch.detectors.clicks.reference import Reference
from sparsewatch.detectors.clicks.signal_checks import signal_lost_limit, signal_tolerance
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.clicks.tolerances import distinct_surprise, distinct_tolerance

#: By so much a number of distinct values is raised until it is found.
_STEP = 1.02


class Sensitivity(msgspec.Struct, frozen=True, kw_only=True):
    """Smallest losses that are found in a window of the reference's mean volume; None where none would be."""

    #: Mean rows of a window.
    rows: float
    #: Rows at or below which `volume_low` fires; of a reference with a rhythm: in the median hour, as the same part of
    #: `rows`.
    volume_low: float | None
    #: Rows at or above which `volume_high` fires, likewise.
    volume_high: float
    #: Hours of the reference's rhythm in which no loss of volume is found.
    blind_hours: int = 0
    #: Change of the click rate, as a part of it; of a reference with a rhythm: in the median hour.
    click_rate_change: float | None
    #: Change of the clicks that a prediction leads to expect, as a part of them; None also where none is named.
    calibration_change: float | None = None
    #: Rise of the share of rows without a value, by feature; a feature whose values cannot be missed is absent.
    null_rise: dict[str, float]
    #: Rise of the share of values that are new, by feature, where it is judged and can be.
    unseen_rise: dict[str, float]
    #: Distinct values, divided by those expected, at or below which, and at or above which, they are found, by feature;
    #: the first is not above 0 where no fall is.
    cardinality: dict[str, tuple[float, float]]
    #: Part of its signal that a feature must lose, by feature; features without signal are absent.
    signal_loss: dict[str, float | None]
    #: Share of the label's entropy that a feature must gain, by feature.
    signal_gain: dict[str, float]

    @property
    def is_blind(self) -> bool:
        """Whether no check could find any loss."""
        seen = [loss for loss in self.signal_loss.values() if loss is not None]
        return self.volume_low is None and self.click_rate_change is None and not self.null_rise and not seen

    @property
    def typical_null_rise(self) -> float | None:
        """Median over the features."""
        return median(self.null_rise.values()) if self.null_rise else None


def sensitivity(reference: Reference, settings: ClickThresholds) -> Sensitivity:
    """Smallest losses that the checks find in a window of the reference's mean volume.

    Args:
        reference: The baseline.
        settings: When a deviation matters.
    """
    rows = reference.volume.mean
    volumes = volume_baselines(reference)
    lows = [low * (rows / of.figure.mean) for of in volumes if (low := volume_limits(of, settings)[0]) >= 0]
    judged = rows >= settings.min_rows
    return Sensitivity(
        rows=rows,
        volume_low=median(lows) if lows else None,
        volume_high=median(volume_limits(of, settings)[1] * (rows / of.figure.mean) for of in volumes),
        blind_hours=len(volumes) - len(lows) if len(volumes) > 1 else 0,
        click_rate_change=_click_rate_change(reference, settings) if judged else None,
        calibration_change=smallest_change(reference.calibration, reference.click_rate.mean, settings)
        if judged
        else None,
        null_rise=_null_rises(reference, settings) if judged else {},
        unseen_rise=dict(_unseen_rises(reference, settings)) if judged else {},
        cardinality=dict(_cardinalities(reference, settings)) if judged else {},
        signal_loss=_signal_losses(reference, settings) if judged else {},
        signal_gain=dict(_signal_gains(reference, settings)) if judged else {},
    )


def _click_rate_change(reference: Reference, settings: ClickThresholds) -> float | None:
    changes = [
        click_rate_tolerance(of, of.rows, settings) / of.figure.mean
        for of in click_rate_baselines(reference)
        if of.rows >= settings.min_rows and of.figure.mean
    ]
    seen = [change for change in changes if change < 1]
    return median(seen) if seen else None


def _null_rises(reference: Reference, settings: ClickThresholds) -> dict[str, float]:
    limits = {
        name: (feature.null_share.mean, null_limit(feature, reference, reference.volume.mean, settings))
        for name, feature in reference.features.items()
    }
    return {name: limit - before for name, (before, limit) in limits.items() if limit <= 1}


def _judged(reference: Reference, settings: ClickThresholds) -> Iterator[tuple[str, FeatureReference, float]]:
    """Features that have enough values in an average window to be judged by them, with their number."""
    for name, feature in reference.features.items():
        listed = feature.listed / feature.windows(reference.windows)
        if listed >= max(settings.min_rows, 1):
            yield name, feature, listed


def _unseen_rises(reference: Reference, settings: ClickThresholds) -> Iterator[tuple[str, float]]:
    for name, feature, listed in _judged(reference, settings):
        if (before := feature.unseen_share) is None:
            continue
        windows = feature.windows(reference.windows)
        rise = max(settings.unseen_rise, unseen_tolerance(feature, before, windows, listed, settings.of_features))
        if before.mean + rise <= 1:
            yield name, rise


def _cardinalities(reference: Reference, settings: ClickThresholds) -> Iterator[tuple[str, tuple[float, float]]]:
    z = settings.of_features
    for name, feature, listed in _judged(reference, settings):
        abundances, ratio = reference.abundances[name], feature.cardinality_ratio
        expected = abundances.expected_distinct(round(listed)) * ratio.mean
        if expected <= 0:
            continue
        missing = abundances.expected_missing(round(listed))
        spread, windows = ratio.sd / ratio.mean, feature.windows(reference.windows)
        tolerance = feature.cardinality_ratio.inflation * distinct_tolerance(expected, missing, spread, windows, z)
        high = max(settings.cardinality_high, 1 + tolerance)
        while distinct_surprise(high * expected, expected, missing, abundances.values) < z**2 / 2:
            high *= _STEP
        # Half of the square of the deviation over the number expected bounds the surprise of too few.
        yield name, (min(settings.cardinality_low, 1 - tolerance, 1 - z / math.sqrt(expected)), high)


def _signal_losses(reference: Reference, settings: ClickThresholds) -> dict[str, float | None]:
    rows, clicks = reference.volume.mean, reference.volume.mean * reference.click_rate.mean
    losses: dict[str, float | None] = {}
    for name, feature in reference.features.items():
        baseline = feature.normalised.mean
        if baseline < settings.min_signal:
            continue
        judged = min(clicks, rows - clicks) >= settings.min_clicks
        judged &= feature.listed / feature.windows(reference.windows) >= settings.min_rows
        limit = 0.0
        if judged:
            tolerance = signal_tolerance(
                feature, reference, rows, _noise(feature, rows), settings.of_signal, upwards=False
            )
            limit = signal_lost_limit(baseline, tolerance, settings)
        losses[name] = 1 - limit / baseline if limit > 0 else None
        if judged and losses[name] is None and (link := reference.links.features.get(name)) is not None:
            losses[name] = smallest_loss(link.over, rows, settings)
    return losses


def _signal_gains(reference: Reference, settings: ClickThresholds) -> Iterator[tuple[str, float]]:
    rows, clicks = reference.volume.mean, reference.volume.mean * reference.click_rate.mean
    if min(clicks, rows - clicks) < settings.min_clicks:
        return
    for name, feature, _ in _judged(reference, settings):
        baseline, noise = feature.normalised.mean, _noise(feature, rows)
        tolerance = signal_tolerance(feature, reference, rows, noise, settings.of_signal, upwards=True)
        gain = max((settings.signal_gained - 1) * baseline, settings.signal_rise, tolerance)
        if baseline + gain <= 1:
            yield name, gain


def _noise(feature: FeatureReference, rows: float) -> float:
    """Standard deviation of a score by chance, nats.

    2 n times the mutual information with a label of two values is chi-square by chance, of so many degrees less one as
    there are values.
    """
    return math.sqrt(max(feature.cardinality.mean - 1, 0) / 2) / rows
