"""Input and output of a watched model, window by window: scored by a row model, in a mergeable summary.

Rows have no position in a stream here, so they are distinguished by a hash of their values in place of the offset.
Duplicate rows share it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from sparsewatch.detectors.counts.value_hashes import combine_hashes, hash_values
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.windows.checks import Drift, check_rows, window_drift
from sparsewatch.detectors.rows.windows.summary import WORST_ROWS, RowScores, WorstRow, score_encoded
from sparsewatch.detectors.rows.windows.thresholds import RowCheck
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.errors import SchemaError
from sparsewatch.schemas.stored import Format

FORMAT = Format("stored watched rows")
REPORT = Format("a report on inference")


class WatchedRows(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Summary of watched rows, some kilobytes. Without arguments: of no rows."""

    #: The context of each worst row holds its values in the row model's columns.
    scores: RowScores = RowScores()
    #: Rows by the model that was watched, as its results name it; by name.
    by_model: dict[str, int] = {}
    #: Examples that could not be scored.
    unusable: int = 0

    def merge(self, other: "WatchedRows") -> "WatchedRows":
        """Summary of both; neither is changed.

        Raises:
            StateError: If they were scored with different alarm rates.
        """
        names = sorted(self.by_model.keys() | other.by_model.keys())
        return WatchedRows(
            scores=self.scores.merge(other.scores),
            by_model={name: self.by_model.get(name, 0) + other.by_model.get(name, 0) for name in names},
            unusable=self.unusable + other.unusable,
        )

    def to_bytes(self) -> bytes:
        """Canonical encoding: equal summaries give equal bytes."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, stored: bytes) -> "WatchedRows":
        """Inverse of `to_bytes`.

        Raises:
            StateError: If the bytes are no such summary.
        """
        return FORMAT.unpack(stored, cls)


class OddRow(msgspec.Struct, frozen=True, kw_only=True):
    """One of a window's worst rows."""

    p_value: float
    score: float
    #: The columns that make it odd, with the fall of the score were they at their centre.
    blamed: dict[str, float]
    #: Its values, of the row model's columns.
    values: dict[str, Any]


class InferenceReport(msgspec.Struct, frozen=True, kw_only=True):
    """Report of one window on a watched model."""

    #: Window in microseconds since the epoch; the end is exclusive.
    window_start_us: int
    window_end_us: int
    #: Rows by the row model that judged, name and version.
    judged_by: dict[str, int]
    #: Rows by the watched model, as its results name it.
    by_model: dict[str, int]
    rows: int
    #: Examples that could not be scored; they are no rows.
    unusable: int
    #: Rows above the threshold, and their share.
    above: int
    share_above: float
    #: Rows by p-value, 20 equal bins; about equally many in each if the rows are like the training data.
    p_values: tuple[int, ...]
    #: How far the p-values moved; None without rows.
    drift: Drift | None
    #: Worst first.
    worst: tuple[OddRow, ...]
    findings: tuple[Finding, ...]


def watch_rows(model: RowModel, rows: pa.RecordBatch, by_model: Mapping[str, int], alarm_rate: float) -> WatchedRows:
    """Score rows and summarise them.

    Args:
        model: The row model; its columns are found by name.
        rows: Input and output of the watched models.
        by_model: How many of the rows each watched model saw.
        alarm_rate: Share of training-like rows above the threshold.

    Raises:
        SchemaError: If a column is missing or of a wrong type.
        ConfigError: If the model's calibration is too small for `alarm_rate`.
    """
    known = _columns(rows, model.encoder.names)
    X = model.encoder.transform(known)
    positions = np.zeros((len(X), 3), dtype=np.int64)
    positions[:, 1] = row_hashes(known)
    scores = score_encoded(model, X, positions, alarm_rate, context=known)
    return WatchedRows(scores=scores, by_model={name: n for name, n in sorted(by_model.items()) if n})


def report_on(watched: WatchedRows, check: RowCheck, window_us: tuple[int, int]) -> InferenceReport:
    """The report of a window.

    Args:
        watched: Summary of the whole window.
        check: When its rows count as unlike the training data.
        window_us: Start and end in microseconds since the epoch.
    """
    scores = watched.scores
    return InferenceReport(
        window_start_us=window_us[0],
        window_end_us=window_us[1],
        judged_by={model.model: model.rows for model in scores.models},
        by_model=watched.by_model,
        rows=scores.rows,
        unusable=watched.unusable,
        above=scores.above,
        share_above=scores.above / max(1, scores.rows),
        p_values=scores.p_values,
        drift=window_drift(scores),
        worst=tuple(_odd_row(row) for row in scores.worst[:WORST_ROWS]),
        findings=tuple(check_rows(scores, check)),
    )


def row_hashes(rows: pa.RecordBatch) -> np.ndarray:
    """Hashes by which rows are distinguished, int64 >= 0 of shape (n,); those of equal rows are equal.

    Raises:
        SchemaError: If a column is neither numbers, texts nor booleans.
    """
    columns = zip(rows.schema.names, rows.columns, strict=True)
    hashes = combine_hashes([hash_values(_plain(column), name) for name, column in columns])
    return (hashes >> np.uint64(1)).astype(np.int64)


def _plain(column: pa.Array) -> pa.Array:
    """Numbers of any type as floats: a batch that happens to hold whole numbers only must hash like others."""
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return column.cast(pa.float64(), safe=False)
    return column


def _columns(rows: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    if missing := [name for name in names if name not in rows.schema.names]:
        raise SchemaError(f"expected columns {', '.join(missing)}, got {', '.join(rows.schema.names)}")
    return rows.select(list(names))


def _odd_row(row: WorstRow) -> OddRow:
    return OddRow(p_value=row.p_value, score=row.score, blamed=dict(row.columns), values=row.context)
