"""Quality checks of a window of clicks against a reference.

| rule | value | fires when |
|---|---|---|
| `volume_low`, `volume_high` | rows | volume falls below or rises above the reference |
| `click_rate_shift` | clicks a row | the rate moves either way |
| `feature_vanished` | share of rows with a value | values have vanished |
| `feature_appeared` | share of rows with a value | values appear where there were none |
| `feature_nulls` | share of rows without a value | it rises |
| `feature_cardinality` | distinct values | it collapses or explodes, for the number of rows |
| `feature_unseen_values` | share of values that are new | it rises |
| `feature_signal_lost`, `feature_signal_gained` | share of the label's entropy explained | it falls or rises |

A rule fires where chance is excluded (see `sparsewatch.detectors.clicks.tolerances`) and the effect is large enough to
matter (see `ClickThresholds`). Of the rules that fire on one feature only the strongest explanation is reported.
"""

import math

import msgspec

from sparsewatch.detectors.clicks.feature_checks import RULES, View
from sparsewatch.detectors.clicks.profile import WindowProfile
from sparsewatch.detectors.clicks.reference import Reference
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.clicks.tolerances import share_tolerance
from sparsewatch.detectors.clicks.volume import low_volume, volume_tolerance
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.schemas.alerts import Finding, Severity, counted

__all__ = ["ClickThresholds", "check_window"]

#: Subject of findings that are about no feature.
STREAM = "stream"


def check_window(
    counts: FeatureCounts,
    profile: WindowProfile,
    reference: Reference,
    settings: ClickThresholds,
    *,
    complete: bool = True,
) -> list[Finding]:
    """What is wrong with a window.

    Args:
        counts: The window's counts.
        profile: Figures of the window, made with the known values of `reference`.
        reference: The baseline. Features that it lacks are not checked.
        settings: When a deviation matters.
        complete: False if rows of the window may be missing, as in the first and last window of a run: low volume is
            then no finding.

    Returns:
        Findings on the stream, then at most one for each feature in the order of `counts.features`. Other rules that
        fired on the feature are named in `evidence["also"]`.
    """
    findings = [check_volume(counts.rows, reference, settings, complete=complete)]
    if counts.rows >= max(settings.min_rows, 1):
        findings.append(_click_rate(counts, reference, settings))
        findings.extend(
            _strongest(
                View(
                    name=name,
                    counts=counts,
                    figures=profile.features[name],
                    reference=reference,
                    settings=settings,
                )
            )
            for name in counts.features
            if name in reference.features
        )
    return [finding for finding in findings if finding is not None]


def volume_limits(reference: Reference, settings: ClickThresholds) -> tuple[float, float]:
    """Rows at or below which the volume is low, and at or above which it is high; the first is negative for never."""
    baseline, windows = reference.volume, reference.windows
    high = max(settings.volume_high * baseline.mean, baseline.mean + volume_tolerance(baseline, windows, settings.z))
    return low_volume(baseline, windows, settings.volume_low, settings.z), high


def click_rate_tolerance(reference: Reference, rows: float, settings: ClickThresholds) -> float:
    """How far the click rate of so many rows may lie from the reference."""
    chance = share_tolerance(reference.click_rate, reference.windows, rows, reference.volume.mean, settings.z)
    return max(chance, settings.click_rate_change * reference.click_rate.mean)


def check_volume(
    rows: int, reference: Reference, settings: ClickThresholds, *, complete: bool = True
) -> Finding | None:
    """Rules `volume_low` and `volume_high`, also on a window without rows.

    Args:
        rows: Rows of the window.
        reference: The baseline.
        settings: When a deviation matters.
        complete: As in `check_window`.
    """
    baseline = reference.volume
    low, high = volume_limits(reference, settings)
    severity: Severity
    if rows >= high:
        rule, severity, threshold = "volume_high", "warning", high
    elif complete and rows <= low:
        rule, severity, threshold = "volume_low", "critical", low
    else:
        return None
    return Finding(
        rule=rule,
        subject=STREAM,
        severity=severity,
        value=rows,
        threshold=threshold,
        baseline=baseline.mean,
        message=f"{counted(rows, 'row')} in the window, {baseline.mean:,.0f} in the reference",
        evidence={"reference_min": baseline.min, "reference_max": baseline.max},
    )


def _click_rate(counts: FeatureCounts, reference: Reference, settings: ClickThresholds) -> Finding | None:
    baseline, rate = reference.click_rate, counts.clicks / counts.rows
    tolerance = click_rate_tolerance(reference, counts.rows, settings)
    if abs(rate - baseline.mean) < tolerance:
        return None
    return Finding(
        rule="click_rate_shift",
        subject=STREAM,
        severity="warning",
        value=rate,
        threshold=baseline.mean + math.copysign(tolerance, rate - baseline.mean),
        baseline=baseline.mean,
        message=f"{rate:.2%} of rows are clicks, {baseline.mean:.2%} in the reference",
        evidence={
            "rows": counts.rows,
            "clicks": counts.clicks,
            "reference_min": baseline.min,
            "reference_max": baseline.max,
        },
    )


def _strongest(view: View) -> Finding | None:
    findings = [finding for rule in RULES if (finding := rule(view)) is not None]
    if not findings:
        return None
    first, *others = findings
    also = [finding.rule for finding in others]
    return msgspec.structs.replace(first, evidence={**first.evidence, "also": also})
