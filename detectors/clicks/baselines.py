"""What a window's volume and click rate are compared with: its hour of day or week, or all windows of the reference."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from sparsewatch.detectors.clicks.reference import Reference
from sparsewatch.detectors.clicks.rhythm import Hour, Kind, Rhythm
from sparsewatch.detectors.clicks.tolerances import Statistic, share_tolerance
from sparsewatch.detectors.clicks.volume import low_volume, volume_tolerance
from sparsewatch.schemas.alerts import Finding

#: Figure of a feature that a rule judges.
_FIGURES = {
    "feature_vanished": "null_share",
    "feature_appeared": "null_share",
    "feature_nulls": "null_share",
    "feature_cardinality": "cardinality_ratio",
    "feature_unseen_values": "unseen_share",
    "feature_signal_gained": "normalised",
    "feature_signal_lost": "normalised",
}
#: Rules that judge shares of values or numbers.
_OF_SHARES = ("feature_values_moved", "value_vanished", "feature_numbers_moved")


class Baseline(NamedTuple):
    """A figure as expected in one window."""

    kind: Kind | None
    figure: Statistic
    #: Windows that know its deviation, and those that know its mean.
    windows: int
    backing: int
    #: Mean rows of these.
    rows: float
    #: How messages call it.
    name: str

    def evidence(self) -> dict[str, float | str]:
        """For an alert."""
        return {
            "baseline_kind": self.kind or "all windows",
            "reference_min": self.figure.min,
            "reference_max": self.figure.max,
        }

    def wording(self) -> str:
        """For a message."""
        return f"in {self.name}" if self.kind is None else f"in {self.name} at this {self.kind}"

    def low_volume(self, low: float, z: float) -> float:
        """See `sparsewatch.detectors.clicks.volume.low_volume`."""
        return low_volume(self.figure, self.windows, low, z, backing=self.backing)

    def volume_tolerance(self, z: float) -> float:
        """See `sparsewatch.detectors.clicks.volume.volume_tolerance`."""
        return volume_tolerance(self.figure, self.windows, z, backing=self.backing)

    def share_tolerance(self, rows: float, z: float) -> float:
        """See `sparsewatch.detectors.clicks.tolerances.share_tolerance`."""
        return share_tolerance(self.figure, self.windows, rows, self.rows, z, backing=self.backing)


def with_baseline(findings: Iterable[Finding], reference: Reference, kind: str, version: str | None) -> list[Finding]:
    """Findings of `check_window` that say what the window was compared with, in `evidence["baseline"]`.

    Args:
        findings: Of a window.
        reference: That it was compared with.
        kind: Of the reference: `fixed` where a job file names it.
        version: Of the reference, if it has one.
    """
    whole = told_of(reference, kind, version)

    def told(finding: Finding) -> Finding:
        feature = reference.features.get(finding.subject)
        windows = reference.windows if feature is None else feature.windows(reference.windows)
        inflation = inflation_of(reference, finding)
        widened = {"inflation": inflation} if inflation > 1 else {}
        return msgspec.structs.replace(
            finding, evidence={**finding.evidence, "baseline": {**whole, "windows": windows, **widened}}
        )

    return [told(finding) for finding in findings]


def inflation_of(reference: Reference, finding: Finding) -> float:
    """By what the tolerance of a finding is multiplied (see `sparsewatch.detectors.clicks.inflation`)."""
    rule, name = finding.rule, finding.subject
    if finding.evidence.get("baseline_kind") == "all windows":
        return (reference.click_rate if rule == "click_rate_shift" else reference.volume).inflation
    feature, figure = reference.features.get(name), _FIGURES.get(rule)
    if feature is not None and figure is not None:
        of: Statistic = getattr(feature, figure)
        return of.inflation
    shares = {"feature_numbers_moved": reference.numbers}.get(rule, reference.shares)
    return shares[name].over.inflation if rule in _OF_SHARES and name in shares else 1.0


def told_of(reference: Reference, kind: str, version: str | None) -> dict[str, Any]:
    """What alerts tell of a reference; arguments as of `with_baseline`."""
    start_us, end_us = reference.span_us or (None, None)
    return {"kind": kind, "version": version, "windows": reference.windows, "start_us": start_us, "end_us": end_us}


def volume_baseline(reference: Reference, start_us: int | None) -> Baseline:
    """Rows of a window.

    Args:
        reference: The reference.
        start_us: Start of the window; None for any.
    """
    hour = _hour(reference.volume_by_hour, start_us)
    return _flat(reference, reference.volume) if hour is None else _volume(*hour, reference.name)


def click_rate_baseline(reference: Reference, start_us: int | None) -> Baseline:
    """Clicks a row of a window.

    Args:
        reference: The reference.
        start_us: Start of the window; None for any.
    """
    hour = _hour(reference.click_rate_by_hour, start_us)
    return _flat(reference, reference.click_rate) if hour is None else _click_rate(*hour, reference.name)


def volume_baselines(reference: Reference) -> list[Baseline]:
    """Of each hour, or of any window."""
    rhythm = reference.volume_by_hour
    return (
        [_flat(reference, reference.volume)]
        if rhythm is None
        else [_volume(rhythm, hour, reference.name) for hour in rhythm.hours]
    )


def click_rate_baselines(reference: Reference) -> list[Baseline]:
    """Of each hour, or of any window."""
    rhythm, flat = reference.click_rate_by_hour, _flat(reference, reference.click_rate)
    return [flat] if rhythm is None else [_click_rate(rhythm, hour, reference.name) for hour in rhythm.hours]


def _flat(reference: Reference, figure: Statistic) -> Baseline:
    return Baseline(None, figure, reference.windows, reference.windows, reference.volume.mean, reference.name)


def _hour(rhythm: Rhythm | None, start_us: int | None) -> tuple[Rhythm, Hour] | None:
    if rhythm is None or start_us is None or (hour := rhythm.at(start_us)) is None:
        return None
    return rhythm, hour


def _volume(rhythm: Rhythm, hour: Hour, name: str) -> Baseline:
    return _of_hour(rhythm, hour, hour.mean, name)


def _click_rate(rhythm: Rhythm, hour: Hour, name: str) -> Baseline:
    return _of_hour(rhythm, hour, hour.mean * (1 - hour.mean) / hour.rows, name)


def _of_hour(rhythm: Rhythm, hour: Hour, sampling: float, name: str) -> Baseline:
    figure = Statistic(
        mean=hour.mean,
        sd=math.sqrt(sampling + (rhythm.spread * hour.mean) ** 2),
        min=rhythm.least * hour.mean,
        max=rhythm.most * hour.mean,
    )
    return Baseline(rhythm.kind, figure, rhythm.windows, hour.days, hour.rows, name)
