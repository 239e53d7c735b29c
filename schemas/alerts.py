"""Findings of the detectors, the alerts they become, samples of metrics, and numbers in the words of all of them.

A detector returns a `Finding`: the value seen, the threshold and the baseline. A pipeline turns it into an `Alert` by
adding job and window; the id is a digest of (job, rule, subject, window start), so the same cause written twice has the
same id. A `MetricSample` is the newest value of a series for Prometheus.
"""

import hashlib
from typing import Any, Literal

import msgspec

from sparsewatch.schemas.stored import Format

SAMPLE = Format("a metric sample")
Severity = Literal["info", "warning", "critical"]
MetricKind = Literal["counter", "gauge"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One rule that fired on one subject."""

    #: Rule in snake case, as in docs/alerts.md: `feature_vanished`, `novel_pattern` …
    rule: str
    #: What it is about: a feature, a pattern, or `stream`.
    subject: str
    severity: Severity
    #: The value seen, in the unit the rule states.
    value: float
    #: The value from which on the rule fires.
    threshold: float
    #: What the reference holds for `value`.
    baseline: float
    #: One sentence for a person.
    message: str
    #: Anything that helps to judge it; JSON types only.
    evidence: dict[str, Any] = {}
    #: Bound on the probability of as large a deviation by chance; None of a rule that tests no chance.
    p_value: float | None = None


class Alert(Finding, frozen=True, kw_only=True):
    """A finding with its job and window."""

    id: str
    job: str
    #: Window in microseconds since the epoch, UTC; the end is exclusive.
    window_start_us: int
    window_end_us: int
    #: Id of the incident that it belongs to, see `sparsewatch.schemas.incidents`.
    incident: str = ""
    #: Section of the docs that says what to do about it.
    runbook: str = ""


def raise_alert(finding: Finding, job: str, window_start_us: int, window_end_us: int, incident: str = "") -> Alert:
    """The alert that `finding` becomes in this job and window, as part of an incident."""
    return Alert(
        **msgspec.structs.asdict(finding),
        id=alert_id(job, finding.rule, finding.subject, window_start_us),
        job=job,
        window_start_us=window_start_us,
        window_end_us=window_end_us,
        incident=incident,
        runbook=runbook_of(finding.rule),
    )


def runbook_of(rule: str) -> str:
    """Section of the docs that says what a rule means, what to look at first and what to do.

    >>> runbook_of("feature_vanished")
    'docs/runbook.md#feature_vanished'
    """
    return f"docs/runbook.md#{rule}"


def alert_id(job: str, rule: str, subject: str, window_start_us: int) -> str:
    """Deterministic id of 32 hex digits.

    >>> alert_id("clicks", "feature_vanished", "ad", 0) == alert_id("clicks", "feature_vanished", "ad", 0)
    True
    """
    identity = "\x1f".join((job, rule, subject, str(window_start_us)))
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


class MetricSample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One sample of one series; the newest sample of a key wins."""

    #: Base units, `sparsewatch_` in front; counters end in `_total`.
    name: str
    kind: MetricKind
    help: str
    value: float
    labels: dict[str, str] = {}
    #: Whether it is about one window: as a gauge it is withdrawn if the next window does not state it.
    of_window: bool = False

    def of_job(self, job: str) -> "MetricSample":
        """The sample with its job as a label."""
        return msgspec.structs.replace(self, labels={"job": job, **self.labels})

    @property
    def key(self) -> str:
        """Identity of the series: name and sorted labels."""
        inside = ",".join(f'{k}="{v}"' for k, v in sorted(self.labels.items()))
        return f"{self.name}{{{inside}}}"


def number(x: int) -> str:
    """Thousands set apart."""
    return f"{x:,}"


def counted(n: int, noun: str) -> str:
    """A number of things, the noun in the singular or the plural.

    >>> counted(1, "row"), counted(2_500, "row")
    ('1 row', '2,500 rows')
    """
    return f"{number(n)} {noun}{'' if n == 1 else 's'}"
