"""Shares of a window of clicks that are watched over many windows, against a reference.

| rule | share | fires when, over many windows |
|---|---|---|
| `click_rate_shift` | clicks | it has moved either way by `slow_click_rate` or more |
| `feature_nulls` | rows without a value | it has risen by `slow_nulls` or more |

They tell changes that `sparsewatch.detectors.clicks.checks` does not see in one window; what adds them up is
`sparsewatch.detectors.sequential.judge`.
"""

import math
from collections.abc import Iterator
from typing import Any

from sparsewatch.detectors.clicks.baselines import click_rate_baseline
from sparsewatch.detectors.clicks.reference import Reference
from sparsewatch.detectors.clicks.strays import smoothed
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.schemas.slow_changes import Observation, Observed
from sparsewatch.schemas.units import DAY_US


def observed(
    counts: FeatureCounts,
    reference: Reference,
    settings: ClickThresholds,
    span: tuple[int, int],
    baseline: dict[str, Any],
) -> Observed | None:
    """The watched shares of a whole window with rows, as the step that adds them up takes them; None if there are none.

    Args:
        counts: The window's counts.
        reference: The baseline.
        settings: What is watched.
        span: Start and end of the window, microseconds since the epoch.
        baseline: What alerts tell of the reference.
    """
    shares = watched_shares(counts, reference, settings, *span)
    return Observed(tuple(shares), baseline) if shares else None


def watched_shares(
    counts: FeatureCounts, reference: Reference, settings: ClickThresholds, start_us: int, end_us: int
) -> list[Observation]:
    """The watched shares of a whole window with rows; none by a reference that knows less than a day.

    Args:
        counts: The window's counts.
        reference: The baseline.
        settings: What is watched.
        start_us: Start of the window, microseconds since the epoch.
        end_us: Its end.
    """
    # Hours that a reference lacks look like a change.
    if reference.window_us is None or reference.windows * reference.window_us < DAY_US:
        return []
    clicks = watched_click_rate(counts.clicks, counts.rows, reference, settings, start_us, end_us)
    alpha = settings.slow_alpha(end_us - start_us)
    return [*([] if clicks is None else [clicks]), *_nulls(counts, reference, settings, alpha)]


def watched_click_rate(
    clicks: int, rows: int, reference: Reference, settings: ClickThresholds, start_us: int, end_us: int
) -> Observation | None:
    """The click rate of a window of so many clicks and rows, as `watched_shares`; None where it is not watched."""
    strays, baseline = reference.click_rate_steadiness, click_rate_baseline(reference, start_us)
    expected = baseline.figure.mean
    if strays is None or not settings.slow_click_rate or not 0 < expected < 1:
        return None
    variance = (strays.spread * expected) ** 2
    if baseline.kind is not None:
        # The mean of an hour is known from its days.
        variance += (variance + expected * (1 - expected) / rows) / baseline.backing
    return Observation(
        rule="click_rate_shift",
        subject="stream",
        count=clicks,
        rows=rows,
        expected=expected,
        step=settings.slow_click_rate * expected,
        spread=math.sqrt(variance),
        level=strays.level * expected,
        windows=baseline.windows,
        alpha=settings.slow_alpha(end_us - start_us),
    )


def _nulls(
    counts: FeatureCounts, reference: Reference, settings: ClickThresholds, alpha: float
) -> Iterator[Observation]:
    names = [name for name in counts.features if name in reference.features]
    for name in names if settings.slow_nulls else ():
        before = reference.features[name]
        windows, strays = before.windows(reference.windows), before.null_steadiness
        if strays is None:
            continue
        yield Observation(
            rule="feature_nulls",
            subject=name,
            count=counts.nulls(name),
            rows=counts.rows,
            expected=smoothed(before.null_share.mean, windows * reference.volume.mean),
            step=settings.slow_nulls,
            spread=strays.spread,
            level=strays.level,
            windows=windows,
            alpha=alpha / len(names),
            falls=False,
        )
