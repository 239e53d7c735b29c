"""Rules on how much a feature of one window tells of the label, against a reference."""

from sparsewatch.detectors.budget.chance import p_value
from sparsewatch.detectors.clicks.feature_reference import FeatureReference
from sparsewatch.detectors.clicks.feature_view import View
from sparsewatch.detectors.clicks.reference import Reference
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.clicks.tolerances import (
    Information,
    information_tolerance,
)
from sparsewatch.schemas.alerts import Finding, Severity


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
