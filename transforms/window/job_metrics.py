"""Metrics that every job has."""

import time
from collections import Counter
from collections.abc import Sequence

from sparsewatch.schemas.accounts import Progress
from sparsewatch.schemas.alerts import Alert, MetricSample, gauge
from sparsewatch.schemas.incidents import SEVERITIES, Incidents

#: Names of the series of what a job has learned of its own windows.
BASELINE_WINDOWS, BASELINE_NEEDED = "sparsewatch_baseline_windows", "sparsewatch_baseline_windows_needed"


def window_metrics(alerts: Sequence[Alert], muted: int) -> list[MetricSample]:
    """Samples of a window that is committed.

    Args:
        alerts: Its alerts.
        muted: Findings that raise none, by order of a person.
    """
    return [
        gauge(
            "sparsewatch_window_closed_timestamp_seconds", "When the last window was closed, by the clock.", time.time()
        ),
        gauge("sparsewatch_window_alerts", "Alerts of the last closed window.", len(alerts)),
        gauge("sparsewatch_window_muted_findings", "Findings of the last closed window that raise no alert.", muted),
    ]


def incident_metrics(incidents: Incidents) -> list[MetricSample]:
    """Samples of the incidents that fire."""
    firing = Counter(incident.severity for incident in incidents.known if not incident.is_resolved)
    return [
        gauge("sparsewatch_incidents_firing", "Incidents that fire.", firing[severity], {"severity": severity})
        for severity in SEVERITIES
    ]


def progress_metrics(progress: Progress) -> list[MetricSample]:
    """Samples of how far a job is."""
    totals = {"counted": progress.totals.counted, "late": progress.totals.late, "rejected": progress.totals.rejected}
    samples = [
        MetricSample(
            name="sparsewatch_records_total",
            kind="counter",
            help="Records read, by outcome.",
            value=number,
            labels={"outcome": outcome},
        )
        for outcome, number in totals.items()
    ]
    return [
        *samples,
        lost_metric(progress),
        gauge(
            "sparsewatch_unnamed_fields",
            "Fields of JSON events that the job does not name, as far as it knows them.",
            len(progress.stream.fields.records),
        ),
        *incident_metrics(progress.incidents),
        MetricSample(
            name="sparsewatch_windows_closed_total",
            kind="counter",
            help="Windows closed and committed.",
            value=progress.windows,
        ),
        gauge(
            "sparsewatch_window_end_timestamp_seconds",
            "End of the last closed window, in event time.",
            progress.closed_end_us / 1e6,
        ),
    ]


def lost_metric(progress: Progress) -> MetricSample:
    """The sample of what a job has lost."""
    return MetricSample(
        name="sparsewatch_records_lost_total",
        kind="counter",
        help="Offsets that were gone before they were read: so many records at most.",
        value=progress.totals.lost,
    )


def windows_waiting(number: int) -> MetricSample:
    """The sample of windows that are closed and not committed."""
    return gauge("sparsewatch_windows_waiting", "Windows that are closed and not committed.", number)


def baseline_metrics(windows: int, needed: int) -> list[MetricSample]:
    """How far a job has learned: windows of its baseline, and windows that it needs."""
    return [
        gauge(BASELINE_WINDOWS, "Windows that the baseline is learned of.", windows),
        gauge(BASELINE_NEEDED, "Windows that a baseline needs before one is checked.", needed),
    ]
