"""The dashboards of what jobs say of their streams: clicks, rows, wafers."""

from deploy.generate.dashboards import Dashboard
from deploy.generate.panels import BAD, JOB, Panel, of_metric
from deploy.generate.promql import of_jobs, summed
from sparsewatch.schemas import metrics

CLICKS = Dashboard(
    name="clicks",
    title="Sparsewatch: clicks",
    description="Rows, clicks and the ranking of features, window by window.",
    jobs=metrics.CLICK_RATIO,
    rows=[
        (
            "Stream",
            [
                of_metric(metrics.WINDOW_ROWS, "Rows a window", rules=["volume_low", "volume_high"]),
                of_metric(metrics.CLICK_RATIO, "Share of clicks", rules=["click_rate_shift"]),
                of_metric(metrics.CALIBRATION, "Clicks for each predicted", unit="none", rules=["calibration_shift"]),
            ],
        ),
        (
            "Features",
            [
                of_metric(
                    metrics.FEATURE_SCORE,
                    "Score",
                    width=12,
                    rules=["feature_signal_lost", "feature_signal_gained", "label_signal_lost"],
                ),
                of_metric(metrics.FEATURE_RANK, "Rank, 1 is best", width=12),
                of_metric(metrics.FEATURE_NULLS, "Share of nulls", rules=["feature_nulls", "feature_vanished"]),
                of_metric(metrics.FEATURE_CARDINALITY, "Distinct values", rules=["feature_cardinality"]),
                of_metric(metrics.FEATURE_MISTYPED, "Share of another type", rules=["feature_type_changed"]),
                of_metric(metrics.REDUNDANT_FEATURES, "Redundant features", width=12),
                of_metric(
                    metrics.LEAKAGE_SUSPECTS, "Suspected leaks", width=12, thresholds=BAD, rules=["leakage_suspected"]
                ),
            ],
        ),
        (
            "Over the last windows",
            [
                of_metric(metrics.SLIDING_SCORE, "Score over the last windows", width=12),
                of_metric(metrics.SLIDING_RANK, "Rank over the last windows", width=12),
                of_metric(metrics.RANK_OVERLAP, "Overlap with the baseline's ranking", width=12, rules=["rank_drift"]),
                of_metric(
                    metrics.FEATURE_DRIFT,
                    "Chance of such a change of score",
                    width=12,
                    logarithmic=True,
                    rules=["rank_drift"],
                ),
            ],
        ),
        (
            "Baseline",
            [
                Panel(
                    title="Windows learned",
                    targets=[
                        (of_jobs(metrics.BASELINE_WINDOWS, job=JOB), "{{job}} learned"),
                        (of_jobs(metrics.BASELINE_NEEDED, job=JOB), "{{job}} needed"),
                    ],
                    description="Windows that the baseline is learned of, and windows that it needs.",
                    width=12,
                )
            ],
        ),
    ],
)
ROWS = Dashboard(
    name="rows",
    title="Sparsewatch: rows",
    description="Rows that a model scores: how many are odd, and whether they are still those that it was trained on.",
    jobs=metrics.ROWS_SCORED,
    rows=[
        (
            "Rows",
            [
                Panel(
                    title="Rows a window",
                    targets=[
                        (of_jobs(metrics.WINDOW_ROWS, job=JOB), "{{job}} rows"),
                        (of_jobs(metrics.ROWS_SCORED, job=JOB), "{{job}} scored"),
                    ],
                    description="Rows of the last closed window, and those of them that a model scored.",
                    rules=["volume_low", "volume_high"],
                ),
                of_metric(metrics.ROW_ALARM_RATIO, "Share of outliers", rules=["rows_unlike_training"]),
                of_metric(metrics.FEATURE_MISTYPED, "Share of another type", rules=["feature_type_changed"]),
            ],
        ),
        (
            "Model",
            [
                of_metric(metrics.ROW_P_VALUE_MEDIAN, "Median p-value", rules=["row_scores_drift"]),
                of_metric(metrics.ROW_DRIFT, "Distance from the calibration", unit="none", rules=["row_scores_drift"]),
                of_metric(
                    metrics.ROW_DRIFT_CHANCE,
                    "Chance of such a distance",
                    logarithmic=True,
                    rules=["row_scores_drift"],
                ),
                of_metric(metrics.ROW_STABILITY, "Population stability index", unit="none"),
                of_metric(metrics.ROW_MODEL_VERSION, "Version of the model"),
                of_metric(metrics.USUAL_FINDINGS, "Findings that are as usual"),
            ],
        ),
    ],
)
_VERDICT_SHARE = (
    f"{of_jobs(metrics.WINDOW_WAFERS, job=JOB)} / on (job) group_left () ({summed(metrics.WINDOW_WAFERS, job=JOB)} > 0)"
)
WAFERS = Dashboard(
    name="wafers",
    title="Sparsewatch: wafers",
    description="Verdicts, known patterns, and patterns that nobody has named.",
    jobs=metrics.WINDOW_WAFERS,
    rows=[
        (
            "Wafers",
            [
                of_metric(metrics.WINDOW_WAFERS, "Wafers a window, by verdict", stacked=True, width=12),
                Panel(
                    title="Share of each verdict",
                    targets=[(_VERDICT_SHARE, "{{job}} {{verdict}}")],
                    description="Of the wafers of the last closed window.",
                    unit="percentunit",
                    width=12,
                    rules=["novel_pattern", "model_does_not_fit"],
                ),
                of_metric(
                    metrics.PATTERN_WAFERS,
                    "Wafers a window, by pattern",
                    stacked=True,
                    width=24,
                    rules=["pattern_rate_high", "pattern_concentrated"],
                ),
            ],
        ),
        (
            "Emerging patterns",
            [
                of_metric(metrics.OPEN_PATTERNS, "Patterns without a name", width=12, rules=["emerging_pattern"]),
                of_metric(metrics.UNEXPLAINED_WAFERS, "Novel-looking wafers of no pattern", width=12),
            ],
        ),
        (
            "Records of wafers",
            [
                of_metric(metrics.DEFECTS_OUTSIDE, "Defects outside of their wafers", rules=["defects_outside"]),
                of_metric(metrics.DEFECTS_OUTSIDE_RATIO, "Their share", rules=["defects_outside"]),
                of_metric(metrics.FEATURE_MISTYPED, "Share of another type", rules=["feature_type_changed"]),
            ],
        ),
    ],
)
