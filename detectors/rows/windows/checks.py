"""Checks of a window's row scores: too many rows above the threshold, and p-values that have moved.

The threshold is an estimate from m held-out rows: the rate it really has is Beta(r, m + 1 - r) distributed,
r = alarm_rate * (m + 1) being the threshold's rank (Vovk, "Conditional validity of inductive conformal predictors",
Machine Learning 92, 2013, prop. 2a). Where several models scored in a window, the rows above each threshold are
counted together and compared with the highest rate that any of the models may have.
"""

import math

import msgspec
import pyarrow as pa
from scipy import stats

from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.windows.column_drift import moved_columns
from sparsewatch.detectors.rows.windows.drift import Drift, window_drift
from sparsewatch.detectors.rows.windows.summary import WORST_ROWS, RowScores
from sparsewatch.detectors.rows.windows.thresholds import RowCheck
from sparsewatch.schemas.alerts import Finding

UNLIKE_TRAINING = "rows_unlike_training"
DRIFT = "row_scores_drift"
MOVED = "columns_moved"
SUBJECT = "rows"


#: Columns named in a finding, the furthest first.
_MOST_COLUMNS = 50


def check_rows(scores: RowScores, settings: RowCheck) -> list[Finding]:
    """At most one finding, the strongest explanation; if both checks fire, the weaker is in `evidence["also"]`.

    Too many rows above the threshold is the stronger explanation: it names columns and rows to look at. Rows are
    assumed independent; `least_ratio` and `least_drift` are there for bursts of duplicate rows.
    """
    found = [finding for finding in (_unlike_training(scores, settings), _drifted(scores, settings)) if finding]
    if not found:
        return []
    first, *others = found
    also = [finding.rule for finding in others]
    return [msgspec.structs.replace(first, evidence={**first.evidence, "also": also})]


def check_columns(model: RowModel, rows: pa.RecordBatch, settings: RowCheck) -> list[Finding]:
    """At most one finding: columns that have moved, each tested by itself.

    Args:
        model: Holds the baseline of each column.
        rows: A uniform sample of the window's rows.
        settings: Levels and least distances.
    """
    if not rows.num_rows:
        return []
    moved = moved_columns(
        model.spread,
        model.encoder.transform(rows),
        model.encoder.names,
        model.encoder.first_features,
        least=settings.least_column_drift,
        level=settings.column_level,
    )
    if not moved:
        return []
    named = ", ".join(f"{drift.column} ({drift.what}, {drift.distance:.0%})" for drift in moved[:3])
    return [
        Finding(
            rule=MOVED,
            subject=SUBJECT,
            severity="warning",
            value=moved[0].distance,
            threshold=settings.least_column_drift,
            baseline=0.0,
            message=(
                f"the distribution of {len(moved)} of {len(model.encoder.names)} columns differs from the training "
                f"data; largest distances: {named}"
            ),
            evidence={
                "model": model.id,
                "rows": rows.num_rows,
                "moved": len(moved),
                "columns": moved[:_MOST_COLUMNS],
            },
        )
    ]


def carriers(scores: RowScores) -> dict[str, float]:
    """Share of the outliers that each column accounts for, largest first, without zeros."""
    counts: dict[str, int] = {}
    for model in scores.models:
        for name, number in zip(model.columns, model.carried, strict=True):
            counts[name] = counts.get(name, 0) + number
    ordered = sorted(((name, n) for name, n in counts.items() if n), key=lambda pair: (-pair[1], pair[0]))
    return {name: n / scores.above for name, n in ordered}


def _unlike_training(scores: RowScores, settings: RowCheck) -> Finding | None:
    """Fires from the smallest count that is at least `least_ratio` times the expected and improbable at `level`."""
    if not scores.rows or scores.above < (least := _alarm_count(scores, settings)):
        return None
    share = scores.above / scores.rows
    carried = carriers(scores)
    expected = _expected(scores) / scores.rows
    named = ", ".join(f"{name} ({part:.0%})" for name, part in list(carried.items())[:3])
    return Finding(
        rule=UNLIKE_TRAINING,
        subject=SUBJECT,
        severity="warning",
        value=share,
        threshold=least / scores.rows,
        baseline=expected,
        message=(f"{share:.1%} of {scores.rows} rows are outliers ({expected:.1%} expected); main columns: {named}"),
        evidence={
            "models": {model.model: model.rows for model in scores.models},
            "rows": scores.rows,
            "above": scores.above,
            "carried_by": carried,
            "p_values": list(scores.p_values),
            "worst": [row.as_json() for row in scores.worst[:WORST_ROWS]],
        },
    )


def _drifted(scores: RowScores, settings: RowCheck) -> Finding | None:
    drift = window_drift(scores)
    if drift is None or drift.distance < settings.least_drift or drift.chance > settings.drift_level:
        return None
    return Finding(
        rule=DRIFT,
        subject=SUBJECT,
        severity="warning",
        value=drift.distance,
        threshold=settings.least_drift,
        baseline=0.0,
        message=_moved(drift),
        evidence={**msgspec.structs.asdict(drift), "p_values": list(scores.p_values)},
    )


def _moved(drift: Drift) -> str:
    return (
        f"the distribution of row scores differs from the training data: {drift.share:.1%} of {drift.rows} rows have "
        f"p-values up to {drift.at:g} ({drift.usual:.1%} expected)"
    )


def _alarm_count(scores: RowScores, settings: RowCheck) -> int:
    """Fewest rows above the threshold that raise an alarm.

    Half of the level is spent on the threshold's true rate, divided among the models, the other half on the binomial
    test at the upper bound of that rate: trials at several rates succeed no more often than as many at the highest.
    """
    level = settings.level / 2 / len(scores.models)
    highest_rate = max(_highest_rate(model.alarm_rate, model.calibration_rows, level) for model in scores.models)
    improbable = int(stats.binom.isf(settings.level / 2, scores.rows, highest_rate)) + 1
    return max(improbable, math.ceil(settings.least_ratio * _expected(scores)))


def _highest_rate(alarm_rate: float, m: int, level: float) -> float:
    rank = int(alarm_rate * (m + 1) + 1e-9)
    return float(stats.beta.isf(level, rank, m + 1 - rank))


def _expected(scores: RowScores) -> float:
    """Rows above the threshold that are expected of rows like the training data."""
    return sum(model.alarm_rate * model.rows for model in scores.models)
