"""Quality checks of a window of clicks against a reference.

| rule | value | fires when |
|---|---|---|
| `volume_low`, `volume_high` | rows | volume falls below or rises above the reference |
| `click_rate_shift` | clicks a row | the rate moves either way |
| `calibration_shift` | clicks a row | they move against a prediction |
| `feature_vanished` | share of rows with a value | values have vanished |
| `feature_appeared` | share of rows with a value | values appear where there were none |
| `feature_nulls` | share of rows without a value | it rises |
| `feature_cardinality` | distinct values | it collapses or explodes, for the number of rows |
| `feature_unseen_values` | share of values that are new | it rises |
| `feature_numbers_moved` | share of numbers that moved across a border | it is large |
| `value_vanished` | share of a known value | it is gone |
| `feature_values_moved` | share of values that moved | known values got or lost rows |
| `feature_link_lost` | share of rows that break a link | it rises of a feature that others say |
| `label_signal_lost` | evidence that labels go with values | it is lost of all features |
| `feature_signal_lost`, `feature_signal_gained` | share of the label's entropy explained | it falls or rises |

A rule fires where chance is excluded (see `sparsewatch.detectors.clicks.tolerances`) and the effect is large enough to
matter (see `ClickThresholds`). Of the rules that fire on one feature only the strongest explanation is reported.
"""

import math
from collections.abc import Collection

import msgspec

from sparsewatch.detectors.budget.chance import p_value
from sparsewatch.detectors.clicks.baselines import Baseline, click_rate_baseline, volume_baseline
from sparsewatch.detectors.clicks.calibration_checks import check_calibration
from sparsewatch.detectors.clicks.feature_checks import RULES
from sparsewatch.detectors.clicks.feature_view import View
from sparsewatch.detectors.clicks.known_values import Matched
from sparsewatch.detectors.clicks.link_checks import check_links
from sparsewatch.detectors.clicks.profile import WindowProfile
from sparsewatch.detectors.clicks.reference import Reference
from sparsewatch.detectors.clicks.screen import suspects
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
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
    matched: Matched | None = None,
    complete: bool = True,
    start_us: int | None = None,
) -> list[Finding]:
    """What is wrong with a window.

    Args:
        counts: The window's counts.
        profile: Figures of the window, made with the known values of `reference`.
        reference: The baseline. Features that it lacks are not checked.
        settings: When a deviation matters.
        matched: The window's values among those that `reference` knows, `reference.known.match`; found here if absent.
        complete: False if rows of the window may be missing, as in the first and last window of a run: low volume is
            then no finding.
        start_us: Start of the window, microseconds since the epoch: its volume and click rate are compared with those
            of its hour where the reference knows a rhythm; None to compare them with those of all windows.

    Returns:
        Findings on the stream, then at most one for each feature in the order of `counts.features`. Other rules that
        fired on the feature are named in `evidence["also"]`.
    """
    findings = [check_volume(counts.rows, reference, settings, complete=complete, start_us=start_us)]
    if counts.rows >= max(settings.min_rows, 1):
        moved = check_click_rate(counts.clicks, counts.rows, reference, settings, start_us=start_us)
        findings.append(moved)
        findings.append(check_calibration(profile.calibration, reference.calibration, settings, reference.name))
        matched = reference.known.match(counts) if matched is None else matched
        some = suspects(counts, profile, reference, matched, settings)
        findings.extend(
            _strongest(View.of(name, counts, profile.features[name], reference, settings), some[name])
            for name in counts.features
            if name in some
        )
        told = {finding.subject for finding in findings if finding is not None}
        # Of few clicks, or of many more, the evidence of labels falls without a label in another row.
        lost = [] if moved is not None else check_links(counts, profile, reference, settings, told)
        if any(finding.rule == "label_signal_lost" for finding in lost):
            # Of no feature is any left then.
            findings = [one for one in findings if one is None or one.rule != "feature_signal_lost"]
        findings.extend(lost)
    return [finding for finding in findings if finding is not None]


def volume_limits(baseline: Baseline, settings: ClickThresholds) -> tuple[float, float]:
    """Rows at or below which the volume is low, and at or above which it is high; the first is negative for never."""
    mean = baseline.figure.mean
    high = max(settings.volume_high * mean, mean + baseline.volume_tolerance(settings.of_stream))
    return baseline.low_volume(settings.volume_low, settings.of_stream), high


def click_rate_tolerance(baseline: Baseline, rows: float, settings: ClickThresholds) -> float:
    """How far the click rate of so many rows may lie from that expected."""
    chance = baseline.share_tolerance(rows, settings.of_stream)
    return max(chance, settings.click_rate_change * baseline.figure.mean)


def check_volume(
    rows: int,
    reference: Reference,
    settings: ClickThresholds,
    *,
    complete: bool = True,
    start_us: int | None = None,
) -> Finding | None:
    """Rules `volume_low` and `volume_high`, also on a window without rows.

    Args:
        rows: Rows of the window.
        reference: The baseline.
        settings: When a deviation matters.
        complete: As in `check_window`.
        start_us: As in `check_window`.
    """
    baseline = volume_baseline(reference, start_us)
    low, high = volume_limits(baseline, settings)
    severity: Severity
    if rows >= high:
        rule, severity, threshold = "volume_high", "warning", high
        chance = p_value(lambda z: rows >= baseline.figure.mean + baseline.volume_tolerance(z), settings.of_stream)
    elif complete and rows <= low:
        rule, severity, threshold = "volume_low", "critical" if rows <= baseline.figure.mean / 2 else "warning", low
        chance = p_value(lambda z: rows <= baseline.low_volume(settings.volume_low, z), settings.of_stream)
    else:
        return None
    return Finding(
        rule=rule,
        subject=STREAM,
        severity=severity,
        value=rows,
        threshold=threshold,
        baseline=baseline.figure.mean,
        message=f"{counted(rows, 'row')} in the window, {baseline.figure.mean:,.0f} {baseline.wording()}",
        evidence={"rows": rows, "effect": rows - baseline.figure.mean, **baseline.evidence()},
        p_value=chance,
    )


def check_click_rate(
    clicks: int, rows: int, reference: Reference, settings: ClickThresholds, *, start_us: int | None = None
) -> Finding | None:
    """Rule `click_rate_shift` on one window.

    Args:
        clicks: Of the window.
        rows: Of the window, > 0.
        reference: The baseline.
        settings: When a deviation matters.
        start_us: As in `check_window`.
    """
    baseline, rate = click_rate_baseline(reference, start_us), clicks / rows
    expected, tolerance = baseline.figure.mean, click_rate_tolerance(baseline, rows, settings)
    if abs(rate - expected) < tolerance:
        return None
    return Finding(
        rule="click_rate_shift",
        subject=STREAM,
        severity="warning",
        value=rate,
        threshold=expected + math.copysign(tolerance, rate - expected),
        baseline=expected,
        message=f"{rate:.2%} of rows are clicks, {expected:.2%} {baseline.wording()}",
        evidence={"rows": rows, "clicks": clicks, "effect": rate - expected, **baseline.evidence()},
        p_value=p_value(lambda z: abs(rate - expected) >= baseline.share_tolerance(rows, z), settings.of_stream),
    )


def _strongest(view: View, some: Collection[str]) -> Finding | None:
    """What the strongest explanation among some rules finds."""
    findings = [finding for rule in RULES if rule.__name__ in some and (finding := rule(view)) is not None]
    if not findings:
        return None
    first, *others = findings
    also = [finding.rule for finding in others]
    return msgspec.structs.replace(first, evidence={**first.evidence, "also": also})
