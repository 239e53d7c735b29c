"""A shadow run: two row models score the same rows, and the counts decide whether they change places.

The state is a joint histogram of the p-values of both models and the rows above each threshold, so merging is exact.
Scores of two models cannot be compared; their p-values can (see `conformal`).
"""

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import stats

from sparsewatch.detectors.conformal import P_VALUE_BINS, p_value_bins
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.schemas.errors import StateError
from sparsewatch.schemas.settings import Level, Range, Settings, Share
from sparsewatch.schemas.stored import Format

FORMAT = Format("stored shadows")
#: Too few alarms down to this part of the target are excused by an uncertain threshold.
_EXCUSED = 10


class ShadowScores(msgspec.Struct, frozen=True, kw_only=True):
    """Scores of two models for the same rows, as counts of about 2 kB."""

    #: The model whose scores count, and the shadow model, whose scores are only recorded; name and version each.
    present: str
    candidate: str
    #: Share of training-like rows above each threshold.
    alarm_rate: float
    #: Held-out rows from which each threshold is estimated.
    present_calibration: int
    candidate_calibration: int
    rows: int
    #: Rows above the threshold of each model, and above both.
    above_present: int
    above_candidate: int
    above_both: int
    #: Rows by p-values: entry 20 * i + j holds bin i of the present model and bin j of the candidate, see `RowScores`.
    joint: tuple[int, ...]

    def merge(self, other: "ShadowScores") -> "ShadowScores":
        """Both together; neither is changed.

        Raises:
            StateError: If they compare different models, or at different alarm rates.
        """
        if self.pair != other.pair or self._origin != other._origin:
            raise StateError(f"expected a shadow of {self.pair}, {self._origin}, got {other.pair}, {other._origin}")
        return msgspec.structs.replace(
            self,
            rows=self.rows + other.rows,
            above_present=self.above_present + other.above_present,
            above_candidate=self.above_candidate + other.above_candidate,
            above_both=self.above_both + other.above_both,
            joint=tuple(a + b for a, b in zip(self.joint, other.joint, strict=True)),
        )

    @property
    def pair(self) -> tuple[str, str]:
        """The models, the present model first."""
        return (self.present, self.candidate)

    @property
    def _origin(self) -> tuple[float, int, int]:
        return (self.alarm_rate, self.present_calibration, self.candidate_calibration)

    @property
    def histograms(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows by p-value of the present model and of the candidate, int64 of shape (20,) each."""
        counts = _as_matrix(self.joint)
        return counts.sum(axis=1), counts.sum(axis=0)

    @property
    def rank_correlation(self) -> float:
        """See `rank_correlation`; that of p-values is that of scores."""
        return rank_correlation(_as_matrix(self.joint))

    def to_json(self) -> dict[str, Any]:
        """Its part of a window's record: its fields, which `msgspec.convert` reads back, and `figures`."""
        return msgspec.structs.asdict(self) | self.figures()

    def figures(self) -> dict[str, Any]:
        """The figures on which `decide` bases its decision, for people to read; JSON types."""
        present, candidate = self.histograms
        rows = max(1, self.rows)
        return {
            "rows": self.rows,
            "alarm_rate": self.alarm_rate,
            "present_alarm_share": self.above_present / rows,
            "candidate_alarm_share": self.above_candidate / rows,
            "present_from_uniform": distance_from_uniform(present),
            "candidate_from_uniform": distance_from_uniform(candidate),
            "rank_correlation": self.rank_correlation,
        }


class Shadows(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The shadows of a window, one for each pair of models: several if models changed places within it."""

    #: By pair, ascending.
    pairs: tuple[ShadowScores, ...] = ()

    def merge(self, other: "Shadows") -> "Shadows":
        """Shadows of both; neither is changed.

        Raises:
            StateError: See `ShadowScores.merge`.
        """
        merged = {shadow.pair: shadow for shadow in self.pairs}
        for shadow in other.pairs:
            before = merged.get(shadow.pair)
            merged[shadow.pair] = shadow if before is None else before.merge(shadow)
        return Shadows(tuple(merged[pair] for pair in sorted(merged)))

    def to_bytes(self) -> bytes:
        """Canonical encoding: equal shadows give equal bytes."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, stored: bytes) -> "Shadows":
        """Inverse of `to_bytes`.

        Raises:
            StateError: If the bytes are no shadows.
        """
        return FORMAT.unpack(stored, cls)


def shadow_block(
    present: RowModel,
    candidate: RowModel,
    rows: pa.RecordBatch,
    alarm_rate: float,
    present_scores: NDArray[np.float32] | None = None,
) -> Shadows:
    """Score the rows of a block with the candidate and compare it with the present model.

    Args:
        present: The model that judges the rows.
        candidate: The shadow model; there is no shadow if it is the present model.
        rows: Rows of one window with the columns of both models.
        alarm_rate: Share of training-like rows above each threshold.
        present_scores: Scores by the present model, shape (n,), if they are known already.

    Raises:
        SchemaError: If a column is missing or of a wrong type.
        ConfigError: If a model's calibration is too small for `alarm_rate`.
    """
    if present.id == candidate.id or rows.num_rows == 0:
        return Shadows()
    first = present.score(rows) if present_scores is None else present_scores
    second = candidate.score(rows)
    above_first, above_second = first > present.threshold(alarm_rate), second > candidate.threshold(alarm_rate)
    cells = p_value_bins(present.p_values(first)) * P_VALUE_BINS + p_value_bins(candidate.p_values(second))
    shadow = ShadowScores(
        present=present.id,
        candidate=candidate.id,
        alarm_rate=alarm_rate,
        present_calibration=len(present.calibration),
        candidate_calibration=len(candidate.calibration),
        rows=rows.num_rows,
        above_present=int(above_first.sum()),
        above_candidate=int(above_second.sum()),
        above_both=int((above_first & above_second).sum()),
        joint=tuple(np.bincount(cells, minlength=P_VALUE_BINS**2).tolist()),
    )
    return Shadows((shadow,))


def of_pair(windows: Iterable[Shadows], pair: tuple[str, str]) -> ShadowScores | None:
    """The merged shadow of a pair of models over several windows; None if no window has any."""
    merged = Shadows()
    for window in windows:
        merged = merged.merge(Shadows(tuple(shadow for shadow in window.pairs if shadow.pair == pair)))
    return merged.pairs[0] if merged.pairs else None


class ShadowRule(Settings, frozen=True, kw_only=True):
    """Limits that a candidate must meet.

    After promotion the new version is watched with the same `largest_ratio` and `least_correlation`.
    """

    #: Largest share of rows above a threshold, in multiples of the alarm rate.
    largest_ratio: Annotated[float, Range(at_least=1)] = 3.0
    #: How much further from uniform the candidate's p-values may lie than the present model's, as a distance.
    uniform_margin: Share = 0.1
    #: How far from uniform the candidate's p-values may lie in any case, as a distance.
    largest_distance: Share = 1.0
    least_correlation: Annotated[float, Range(at_least=-1, at_most=1)] = 0.0
    #: Least number of expected alarms: of fewer rows the share cannot be judged.
    least_alarms: Annotated[float, Range(at_least=1)] = 5.0
    #: Probability that a good candidate is refused for too few alarms, uncertainty of its threshold included; but one
    #: that flags less than a tenth of the alarm rate is always refused.
    level: Level = 1e-3


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a candidate is promoted."""

    promote: bool
    #: Why it is not promoted, a sentence each; empty if it is.
    reasons: tuple[str, ...]


def decide(shadow: ShadowScores, rule: ShadowRule) -> Decision:
    """Whether the candidate of a shadow run should be promoted.

    It must not flag many more rows than the alarm rate, nor many fewer, must not be worse calibrated on these rows than
    the present model, and must not reverse its ranking. That does not measure how well it finds anomalies: for that
    labels are needed.

    Args:
        shadow: Counts of all rows of the run.
        rule: Limits that the candidate must meet.
    """
    if (few := _too_few(shadow, rule)) is not None:
        return Decision(promote=False, reasons=(few,))
    reasons = tuple(
        reason
        for reason in (
            _too_loud(shadow, rule),
            _blind(shadow, rule),
            _askew(shadow, rule),
            _still_off(shadow, rule),
            _turned_round(shadow, rule),
        )
        if reason is not None
    )
    return Decision(promote=not reasons, reasons=reasons)


def regret(shadow: ShadowScores, rule: ShadowRule) -> str | None:
    """Why a promoted model should be rolled back; None if it should stay, or if the rows are too few to decide.

    Args:
        shadow: The new model is `present`, the former model is `candidate`.
        rule: The new model is rolled back if it flags more than `largest_ratio` times the alarm rate and the former
            model does not: if both do, the rows are odd, not the model.
    """
    most = rule.largest_ratio * shadow.alarm_rate
    new, old = shadow.above_present / max(1, shadow.rows), shadow.above_candidate / max(1, shadow.rows)
    if _too_few(shadow, rule) is not None or new <= most or old > most:
        return None
    return (
        f"{shadow.present} flags {new:.2%} of {shadow.rows} rows, {shadow.candidate} {old:.2%}, "
        f"expected at most {most:.2%}"
    )


def rank_correlation(joint: NDArray[np.int64]) -> float:
    """Spearman's rank correlation of binned numbers, in [-1, 1]; 0 if either is constant.

    Args:
        joint: Counts of shape (n, m); rows of a bin share their mean rank.
    """
    first, second = joint.sum(axis=1), joint.sum(axis=0)
    a, b = _middle_ranks(first), _middle_ranks(second)
    spread = math.sqrt(float(first @ a**2) * float(second @ b**2))
    return float(a @ joint @ b) / spread if spread else 0.0


def distance_from_uniform(histogram: Sequence[int] | NDArray[np.int64]) -> float:
    """Kolmogorov's distance of binned p-values from the uniform distribution, at the edges of the bins, in [0, 1].

    Args:
        histogram: Rows by p-value, equal bins from 0 to 1; the distance is 0 without rows.
    """
    counts = np.asarray(histogram, dtype=np.int64)
    if not counts.sum():
        return 0.0
    edges = np.arange(1, len(counts) + 1) / len(counts)
    return float(np.abs(np.cumsum(counts) / counts.sum() - edges).max())


def _too_few(shadow: ShadowScores, rule: ShadowRule) -> str | None:
    least = math.ceil(rule.least_alarms / shadow.alarm_rate)
    if shadow.rows >= least:
        return None
    rate = f"{shadow.alarm_rate:.2%}"
    return f"{shadow.rows} rows are too few to judge an alarm rate of {rate}: expected at least {least}"


def _too_loud(shadow: ShadowScores, rule: ShadowRule) -> str | None:
    share, most = shadow.above_candidate / shadow.rows, rule.largest_ratio * shadow.alarm_rate
    if share <= most:
        return None
    return f"it flags {share:.2%} of {shadow.rows} rows, expected {shadow.alarm_rate:.2%} and at most {most:.2%}"


def _blind(shadow: ShadowScores, rule: ShadowRule) -> str | None:
    """Fewer alarms than the target over `largest_ratio`, unless the threshold's uncertainty explains them.

    Below a tenth of the target, and with no alarm at all, nothing excuses it: whatever the reason, it would find
    nothing.
    """
    share, least = shadow.above_candidate / shadow.rows, shadow.alarm_rate / rule.largest_ratio
    if share >= least:
        return None
    if share >= shadow.alarm_rate / _EXCUSED and _explained_by_threshold(shadow, rule):
        return None
    return (
        f"it flags {share:.2%} of {shadow.rows} rows, expected {shadow.alarm_rate:.2%} and at least {least:.2%}: "
        "it may miss anomalies"
    )


def _explained_by_threshold(shadow: ShadowScores, rule: ShadowRule) -> bool:
    """Whether so few alarms are likely at the least rate that the threshold may have, which is Beta distributed."""
    m = shadow.candidate_calibration
    rank = int(shadow.alarm_rate * (m + 1) + 1e-9)
    lowest = stats.beta.ppf(rule.level / 2, rank, m + 1 - rank)
    return bool(stats.binom.cdf(shadow.above_candidate, shadow.rows, lowest) > rule.level / 2)


def _askew(shadow: ShadowScores, rule: ShadowRule) -> str | None:
    present, candidate = (distance_from_uniform(histogram) for histogram in shadow.histograms)
    if candidate <= present + rule.uniform_margin:
        return None
    return (
        f"its p-values lie {candidate:.3f} from uniform, expected at most {rule.uniform_margin:g} more than those of "
        f"{shadow.present}, {present:.3f}"
    )


def _still_off(shadow: ShadowScores, rule: ShadowRule) -> str | None:
    distance = distance_from_uniform(shadow.histograms[1])
    if distance <= rule.largest_distance:
        return None
    return (
        f"its p-values still lie {distance:.3f} from uniform, expected at most {rule.largest_distance:g}: "
        "it has not learned the drift"
    )


def _turned_round(shadow: ShadowScores, rule: ShadowRule) -> str | None:
    correlation = shadow.rank_correlation
    if correlation >= rule.least_correlation:
        return None
    return (
        f"it ranks rows differently from {shadow.present}: rank correlation {correlation:.2f}, "
        f"expected at least {rule.least_correlation:g}"
    )


def _middle_ranks(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean rank of each bin's rows, less the mean rank of all rows."""
    ranks: NDArray[np.float64] = np.cumsum(counts) - counts / 2 - counts.sum() / 2
    return ranks


def _as_matrix(joint: Sequence[int]) -> NDArray[np.int64]:
    return np.array(joint, dtype=np.int64).reshape(P_VALUE_BINS, P_VALUE_BINS)
