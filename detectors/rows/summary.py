"""What a window's row scores say: a mergeable summary, and the check that reads it.

The summary holds counts and the worst rows only, so merging is exact: any split of a window into blocks, merged in
any order, gives the same bytes. The check is a test of the share of rows beyond the model's threshold. That
threshold is itself an estimate from m held-out rows: the rate it really has is Beta(r, m + 1 - r) distributed,
r = alarm_rate * (m + 1) being the threshold's rank (Vovk, "Conditional validity of inductive conformal predictors",
Machine Learning 92, 2013, prop. 2a).
"""

import math
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from scipy import stats

from detectors.rows.model import RowModel
from schemas.alerts import Finding
from schemas.block import OFFSET, PARTITION, ROW
from schemas.errors import ConfigError, SchemaError, StateError

#: Bins of the histogram of p-values.
P_VALUE_BINS = 20
#: Worst rows kept.
WORST_ROWS = 10
#: Columns tried and named for each row beyond the threshold.
BLAMED_COLUMNS = 3

RULE = "rows_unlike_training"


class WorstRow(msgspec.Struct, frozen=True, array_like=True):
    """A row with a high score and the record it came from."""

    score: float
    partition: int
    offset: int
    row: int
    #: The columns that make it odd, with the fall of the score were they at their centre.
    columns: tuple[tuple[str, float], ...]

    @property
    def rank(self) -> tuple[float, int, int, int]:
        """Sort key: worst first, ties by position in the stream."""
        return (-self.score, self.partition, self.offset, self.row)


class RowScores(msgspec.Struct, frozen=True, kw_only=True):
    """Summary of scored rows, at most some kilobytes. Without arguments: of no rows."""

    #: Model that scored, empty before the first row.
    model: str = ""
    #: Share of training-like rows beyond the threshold.
    alarm_rate: float = 0.0
    #: Held-out rows that the threshold comes from.
    calibration_rows: int = 0
    #: The model's columns.
    columns: tuple[str, ...] = ()
    rows: int = 0
    #: Rows beyond the threshold.
    above: int = 0
    #: Of these, how many each column carries: the one without which the score falls most.
    #: Same order as `columns`.
    carried: tuple[int, ...] = ()
    #: Rows by p-value: bin i holds i / 20 < p <= (i + 1) / 20.
    p_values: tuple[int, ...] = (0,) * P_VALUE_BINS
    worst: tuple[WorstRow, ...] = ()

    def merge(self, other: "RowScores") -> "RowScores":
        """Summary of both; neither is changed.

        Raises:
            StateError: If they come from different models or alarm rates.
        """
        if not self.rows or not other.rows:
            return self if self.rows else other
        if self._origin != other._origin:
            raise StateError(
                f"expected row scores of one model and alarm rate, got {self._origin[:2]} and {other._origin[:2]}"
            )
        return msgspec.structs.replace(
            self,
            rows=self.rows + other.rows,
            above=self.above + other.above,
            carried=_sums(self.carried, other.carried),
            p_values=_sums(self.p_values, other.p_values),
            worst=tuple(sorted(self.worst + other.worst, key=lambda w: w.rank)[:WORST_ROWS]),
        )

    @property
    def _origin(self) -> tuple[str, float, int, tuple[str, ...]]:
        return (self.model, self.alarm_rate, self.calibration_rows, self.columns)

    def to_bytes(self) -> bytes:
        """Canonical encoding: equal summaries give equal bytes."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, stored: bytes) -> "RowScores":
        """Inverse of `to_bytes`.

        Raises:
            StateError: If the bytes are no such summary.
        """
        try:
            return msgspec.msgpack.decode(stored, type=cls)
        except msgspec.MsgspecError as error:
            raise StateError(f"expected stored row scores: {error}") from error


class RowCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the rows of a window count as unlike those of the training."""

    #: Chance of a false alarm per window, uncertainty of the threshold included.
    level: float = 1e-6
    #: Least share of rows beyond the threshold, in multiples of the alarm rate.
    least_ratio: float = 3.0

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ConfigError(f"level: expected a chance between 0 and 1, got {self.level}")
        if not self.least_ratio >= 1:
            raise ConfigError(f"least_ratio: expected at least 1, got {self.least_ratio}")


def score_block(model: RowModel, rows: pa.RecordBatch, alarm_rate: float) -> RowScores:
    """Score the rows of a block and summarise them.

    Args:
        model: The model; columns are found by name.
        rows: Rows of one window, with the columns of `schemas.block.META`.
        alarm_rate: Share of training-like rows beyond the threshold.

    Raises:
        SchemaError: If a column is missing or of a wrong type.
        ConfigError: If the model's calibration is too small for `alarm_rate`.
    """
    threshold = model.threshold(alarm_rate)
    if rows.num_rows == 0:
        return RowScores()
    X = model.encoder.transform(rows)
    scores = model.score_matrix(X)
    above = scores > threshold
    positions = _positions(rows)
    worst = _worst(scores, positions)
    shown = np.concatenate([worst, np.setdiff1d(np.flatnonzero(above), worst)])
    blamed, falls = model.blame_matrix(X[shown], BLAMED_COLUMNS)
    carried = np.bincount(blamed[above[shown], 0], minlength=len(model.usual))
    names = model.encoder.names
    return RowScores(
        model=model.id,
        alarm_rate=alarm_rate,
        calibration_rows=len(model.calibration),
        columns=names,
        rows=rows.num_rows,
        above=int(above.sum()),
        carried=tuple(carried.tolist()),
        p_values=_histogram(model.p_values(scores)),
        worst=tuple(
            _worst_row(float(scores[row]), positions[row], [names[j] for j in blamed[i]], falls[i])
            for i, row in enumerate(worst)
        ),
    )


def check_rows(scores: RowScores, settings: RowCheck) -> list[Finding]:
    """At most one finding: too many rows beyond the threshold.

    Fires from the smallest count on that is both `least_ratio` times the expected one and improbable at
    `level`. Half of the level is spent on the threshold's true rate, the other half on the binomial test
    at the upper bound of that rate. Rows are taken as independent; bursts of equal rows are what
    `least_ratio` is for.
    """
    if scores.rows == 0:
        return []
    least = _alarm_count(scores, settings)
    if scores.above < least:
        return []
    share = scores.above / scores.rows
    carriers = _carriers(scores)
    named = ", ".join(f"{name} ({part:.0%})" for name, part in list(carriers.items())[:3])
    return [
        Finding(
            rule=RULE,
            subject="rows",
            severity="warning",
            value=share,
            threshold=least / scores.rows,
            baseline=scores.alarm_rate,
            message=(
                f"{share:.1%} of {scores.rows} rows are unlike the training's, where"
                f" {scores.alarm_rate:.1%} were; mostly by {named}"
            ),
            evidence={
                "model": scores.model,
                "rows": scores.rows,
                "above": scores.above,
                "carried_by": carriers,
                "p_values": list(scores.p_values),
                "worst": [_as_evidence(row) for row in scores.worst],
            },
        )
    ]


def _alarm_count(scores: RowScores, settings: RowCheck) -> int:
    """Fewest rows beyond the threshold that raise an alarm."""
    m = scores.calibration_rows
    rank = int(scores.alarm_rate * (m + 1) + 1e-9)
    highest_rate = stats.beta.isf(settings.level / 2, rank, m + 1 - rank)
    improbable = int(stats.binom.isf(settings.level / 2, scores.rows, highest_rate)) + 1
    return max(improbable, math.ceil(settings.least_ratio * scores.alarm_rate * scores.rows))


def _carriers(scores: RowScores) -> dict[str, float]:
    """Share of the rows beyond the threshold that each column carries, largest first, without zeros."""
    counted = zip(scores.columns, scores.carried, strict=True)
    ordered = sorted(((name, n) for name, n in counted if n), key=lambda pair: (-pair[1], pair[0]))
    return {name: n / scores.above for name, n in ordered}


def _as_evidence(row: WorstRow) -> dict[str, Any]:
    return msgspec.structs.asdict(row) | {"columns": dict(row.columns)}


def _sums(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(left, right, strict=True))


def _positions(rows: pa.RecordBatch) -> np.ndarray:
    """Partition, offset and row of each row, int64 of shape (n, 3)."""
    try:
        columns = [rows.column(name).to_numpy() for name in (PARTITION, OFFSET, ROW)]
    except KeyError as error:
        raise SchemaError(f"expected the columns of a block, got {rows.schema.names}") from error
    return np.stack(columns, axis=1).astype(np.int64)


def _worst(scores: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Indices of the rows with the highest scores, worst first, ties by position."""
    k = min(WORST_ROWS, len(scores))
    at_least = np.partition(scores, len(scores) - k)[len(scores) - k]
    candidates = np.flatnonzero(scores >= at_least)
    partition, offset, row = positions[candidates].T
    return candidates[np.lexsort((row, offset, partition, -scores[candidates]))[:k]]


def _worst_row(score: float, position: np.ndarray, columns: list[str], falls: np.ndarray) -> WorstRow:
    partition, offset, row = position.tolist()
    blamed = tuple(zip(columns, falls.tolist(), strict=True))
    return WorstRow(score=score, partition=partition, offset=offset, row=row, columns=blamed)


def _histogram(p_values: np.ndarray) -> tuple[int, ...]:
    bins = np.ceil(p_values * P_VALUE_BINS).astype(np.int64) - 1
    return tuple(np.bincount(bins, minlength=P_VALUE_BINS).tolist())
