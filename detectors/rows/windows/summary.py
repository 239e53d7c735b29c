"""Mergeable summary of a window's row scores, with a part for each model that scored.

The summary holds counts and the worst rows only, so merging is exact: any split of a window into blocks, merged in
any order, gives the same bytes. Models may change places within a window. Their scores cannot be compared, so rows are
counted by model, and ordered by p-value.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from sparsewatch.detectors.conformal import (
    FINE_BINS,
    Counts,
    calibration_counts,
    equal_counts,
    fine_counts,
)
from sparsewatch.detectors.rows.model import RowModel, to_blame
from sparsewatch.detectors.rows.windows.blocks import StoredSpread
from sparsewatch.schemas.block import EVENT_TIME_US, OFFSET, PARTITION, ROW, SOURCE
from sparsewatch.schemas.errors import SchemaError, StateError
from sparsewatch.schemas.stored import Format

FORMAT = Format("stored row scores")
#: Worst rows held, above the threshold or not.
WORST_ROWS = 10
#: Columns tried and named for each row above the threshold.
BLAMED_COLUMNS = 3


class WorstRow(msgspec.Struct, frozen=True, array_like=True):
    """A row with a small p-value and the record it came from."""

    p_value: float
    score: float
    partition: int
    offset: int
    row: int
    #: The columns that make it odd, with the fall of the score if they were at their centre.
    columns: tuple[tuple[str, float], ...]
    #: Model that scored it.
    model: str
    #: Event time and identifying columns, by name.
    context: dict[str, Any] = {}

    @property
    def rank(self) -> tuple[float, float, int, int, int]:
        """Sort key: worst first, ties by position in the stream."""
        return (self.p_value, -self.score, self.partition, self.offset, self.row)

    def as_json(self) -> dict[str, Any]:
        """The row as records state it, JSON types."""
        context = {name: value for name, value in self.context.items() if name != SOURCE}
        time = {"event_time_us": context.pop(EVENT_TIME_US)} if EVENT_TIME_US in context else {}
        plain = {name: getattr(self, name) for name in ("p_value", "score", "model", "partition", "offset", "row")}
        return plain | time | {"columns": dict(self.columns), "identity": context}


class ModelScores(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Counts of the rows that one model scored."""

    model: str
    #: Share of training-like rows above the threshold.
    alarm_rate: float
    #: The model's columns.
    columns: tuple[str, ...]
    #: Calibration rows by p-value, see `conformal.calibration_counts`; the threshold is estimated from them.
    calibration: Counts
    #: Rows by p-value in the same bins.
    p_values: Counts
    #: Rows above the threshold.
    above: int
    #: How many of these each column accounts for: as the column without which the score falls most.
    #: Same order as `columns`.
    carried: Counts
    #: `RowModel.score_blocks`.
    blocks: StoredSpread | None = None

    @property
    def rows(self) -> int:
        """Rows it scored."""
        return sum(self.p_values)

    @property
    def calibration_rows(self) -> int:
        """Held-out rows from which the threshold is estimated."""
        return sum(self.calibration)

    def merge(self, other: "ModelScores") -> "ModelScores":
        """Counts of both; neither is changed.

        Raises:
            StateError: If they are of different models or alarm rates.
        """
        if self._origin != other._origin:
            raise StateError(
                f"expected row scores of one model and alarm rate, got {self._origin[:2]} and {other._origin[:2]}"
            )
        return msgspec.structs.replace(
            self,
            above=self.above + other.above,
            carried=_sums(self.carried, other.carried),
            p_values=_sums(self.p_values, other.p_values),
        )

    @property
    def _origin(self) -> tuple[str, float, tuple[str, ...], Counts]:
        return (self.model, self.alarm_rate, self.columns, self.calibration)


class RowScores(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Summary of scored rows: some kilobytes, and some hundred bytes a worst row. Without arguments: of no rows."""

    #: By name of the model.
    models: tuple[ModelScores, ...] = ()
    #: The worst rows: at least `WORST_ROWS`, and of those above the threshold as many as `results`.
    worst: tuple[WorstRow, ...] = ()
    results: int = 0

    @property
    def rows(self) -> int:
        """Rows scored."""
        return sum(model.rows for model in self.models)

    @property
    def above(self) -> int:
        """Rows above the threshold of the model that scored them."""
        return sum(model.above for model in self.models)

    @property
    def p_values(self) -> Counts:
        """Rows by p-value, 20 equal bins: bin i holds i / 20 < p <= (i + 1) / 20."""
        return equal_counts(self.fine_p_values)

    @property
    def fine_p_values(self) -> Counts:
        """Rows by p-value in the finer bins of `conformal.fine_counts`."""
        return _sums((0,) * FINE_BINS, *(model.p_values for model in self.models))

    @property
    def outliers(self) -> tuple[WorstRow, ...]:
        """The worst rows above the threshold, at most `results`."""
        # A row above the threshold has a smaller p-value than any row that is not.
        return self.worst[: min(self.above, self.results)]

    def merge(self, other: "RowScores") -> "RowScores":
        """Summary of both; neither is changed.

        Raises:
            StateError: If they hold counts of one model with different alarm rates, calibrations or columns.
        """
        if not self.models or not other.models:
            return self if self.models else other
        models = {scores.model: scores for scores in self.models}
        for scores in other.models:
            models[scores.model] = models[scores.model].merge(scores) if scores.model in models else scores
        merged = RowScores(
            models=tuple(models[name] for name in sorted(models)), results=max(self.results, other.results)
        )
        worst = sorted(self.worst + other.worst, key=lambda row: row.rank)
        return msgspec.structs.replace(merged, worst=tuple(worst[: _n_worst(merged.above, merged.results)]))

    def to_bytes(self) -> bytes:
        """Canonical encoding: equal summaries give equal bytes."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, stored: bytes) -> "RowScores":
        """Inverse of `to_bytes`.

        Raises:
            StateError: If the bytes are no such summary.
        """
        return FORMAT.unpack(stored, cls)


def score_encoded(
    model: RowModel,
    X: np.ndarray,
    positions: np.ndarray,
    alarm_rate: float,
    *,
    scores: np.ndarray | None = None,
    context: pa.RecordBatch | None = None,
    results: int = 0,
) -> RowScores:
    """Score encoded rows and summarise them.

    Args:
        model: The model.
        X: Its encoded rows, float32 of shape (n, d).
        positions: Partition, offset and row of each, which distinguish rows; int64 of shape (n, 3).
        alarm_rate: Share of training-like rows above the threshold.
        scores: Of the rows, float32 of shape (n,), if they are known already.
        context: Event time and identifying columns of the rows, n rows; the worst rows repeat them.
        results: Most rows above the threshold that the summary holds, the worst first; `WORST_ROWS` it always holds.

    Raises:
        ConfigError: If the model's calibration is too small for `alarm_rate`.
    """
    threshold = model.threshold(alarm_rate)
    if not len(X):
        return RowScores()
    scores = model.score_matrix(X) if scores is None else scores
    above = scores > threshold
    worst = _worst(scores, positions, _n_worst(int(above.sum()), results))
    shown = np.concatenate([worst, np.setdiff1d(np.flatnonzero(above), worst)])
    blamed, falls = model.blame_matrix(X[shown], BLAMED_COLUMNS)
    names = model.encoder.names
    counts = ModelScores(
        model=model.id,
        alarm_rate=alarm_rate,
        columns=names,
        calibration=calibration_counts(model.calibration),
        p_values=fine_counts(scores, model.calibration),
        above=int(above.sum()),
        carried=tuple(np.bincount(blamed[above[shown], 0], minlength=len(names)).tolist()),
        blocks=None if model.score_blocks is None else model.score_blocks.stored(),
    )
    n = len(worst)
    worst_rows = _worst_rows(model, scores[worst], positions[worst], blamed[:n], falls[:n])
    if context is not None:
        values = context.take(pa.array(worst)).to_pylist()
        worst_rows = [
            msgspec.structs.replace(row, context=value) for row, value in zip(worst_rows, values, strict=True)
        ]
    return RowScores(models=(counts,), worst=tuple(worst_rows), results=results)


def positions_of(rows: pa.RecordBatch) -> np.ndarray:
    """Partition, offset and row of each row, int64 of shape (n, 3).

    Raises:
        SchemaError: If the rows lack the columns of a block.
    """
    try:
        columns = [rows.column(name).to_numpy() for name in (PARTITION, OFFSET, ROW)]
    except KeyError as error:
        raise SchemaError(f"expected the columns of a block, got {rows.schema.names}") from error
    return np.stack(columns, axis=1).astype(np.int64)


def _n_worst(above: int, results: int) -> int:
    """How many of the worst rows a summary holds if `above` rows are above the threshold."""
    return max(WORST_ROWS, min(above, results))


def _worst(scores: np.ndarray, positions: np.ndarray, most: int) -> np.ndarray:
    """Indices of the rows with the highest scores, worst first, ties by position."""
    k = min(most, len(scores))
    at_least = np.partition(scores, len(scores) - k)[len(scores) - k]
    candidates = np.flatnonzero(scores >= at_least)
    partition, offset, row = positions[candidates].T
    return candidates[np.lexsort((row, offset, partition, -scores[candidates]))[:k]]


def _worst_rows(
    model: RowModel, scores: np.ndarray, positions: np.ndarray, blamed: np.ndarray, falls: np.ndarray
) -> Sequence[WorstRow]:
    names = np.array(model.encoder.names, dtype=object)[blamed]
    columns = [
        tuple(zip(name[large].tolist(), fall[large].tolist(), strict=True))
        for name, fall, large in zip(names, falls, to_blame(falls), strict=True)
    ]
    rows = zip(model.p_values(scores).tolist(), scores.tolist(), positions.tolist(), columns, strict=True)
    return [
        WorstRow(p, score, partition, offset, row, by_column, model.id)
        for p, score, (partition, offset, row), by_column in rows
    ]


def _sums(*counts: Counts) -> Counts:
    return tuple(map(sum, zip(*counts, strict=True)))
