"""Rules that watch jobs: that they run, keep up, lose nothing. Thresholds are starting points.

What jobs find in their streams reaches an Alertmanager by `sparsewatch notify`, not by way of these rules.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from deploy.generate.promql import of_jobs, summed
from sparsewatch.schemas import metrics
from sparsewatch.schemas.alerts import runbook_of
from sparsewatch.schemas.metric import Metric

_TABLE = "docs/metrics.md#rules"


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A series that Prometheus computes."""

    name: str
    expr: str
    #: As in the docs.
    help: str


@dataclass(frozen=True, kw_only=True)
class Alerting:
    """An alert of Prometheus."""

    name: str
    expr: str
    severity: Literal["none", "info", "warning", "critical"]
    #: When it fires, as in the docs.
    when: str
    summary: str
    #: What to look at or do.
    description: str
    #: How long it must last.
    lasts: str = "0s"
    #: Section of the docs.
    runbook: str = _TABLE


RATE = "sparsewatch:records:rate15m"
_GAP = "sparsewatch:window_gap_seconds:mean1d"
LAG = "sparsewatch:partition_lag:records"
_CLOSED = metrics.WINDOW_CLOSED
_AGE = f"time() - {of_jobs(_CLOSED)}"
_MISFIT = "model_does_not_fit"
_DAILY_SPAN = f"({of_jobs(_CLOSED, 'max_over_time({}[1d])')}\n  - min by (job) (min_over_time({_CLOSED.name}[1d])))"
_MOVED = "changes({}[2h])"

RECORDINGS = (
    Recording(
        name=RATE,
        expr=of_jobs(metrics.RECORDS, "rate({}[15m])"),
        help="Records a second, by outcome, over 15 minutes.",
    ),
    Recording(
        name=_GAP,
        expr=f"{_DAILY_SPAN}\n/ ({of_jobs(metrics.WINDOWS_CLOSED, 'increase({}[1d])')} > 0)",
        help="Time between two windows, of those closed in the last day.",
    ),
    Recording(
        name=LAG,
        expr=f"clamp_min({of_jobs(metrics.PARTITION_END)}\n  - {of_jobs(metrics.PARTITION_READ)}, 0)",
        help="Records of a partition that are not read, or not committed yet.",
    ),
)


def _too_many(outcome: str) -> str:
    every = f"sum by (job) ({RATE})"
    return f'{RATE}{{outcome="{outcome}"}}\n> on (job) group_left () 0.05 * {every}'


def _of_receivers(metric: Metric, over: str = "{}") -> str:
    return f"max by (receiver) ({over.format(metric.name)})"


ALERTS = (
    Alerting(
        name="SparsewatchWatchdog",
        expr="vector(1)",
        severity="none",
        when="always: whoever misses it knows that Prometheus or Alertmanager is gone",
        summary="Prometheus evaluates the rules of sparsewatch.",
        description="Route it to a dead man's switch, and nowhere else.",
    ),
    Alerting(
        name="SparsewatchExporterDown",
        expr=f'{metrics.EXPORTER_UP.name} == 0 or up{{job="sparsewatch"}} == 0',
        lasts="5m",
        severity="critical",
        when="an exporter cannot be scraped, or cannot read its topic",
        summary="The exporter {{ $labels.instance }} is down, or cannot read its topic.",
        description="All it says of jobs is old. Look at its log, then at the broker.",
    ),
    Alerting(
        name="SparsewatchExporterAbsent",
        expr=f"absent({metrics.EXPORTER_UP.name})",
        lasts="5m",
        severity="critical",
        when="no exporter is scraped",
        summary="No exporter of sparsewatch is scraped.",
        description="No other rule can tell anything of a job. Look at the targets of Prometheus.",
    ),
    # Samples stay in their topic when a job is gone: how old the newest window is tells that it is.
    Alerting(
        name="SparsewatchNoWindowClosed",
        expr=f"{_AGE} > 900\nunless {_AGE} < 4 * {_GAP}",
        lasts="1m",
        severity="critical",
        when="no window was closed for 15 minutes, and four times as long as usual: the job is dead or stuck",
        summary="The job {{ $labels.job }} has closed no window for {{ $value | humanizeDuration }}.",
        description="It has stopped, it waits for its broker, or no event comes that moves time on. "
        "`sparsewatch status JOB.toml` says which.",
        runbook=runbook_of("no_data"),
    ),
    Alerting(
        name="SparsewatchCommitsStopped",
        expr=f"{of_jobs(metrics.WINDOWS_WAITING)} > 0",
        lasts="15m",
        severity="critical",
        when="windows are closed and none is committed: books do not balance",
        summary="The job {{ $labels.job }} writes windows and commits none.",
        description="Its books do not balance. See docs/runbook.md#commits_behind.",
        runbook=runbook_of("commits_behind"),
    ),
    Alerting(
        name="SparsewatchLagging",
        expr=f"{of_jobs(metrics.HEARTBEAT)} > 900\nand {of_jobs(metrics.HEARTBEAT)} > 4 * {_GAP}",
        lasts="15m",
        severity="warning",
        when="records take more than 15 minutes, and four times the usual gap, to a closed window",
        summary="Records of the job {{ $labels.job }} take {{ $value | humanizeDuration }} to a closed window.",
        description="It reads less than comes. Give it more readers, or a faster machine.",
    ),
    # At least three windows were committed meanwhile, so that a long window does not look like a standstill.
    Alerting(
        name="SparsewatchPartitionStalled",
        expr=f"{LAG} > 0\nunless {of_jobs(metrics.PARTITION_READ, _MOVED)} > 0\n"
        f"and on (job) max by (job) ({of_jobs(metrics.PARTITION_READ, _MOVED)}) > 2",
        lasts="1h",
        severity="warning",
        when="a partition has records and is not read for two hours, while others of its job are",
        summary="The job {{ $labels.job }} does not read partition {{ $labels.partition }} of its source.",
        description="{{ $value }} records wait there. Look at the partition's leader and at the job's log.",
    ),
    Alerting(
        name="SparsewatchRecordsLost",
        expr=f"{of_jobs(metrics.RECORDS_LOST, 'increase({}[1h])')} > 0",
        severity="critical",
        when="the broker deleted records before they were read",
        summary="Records of the job {{ $labels.job }} were gone before they were read.",
        description="It is behind its topic's retention. Give it more time there, or more readers.",
        runbook=runbook_of("records_lost"),
    ),
    Alerting(
        name="SparsewatchRejectsHigh",
        expr=_too_many("rejected"),
        lasts="15m",
        severity="warning",
        when="more than a twentieth of the records is rejected",
        summary="More than a twentieth of the records of the job {{ $labels.job }} are rejected.",
        description="`sparsewatch rejects list JOB.toml` says why.",
        runbook=runbook_of("rejects_high"),
    ),
    Alerting(
        name="SparsewatchLateHigh",
        expr=_too_many("late"),
        lasts="15m",
        severity="warning",
        when="more than a twentieth of the records comes when its window is closed",
        summary="More than a twentieth of the records of the job {{ $labels.job }} come when their window is closed.",
        description="Raise windows.disorder, or look for a partition that lags.",
        runbook=runbook_of("late_high"),
    ),
    Alerting(
        name="SparsewatchRowsRetrainDue",
        expr=f"{of_jobs(metrics.ROW_DRIFT_CHANCE)} < 0.001",
        lasts="6h",
        severity="info",
        when="rows score otherwise than those that their model was calibrated on, for six hours",
        summary="The rows of the job {{ $labels.job }} are no longer those that its model was trained on.",
        description="Retrain it: `sparsewatch retrain JOB.toml`.",
        runbook=runbook_of("row_scores_drift"),
    ),
    Alerting(
        name="SparsewatchWafersRetrainDue",
        expr=f"{summed(metrics.WINDOW_WAFERS, 'avg_over_time({}[6h])', verdict=_MISFIT)}\n"
        f"> 0.5 * {summed(metrics.WINDOW_WAFERS, 'avg_over_time({}[6h])')}",
        lasts="1h",
        severity="info",
        when="the model fits less than half of the wafers of six hours",
        summary="The model of the job {{ $labels.job }} does not fit most of its wafers.",
        description="Train it on wafers of now: `sparsewatch train wafer`.",
        runbook=runbook_of(_MISFIT),
    ),
    Alerting(
        name="SparsewatchLearnsTooLong",
        expr=f"{of_jobs(metrics.BASELINE_WINDOWS)} < {of_jobs(metrics.BASELINE_NEEDED)}",
        lasts="1d",
        severity="info",
        when="a day has brought no baseline",
        summary="The job {{ $labels.job }} has learned no baseline for a day, so it checks nothing.",
        description="Too few of its windows are whole and alike. Give it longer windows, or a reference.",
    ),
    Alerting(
        name="SparsewatchAlertsMissed",
        expr=f"{of_jobs(metrics.ALERTS_FILE_MISSED, 'increase({}[1h])')} > 0",
        severity="warning",
        when="alerts could not be written to the alerts file",
        summary="The job {{ $labels.job }} cannot write its alerts file.",
        description="The alerts are in their topic. Look at the file's disk and rights.",
    ),
    Alerting(
        name="SparsewatchSeriesCut",
        expr=f"{metrics.EXPORTER_SERIES_CUT.name} > 0",
        lasts="15m",
        severity="warning",
        when="there are more series than an exporter serves",
        summary="The exporter {{ $labels.instance }} leaves out {{ $value }} series.",
        description="Its log names the metrics. If they are meant, raise --max-series.",
    ),
    Alerting(
        name="SparsewatchBadSamples",
        expr=f"increase({metrics.EXPORTER_BAD_SAMPLES.name}[1h]) > 0",
        severity="warning",
        when="something else writes to a metrics topic",
        summary="Something else writes to the metrics topic that {{ $labels.instance }} reads.",
        description="Give the job an output.prefix of its own.",
    ),
    Alerting(
        name="SparsewatchNotificationsWait",
        expr=f"{_of_receivers(metrics.NOTIFY_WAITING)} > 0",
        lasts="15m",
        severity="critical",
        when="a receiver of incidents takes none",
        summary="{{ $value }} notifications wait for the receiver {{ $labels.receiver }}.",
        description="It is away: the log of `sparsewatch notify` says why. They are sent once it is back.",
    ),
    Alerting(
        name="SparsewatchNotificationsRefused",
        expr=f"{_of_receivers(metrics.NOTIFY_REFUSED, 'increase({}[1h])')} > 0",
        severity="warning",
        when="a webhook refused an update for good",
        summary="The receiver {{ $labels.receiver }} refused notifications.",
        description="The log of `sparsewatch notify` names them. Mend address or token and restart it: it tries again.",
    ),
)


def rules_file() -> str:
    """The rules as Prometheus reads them."""
    return "\n".join(
        [
            "# Rules that watch jobs: that they run, keep up, lose nothing. Written by `make metrics`.",
            "groups:",
            "  - name: sparsewatch",
            "    rules:",
            *(line for rule in (*RECORDINGS, *ALERTS) for line in _lines(rule)),
            "",
        ]
    )


def _lines(rule: Recording | Alerting) -> Iterator[str]:
    head = f"record: {rule.name}" if isinstance(rule, Recording) else f"alert: {rule.name}"
    yield f"      - {head}"
    yield "        expr: |"
    yield from (f"          {line}" for line in rule.expr.split("\n"))
    if isinstance(rule, Alerting):
        yield f"        for: {rule.lasts}"
        yield f"        labels: {{severity: {rule.severity}}}"
        yield "        annotations:"
        for key in ("summary", "description", "runbook"):
            yield f"          {key}: {json.dumps(getattr(rule, key))}"
