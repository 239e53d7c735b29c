"""Which losses a reference can see: the smallest changes that its checks would find in an average window.

A reference of few or small windows passes every check and finds nothing. Example: windows of 40 rows have no feature
judged at all, since features are judged from `ClickThresholds.min_rows` rows on.
"""

import math
from statistics import median

import msgspec

from sparsewatch.detectors.clicks.baselines import click_rate_baselines, volume_baselines
from sparsewatch.detectors.clicks.checks import click_rate_tolerance, volume_limits
from sparsewatch.detectors.clicks.feature_checks import null_limit, signal_lost_limit, signal_tolerance
from sparsewatch.detectors.clicks.reference import Reference
from sparsewatch.detectors.clicks.thresholds import ClickThresholds


class Sensitivity(msgspec.Struct, frozen=True, kw_only=True):
    """Smallest losses that are found in a window of the reference's mean volume; None where none would be."""

    #: Mean rows of a window.
    rows: float
    #: Rows at or below which `volume_low` fires; of a reference with a rhythm: in the median hour, as the same part of
    #: `rows`.
    volume_low: float | None
    #: Hours of the reference's rhythm in which no loss of volume is found.
    blind_hours: int = 0
    #: Change of the click rate, as a part of it; of a reference with a rhythm: in the median hour.
    click_rate_change: float | None
    #: Rise of the share of rows without a value, by feature; a feature whose values cannot be missed is absent.
    null_rise: dict[str, float]
    #: Part of its signal that a feature must lose, by feature; features without signal are absent.
    signal_loss: dict[str, float | None]

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
        blind_hours=len(volumes) - len(lows) if len(volumes) > 1 else 0,
        click_rate_change=_click_rate_change(reference, settings) if judged else None,
        null_rise=_null_rises(reference, settings) if judged else {},
        signal_loss=_signal_losses(reference, settings) if judged else {},
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


def _signal_losses(reference: Reference, settings: ClickThresholds) -> dict[str, float | None]:
    rows, clicks = reference.volume.mean, reference.volume.mean * reference.click_rate.mean
    losses: dict[str, float | None] = {}
    for name, feature in reference.features.items():
        baseline = feature.normalised.mean
        if baseline < settings.min_signal:
            continue
        # 2 n times the mutual information with a label of two values is chi-square by chance, of so many degrees less
        # one as there are values.
        noise = math.sqrt(max(feature.cardinality.mean - 1, 0) / 2) / rows
        judged = min(clicks, rows - clicks) >= settings.min_clicks
        judged &= feature.listed / feature.windows(reference.windows) >= settings.min_rows
        limit = 0.0
        if judged:
            tolerance = signal_tolerance(feature, reference, rows, noise, settings.signal_z, upwards=False)
            limit = signal_lost_limit(baseline, tolerance, settings)
        losses[name] = 1 - limit / baseline if limit > 0 else None
    return losses
