"""Metrics that every job has."""

import time
from collections import Counter
from collections.abc import Sequence

from sparsewatch.schemas import metrics
from sparsewatch.schemas.accounts import Progress
from sparsewatch.schemas.alerts import Alert, MetricSample
from sparsewatch.schemas.incidents import SEVERITIES, Incidents


def window_metrics(alerts: Sequence[Alert], muted: int, came_s: float | None) -> list[MetricSample]:
    """Samples of a window that is committed.

    Args:
        alerts: Its alerts.
        muted: Findings that raise none, by order of a person.
        came_s: See `newest_came_s`.
    """
    now = time.time()
    return [
        metrics.WINDOW_CLOSED.sample(now),
        *([] if came_s is None else [metrics.HEARTBEAT.sample(max(0.0, now - came_s))]),
        metrics.WINDOW_ALERTS.sample(len(alerts)),
        metrics.MUTED_FINDINGS.sample(muted),
    ]


def newest_came_s(progress: Progress) -> float | None:
    """When the newest record that was read came to the broker, seconds since the epoch.

    Args:
        progress: Behind a window.

    Returns:
        None where the window is part of a silence, or the broker gives records no time.
    """
    last = [point.last.timestamp_ms for point in progress.partitions.values() if point.last is not None]
    newest_ms = max(last, default=-1)
    return None if newest_ms < 0 or progress.stream.silent_since_us is not None else newest_ms / 1e3


def incident_metrics(incidents: Incidents) -> list[MetricSample]:
    """Samples of the incidents that fire."""
    firing = Counter(incident.severity for incident in incidents.known if not incident.is_resolved)
    return [metrics.INCIDENTS_FIRING.sample(firing[severity], severity=severity) for severity in SEVERITIES]


def progress_metrics(progress: Progress) -> list[MetricSample]:
    """Samples of how far a job is."""
    totals = {"counted": progress.totals.counted, "late": progress.totals.late, "rejected": progress.totals.rejected}
    return [
        *(metrics.RECORDS.sample(number, outcome=outcome) for outcome, number in totals.items()),
        metrics.RECORDS_LOST.sample(progress.totals.lost),
        metrics.UNNAMED_FIELDS.sample(len(progress.stream.fields.records)),
        *incident_metrics(progress.incidents),
        metrics.WINDOWS_CLOSED.sample(progress.windows),
        metrics.WINDOW_END.sample(progress.closed_end_us / 1e6),
        *(
            metrics.PARTITION_READ.sample(point.high, partition=str(partition))
            for partition, point in sorted(progress.partitions.items())[: metrics.PARTITIONS]
        ),
    ]


def baseline_metrics(windows: int, needed: int) -> list[MetricSample]:
    """How far a job has learned: windows of its baseline, and windows that it needs."""
    return [metrics.BASELINE_WINDOWS.sample(windows), metrics.BASELINE_NEEDED.sample(needed)]
