"""Every metric, declared once: samples are made of these, and docs, rules and dashboards are written of them.

`make metrics` writes what follows from a change. The order is that of the docs, and of the exporter where it cannot
serve all: what tells whether a job works comes first, what is as many as features or patterns comes last.
"""

from functools import partial

from sparsewatch.schemas.metric import Metric, Owner

#: Features or columns of a job that have series of their own: the best ranked, or the first of a job that ranks none.
FEATURES = 50
#: Partitions of a source that have series of their own.
PARTITIONS = 1_000
_CLICKS: tuple[Owner, ...] = ("ctr",)
_WAFERS: tuple[Owner, ...] = ("wafer",)
_WITH_ROWS: tuple[Owner, ...] = ("ctr", "rows")
_EXPORTER: tuple[Owner, ...] = ("exporter",)
_gauge, _counter = partial(Metric, kind="gauge"), partial(Metric, kind="counter")
_SCORED = "with `[rows]`"

RECORDS = _counter(
    name="sparsewatch_records_total",
    unit="records",
    help="Records read, by outcome: counted, late or rejected.",
    labels=("outcome",),
    series=3,
)
RECORDS_LOST = _counter(
    name="sparsewatch_records_lost_total",
    unit="records",
    help="Offsets that were gone before they were read: so many records at most.",
)
WINDOWS_CLOSED = _counter(name="sparsewatch_windows_closed_total", unit="windows", help="Windows closed and committed.")
WINDOWS_WAITING = _gauge(
    name="sparsewatch_windows_waiting",
    unit="windows",
    help="Windows that are closed and not committed: above 0 for long, commits have stopped.",
)
WINDOW_END = _gauge(
    name="sparsewatch_window_end_timestamp_seconds",
    unit="seconds",
    help="End of the last closed window, in event time.",
)
WINDOW_CLOSED = _gauge(
    name="sparsewatch_window_closed_timestamp_seconds",
    unit="seconds",
    help="When the last window was closed, by the clock.",
)
HEARTBEAT = _gauge(
    name="sparsewatch_heartbeat_seconds",
    unit="seconds",
    help="From when the newest record came to the broker until the last window was closed; none in a silent window.",
)
WINDOW_ALERTS = _gauge(name="sparsewatch_window_alerts", unit="alerts", help="Alerts of the last closed window.")
MUTED_FINDINGS = _gauge(
    name="sparsewatch_window_muted_findings",
    unit="findings",
    help="Findings of the last closed window that raise no alert, by order of a person.",
)
INCIDENTS_FIRING = _gauge(
    name="sparsewatch_incidents_firing",
    unit="incidents",
    help="Incidents that are not over, by severity.",
    labels=("severity",),
    series=3,
)
SILENCE = _gauge(
    name="sparsewatch_silence_seconds",
    unit="seconds",
    help="Event time without an event, up to the end of the last closed window; 0 if it had one.",
)
UNNAMED_FIELDS = _gauge(
    name="sparsewatch_unnamed_fields",
    unit="fields",
    help="Fields of JSON events that the job does not name, as far as it knows them.",
)
ALERTS_FILE_MISSED = _counter(
    name="sparsewatch_alerts_file_missed_total",
    unit="alerts",
    help="Alerts that could not be written to the alerts file; they are in their topic.",
    needs="with `output.alerts_file`",
)
MISTYPED_CELLS = _gauge(
    name="sparsewatch_window_mistyped_cells",
    unit="cells",
    help="Cells of the last closed window whose value is of another type than their column; they count as nulls.",
)

PARTITION_READ = _gauge(
    name="sparsewatch_partition_read_offset",
    unit="offset",
    help="Next offset of a partition of the source that is not read, as of the last committed window.",
    labels=("partition",),
    series=PARTITIONS,
)
PARTITION_END = _gauge(
    name="sparsewatch_partition_end_offset",
    unit="offset",
    help="Offset behind the last record of a partition of the source, as the broker says now.",
    of=_EXPORTER,
    labels=("job", "partition"),
    series=PARTITIONS,
    needs="with a job file",
)

WINDOW_ROWS = _gauge(name="sparsewatch_window_rows", unit="rows", help="Rows of the last closed window.", of=_WITH_ROWS)
CLICK_RATIO = _gauge(
    name="sparsewatch_window_click_ratio",
    unit="ratio",
    help="Share of clicks in the last closed window.",
    of=_CLICKS,
)
CALIBRATION = _gauge(
    name="sparsewatch_window_calibration_ratio",
    unit="ratio",
    help="Clicks of the last closed window for each that is predicted.",
    of=_CLICKS,
    needs="with `checks.prediction`",
)
BASELINE_WINDOWS = _gauge(
    name="sparsewatch_baseline_windows",
    unit="windows",
    help="Windows that the baseline is learned of.",
    of=(*_CLICKS, "wafer"),
    needs="without `checks.reference`, or with `wafers.learning`",
)
BASELINE_NEEDED = _gauge(
    name="sparsewatch_baseline_windows_needed",
    unit="windows",
    help="Windows that a baseline needs before one is checked.",
    of=(*_CLICKS, "wafer"),
    needs="without `checks.reference`, or with `wafers.learning`",
)
RANK_OVERLAP = _gauge(
    name="sparsewatch_rank_overlap_ratio",
    unit="ratio",
    help="Rank-biased overlap of the ranking over the last windows with that of the baseline; 1 if they agree.",
    of=_CLICKS,
    needs="with `ranking.panes`",
)
REDUNDANT_FEATURES = _gauge(
    name="sparsewatch_redundant_features",
    unit="features",
    help="Features of the last closed window that are redundant with a better feature.",
    of=_CLICKS,
    needs="with `ranking.sample_rows`",
)
LEAKAGE_SUSPECTS = _gauge(
    name="sparsewatch_leakage_suspects",
    unit="features",
    help="Features of the last closed window that are suspected leaks.",
    of=_CLICKS,
    needs="with `ranking.sample_rows`",
)

ROWS_SCORED = _gauge(
    name="sparsewatch_rows_scored",
    unit="rows",
    help="Rows of the last closed window that a model scored.",
    of=_WITH_ROWS,
    needs=_SCORED,
)
ROW_ALARM_RATIO = _gauge(
    name="sparsewatch_row_alarm_ratio",
    unit="ratio",
    help="Share of rows of the last closed window that are outliers.",
    of=_WITH_ROWS,
    needs=_SCORED,
)
ROW_P_VALUE_MEDIAN = _gauge(
    name="sparsewatch_row_p_value_median",
    unit="probability",
    help="Median p-value of rows, 0.5 if nothing changed.",
    of=_WITH_ROWS,
    needs=_SCORED,
)
ROW_DRIFT = _gauge(
    name="sparsewatch_row_p_value_drift",
    unit="distance",
    help="Distance of the p-values of rows from those of calibration rows, from 0 to 1.",
    of=_WITH_ROWS,
    needs=_SCORED,
)
ROW_DRIFT_CHANCE = _gauge(
    name="sparsewatch_row_p_value_drift_chance",
    unit="probability",
    help="Probability of such a distance if nothing changed.",
    of=_WITH_ROWS,
    needs=_SCORED,
)
ROW_STABILITY = _gauge(
    name="sparsewatch_row_p_value_stability_index",
    unit="nats",
    help="Population stability index of the p-values of rows.",
    of=_WITH_ROWS,
    needs=_SCORED,
)
# The version is the value, not a label: a label a version would add up over years on the exporter's page.
ROW_MODEL_VERSION = _gauge(
    name="sparsewatch_row_model_version",
    unit="version",
    help="Version of the row model that scored most rows of the last closed window.",
    of=_WITH_ROWS,
    labels=("model",),
    series=2,
    needs=_SCORED,
)
USUAL_FINDINGS = _gauge(
    name="sparsewatch_row_findings_usual",
    unit="findings",
    help="What the row model finds in the last closed window as in those before, told no more.",
    of=("rows",),
    needs="with `rows.learning`",
)

WINDOW_WAFERS = _gauge(
    name="sparsewatch_window_wafers",
    unit="wafers",
    help="Wafers of the last closed window, by verdict: known, normal, novel or model_does_not_fit.",
    of=_WAFERS,
    labels=("verdict",),
    series=4,
)
DEFECTS_OUTSIDE = _gauge(
    name="sparsewatch_window_defects_outside",
    unit="defects",
    help="Defects outside of their wafers in the last closed window.",
    of=_WAFERS,
)
DEFECTS_OUTSIDE_RATIO = _gauge(
    name="sparsewatch_window_defects_outside_ratio",
    unit="ratio",
    help="Defects outside of their wafers in the last closed window, share of all.",
    of=_WAFERS,
)
OPEN_PATTERNS = _gauge(
    name="sparsewatch_open_patterns",
    unit="patterns",
    help="Emerging patterns that nobody has named or dismissed.",
    of=_WAFERS,
)
UNEXPLAINED_WAFERS = _gauge(
    name="sparsewatch_unexplained_wafers",
    unit="wafers",
    help="Novel-looking wafers of no pattern, over the last windows.",
    of=_WAFERS,
)
PATTERN_WAFERS = _gauge(
    name="sparsewatch_window_pattern_wafers",
    unit="wafers",
    help="Wafers of the last closed window, by known pattern.",
    of=_WAFERS,
    labels=("pattern",),
    series=200,
)

_of_features = partial(_gauge, labels=("feature",), series=FEATURES)
FEATURE_MISTYPED = _of_features(
    name="sparsewatch_feature_mistyped_ratio",
    unit="ratio",
    help="Share of rows whose value is of another type than the column; they are among the nulls.",
)
FEATURE_SCORE = _of_features(
    name="sparsewatch_feature_score_nats",
    unit="nats",
    help="Mutual information of the feature and the click, less its expectation by chance.",
    of=_CLICKS,
)
FEATURE_RANK = _of_features(name="sparsewatch_feature_rank", unit="rank", help="Rank by score, 1 is best.", of=_CLICKS)
FEATURE_CARDINALITY = _of_features(
    name="sparsewatch_feature_cardinality",
    unit="values",
    help="Distinct values in the last closed window.",
    of=_CLICKS,
)
FEATURE_NULLS = _of_features(
    name="sparsewatch_feature_null_ratio",
    unit="ratio",
    help="Share of nulls in the last closed window.",
    of=_CLICKS,
)
SLIDING_SCORE = _of_features(
    name="sparsewatch_sliding_score_nats",
    unit="nats",
    help="Mutual information less its expectation by chance, over the last windows.",
    of=_CLICKS,
    needs="with `ranking.panes`",
)
SLIDING_RANK = _of_features(
    name="sparsewatch_sliding_rank",
    unit="rank",
    help="Rank by score over the last windows, 1 is best.",
    of=_CLICKS,
    needs="with `ranking.panes`",
)
FEATURE_DRIFT = _of_features(
    name="sparsewatch_feature_drift_p_value",
    unit="probability",
    help="Probability of as large a change of the feature's score if nothing changed.",
    of=_CLICKS,
    needs="with `ranking.panes`",
)

EXPORTER_UP = _gauge(
    name="sparsewatch_exporter_up",
    unit="1 or 0",
    help="Whether the last read of the metrics topic succeeded.",
    of=_EXPORTER,
)
EXPORTER_LAST_READ = _gauge(
    name="sparsewatch_exporter_last_read_timestamp_seconds",
    unit="seconds",
    help="Last time at which the metrics topic had been read to its end.",
    of=_EXPORTER,
)
EXPORTER_BAD_SAMPLES = _counter(
    name="sparsewatch_exporter_bad_samples_total",
    unit="records",
    help="Records of the metrics topic that cannot be read as a sample.",
    of=_EXPORTER,
)
EXPORTER_SERIES = _gauge(
    name="sparsewatch_exporter_series",
    unit="series",
    help="Series of jobs that are served.",
    of=_EXPORTER,
)
EXPORTER_SERIES_CUT = _gauge(
    name="sparsewatch_exporter_series_cut",
    unit="series",
    help="Series that are not served, since there are more of their metric, or in all, than is allowed.",
    of=_EXPORTER,
)

#: Receivers that one `notify` tells.
RECEIVERS = 20
_of_receivers = partial(Metric, of=("notify",), labels=("receiver",), series=RECEIVERS)
NOTIFY_SENT = _of_receivers(
    name="sparsewatch_notify_sent_total",
    kind="counter",
    unit="updates",
    help="What a receiver took: updates of incidents; an Alertmanager alerts, each send of one.",
)
NOTIFY_REFUSED = _of_receivers(
    name="sparsewatch_notify_refused_total",
    kind="counter",
    unit="updates",
    help="Updates of incidents that a webhook refused for good; the log names each.",
)
NOTIFY_FAILED = _of_receivers(
    name="sparsewatch_notify_failed_total",
    kind="counter",
    unit="tries",
    help="Tries to tell a receiver that failed and are repeated.",
)
NOTIFY_WAITING = _of_receivers(
    name="sparsewatch_notify_waiting",
    kind="gauge",
    unit="updates",
    help="What a receiver has not taken yet.",
)

#: All of them, in their order.
METRICS = tuple(declared for declared in list(globals().values()) if isinstance(declared, Metric))
