"""The dashboard of how jobs are: whether they run, keep up and lose nothing."""

from deploy.generate.dashboards import Dashboard
from deploy.generate.panels import BAD, JOB, Panel, of_metric, since
from deploy.generate.promql import of_jobs
from deploy.generate.rules import LAG, RATE
from sparsewatch.schemas import metrics

HEALTH = Dashboard(
    name="health",
    title="Sparsewatch: health of jobs",
    description="Whether jobs run, keep up and lose nothing, and whether their exporters work.",
    jobs=metrics.WINDOWS_CLOSED,
    rows=[
        (
            "Now",
            [
                since(
                    metrics.WINDOW_CLOSED,
                    "Since the last window",
                    kind="stat",
                    width=6,
                    height=5,
                    thresholds=((None, "green"), (900.0, "red")),
                    rules=["no_data"],
                ),
                Panel(
                    title="Incidents firing",
                    targets=[(of_jobs(metrics.INCIDENTS_FIRING, job=JOB), "{{job}} {{severity}}")],
                    description=metrics.INCIDENTS_FIRING.help,
                    kind="stat",
                    width=6,
                    height=5,
                    thresholds=BAD,
                ),
                Panel(
                    title="Records behind",
                    targets=[(f'sum by (job) ({LAG}{{job=~"$job"}})', "{{job}}")],
                    description="Records of the source that are not read, or not committed yet.",
                    kind="stat",
                    width=6,
                    height=5,
                ),
                Panel(
                    title="Exporters up",
                    targets=[(metrics.EXPORTER_UP.name, "{{instance}}")],
                    description=metrics.EXPORTER_UP.help,
                    kind="stat",
                    width=6,
                    height=5,
                    thresholds=((None, "red"), (1.0, "green")),
                ),
            ],
        ),
        (
            "Records",
            [
                Panel(
                    title="Records a second",
                    targets=[(f'{RATE}{{job=~"$job"}}', "{{job}} {{outcome}}")],
                    description="Records read a second, by outcome, over 15 minutes.",
                    unit="cps",
                    stacked=True,
                ),
                Panel(
                    title="Rejected and late",
                    targets=[
                        (
                            f'{RATE}{{job=~"$job", outcome=~"rejected|late"}}'
                            f' / on (job) group_left () (sum by (job) ({RATE}{{job=~"$job"}}) > 0)',
                            "{{job}} {{outcome}}",
                        )
                    ],
                    description="Shares of the records read, over 15 minutes.",
                    unit="percentunit",
                    rules=["rejects_high", "late_high"],
                ),
                Panel(
                    title="Lost",
                    targets=[(of_jobs(metrics.RECORDS_LOST, "increase({}[1h])", job=JOB), "{{job}}")],
                    description="Offsets that were gone before they were read, in an hour: so many records at most.",
                    thresholds=BAD,
                    rules=["records_lost"],
                ),
                of_metric(metrics.HEARTBEAT, "From record to closed window"),
                Panel(
                    title="Behind, by partition",
                    targets=[(f'{LAG}{{job=~"$job"}}', "{{job}} {{partition}}")],
                    description="Records of a partition that are not read, or not committed yet.",
                ),
                Panel(
                    title="Read, by partition",
                    targets=[
                        (of_jobs(metrics.PARTITION_READ, "deriv({}[15m])", job=JOB), "{{job}} {{partition}} read"),
                        (of_jobs(metrics.PARTITION_END, "deriv({}[15m])", job=JOB), "{{job}} {{partition}} written"),
                    ],
                    description="Offsets a second that a job reads of a partition, and that are written to it.",
                    unit="cps",
                ),
            ],
        ),
        (
            "Windows",
            [
                of_metric(metrics.WINDOWS_CLOSED, "Windows an hour", over="increase({}[1h])"),
                of_metric(
                    metrics.WINDOWS_WAITING,
                    "Closed and not committed",
                    thresholds=BAD,
                    rules=["commits_behind", "books_unbalanced"],
                ),
                since(metrics.WINDOW_END, "Event time behind the clock"),
                of_metric(metrics.WINDOW_ALERTS, "Alerts a window"),
                of_metric(metrics.MUTED_FINDINGS, "Muted findings a window"),
                of_metric(metrics.SILENCE, "Silence", rules=["no_data"]),
                of_metric(metrics.UNNAMED_FIELDS, "Fields that no column names", rules=["new_field"]),
                of_metric(metrics.MISTYPED_CELLS, "Cells of another type", rules=["feature_type_changed"]),
                of_metric(
                    metrics.ALERTS_FILE_MISSED, "Not in the alerts file", over="increase({}[1h])", thresholds=BAD
                ),
            ],
        ),
        (
            "Exporters",
            [
                Panel(
                    title="Since the topic was read",
                    targets=[(f"time() - {metrics.EXPORTER_LAST_READ.name}", "{{instance}}")],
                    description="Time since an exporter had read its topic to the end.",
                    unit="s",
                ),
                Panel(
                    title="Series",
                    targets=[
                        (metrics.EXPORTER_SERIES.name, "{{instance}} served"),
                        (metrics.EXPORTER_SERIES_CUT.name, "{{instance}} cut"),
                    ],
                    description="Series of jobs that an exporter serves, and those that are more than allowed.",
                ),
                Panel(
                    title="Records that are no sample",
                    targets=[(f"increase({metrics.EXPORTER_BAD_SAMPLES.name}[1h])", "{{instance}}")],
                    description="Records of the metrics topic that cannot be read as a sample, in an hour.",
                    thresholds=BAD,
                ),
            ],
        ),
        (
            "Notifications",
            [
                Panel(
                    title="Told",
                    targets=[
                        (f"max by (receiver) (increase({one.name}[1h]))", f"{{{{receiver}}}} {word}")
                        for one, word in (
                            (metrics.NOTIFY_SENT, "sent"),
                            (metrics.NOTIFY_FAILED, "failed"),
                            (metrics.NOTIFY_REFUSED, "refused"),
                        )
                    ],
                    description="What receivers of incidents took, did not take yet, and refused, in an hour.",
                ),
                Panel(
                    title="Waiting",
                    targets=[(f"max by (receiver) ({metrics.NOTIFY_WAITING.name})", "{{receiver}}")],
                    description=metrics.NOTIFY_WAITING.help,
                    thresholds=BAD,
                ),
            ],
        ),
    ],
)
