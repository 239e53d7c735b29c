"""Checks of a window's row scores: too many rows above the threshold, and p-values that have moved.

The threshold is an estimate from m held-out rows: the rate it really has is Beta(r, m + 1 - r) distributed,
r = alarm_rate * (m + 1) being the threshold's rank (Vovk, "Conditional validity of inductive conformal predictors",
Machine Learning 92, 2013, prop. 2a). Where several models scored in a window, the rows above each threshold are
counted together and compared with the highest rate that any of the models may have.

**Drift.** The p-values of rows like the training data are uniform. Window and calibration are two samples of n and m
rows. Under no change all n + m are exchangeable, so the number of rows of the window that exceed a given calibration
row is hypergeometric (Gumbel and von Schelling, "The distribution of the number of exceedances", Annals of Mathematical
Statistics 21, 1950), which is Fisher's exact test: it allows for a small calibration as for a small window. It is made
at each edge of the bins, on either side, and the smallest p-value is multiplied by the number of tests (Bonferroni).
Ties make it conservative: calibration rows are binned as the window's are. The probability is over calibrations and
windows. Windows judged by the same calibration share its sampling error.
"""

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sparsewatch.detectors.budget.chance import alpha_of, p_value, z_of
from sparsewatch.detectors.conformal import EDGES, Counts, equal_counts
from sparsewatch.detectors.rows.windows.blocks import BlockSpread, Known, StoredSpread, Surplus, spread_of_stored
from sparsewatch.detectors.rows.windows.summary import WORST_ROWS, ModelScores, RowScores
from sparsewatch.detectors.rows.windows.thresholds import RowCheck
from sparsewatch.schemas.alerts import Finding

#: Rows credited to each bin of either sample in the stability index, so that an empty bin has a logarithm.
_PRIOR_ROWS = 0.5


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """How far the rows of a model lie from its calibration."""

    model: str
    rows: int
    #: Kolmogorov's distance at the edges of the bins: the largest difference of the shares up to a p-value, in [0, 1].
    distance: float
    #: Upper bound on the probability of so large a difference at any edge, if nothing has changed; in [0, 1].
    chance: float
    #: Population stability index over 20 equal bins, in nats; about 19 (1 / rows + 1 / calibration rows) by chance.
    psi: float
    #: The p-value where the difference is largest, the share of rows up to it, and that of calibration rows.
    at: float
    share: float
    usual: float
    #: Upper bound on the probability of so large a difference by the spread between stretches of the training data;
    #: 0 where that is not known.
    stretch_chance: float = 0.0

    @property
    def p_value(self) -> float:
        """Upper bound on the probability that chance and the spread between stretches explain it."""
        return max(self.chance, self.stretch_chance)


def window_drift(scores: RowScores) -> Drift | None:
    """The strongest drift among the models that scored in a window; None without rows.

    Each model's rows are compared with its own calibration, and chances are multiplied by the number of models.
    """
    found = [
        p_value_drift(model.p_values, model.calibration, model.model, model.blocks)
        for model in scores.models
        if model.rows
    ]
    if not found:
        return None
    strongest = min(found, key=lambda drift: (drift.p_value, drift.chance, -drift.distance, drift.model))
    return msgspec.structs.replace(
        strongest,
        chance=min(1.0, strongest.chance * len(found)),
        stretch_chance=min(1.0, strongest.stretch_chance * len(found)),
    )


def p_value_drift(rows: Counts, calibration: Counts, model: str = "", blocks: StoredSpread | None = None) -> Drift:
    """Drift of the rows of one model.

    Args:
        rows: Rows by p-value in the fine bins, at least one row.
        calibration: Calibration rows in the same bins.
        model: Name and version.
        blocks: Spread of the same shares between stretches of the training data.
    """
    observed, baseline = np.cumsum(rows)[:-1], np.cumsum(calibration)[:-1]
    n, m = sum(rows), sum(calibration)
    shares, baseline_shares = observed / n, baseline / max(m, 1)
    widest = int(np.argmax(np.abs(shares - baseline_shares)))
    return Drift(
        model=model,
        rows=n,
        distance=float(abs(shares[widest] - baseline_shares[widest])),
        chance=_chance(observed, n, baseline, m),
        psi=stability_index(equal_counts(rows), equal_counts(calibration)),
        at=EDGES[widest],
        share=float(shares[widest]),
        usual=float(baseline_shares[widest]),
        stretch_chance=0.0 if blocks is None else _stretch_chance(blocks, shares, n, baseline_shares, m),
    )


def stability_index(rows: Counts, baseline: Counts) -> float:
    """Sum over bins of (p - q) ln(p / q) of the shares p and q, >= 0; that is Jeffreys' divergence.

    References:
        Jeffreys, "An invariant form for the prior probability in estimation problems", Proceedings of the Royal
        Society A 186, 1946; credit scoring calls it the population stability index.
    """
    p, q = (np.array(counts) + _PRIOR_ROWS for counts in (rows, baseline))
    p, q = p / p.sum(), q / q.sum()
    return float(np.sum((p - q) * np.log(p / q)))


def median_p_value(scores: RowScores) -> float:
    """Median p-value of a window's rows; NaN without rows. About 0.5 under no change."""
    return float(p_value_quantiles(scores, np.array([0.5]))[0])


def p_value_quantiles(scores: RowScores, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quantiles of a window's p-values, linear within bins, of the shape of `shares`; NaN without rows."""
    if not scores.rows:
        return np.full(shares.shape, np.nan)
    cumulative = np.cumsum([0, *scores.fine_p_values])
    return np.interp(scores.rows * shares, cumulative, [0, *EDGES, 1])


def _chance(observed: NDArray[np.int64], n: int, baseline: NDArray[np.int64], m: int) -> float:
    """Bonferroni over Fisher's one-sided tests at each edge: both sides count, so no smaller side is doubled."""
    draws = observed + baseline
    many = stats.hypergeom.cdf(baseline, n + m, m, draws)
    few = stats.hypergeom.sf(baseline - 1, n + m, m, draws)
    return float(min(1.0, 2 * len(draws) * min(many.min(), few.min())))


def _stretch_chance(
    blocks: StoredSpread, shares: NDArray[np.float64], n: int, baseline: NDArray[np.float64], m: int
) -> float:
    chance = spread_of_stored(blocks).of_span(n).chance(shares, Known(baseline, m, n))
    return float(min(1.0, len(shares) * chance.min()))


UNLIKE_TRAINING = "rows_unlike_training"
DRIFT = "row_scores_drift"
SUBJECT = "rows"


#: Share of the outliers that a column accounts for, from which on the finding is about it.
_MOST = 2 / 3


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
        subject=next((name for name, part in carried.items() if part >= _MOST), SUBJECT),
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
            "effect": share - expected,
        },
        p_value=_chance_of_above(scores, settings),
    )


def _drifted(scores: RowScores, settings: RowCheck) -> Finding | None:
    drift = window_drift(scores)
    if drift is None or not has_drifted(drift.distance, drift.chance, drift.stretch_chance, settings):
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
        p_value=drift.p_value,
    )


def has_drifted(distance: float, chance: float, stretch_chance: float, settings: RowCheck) -> bool:
    """Whether p-values have drifted far enough to alarm; arguments as the fields of `Drift`."""
    return distance >= settings.least_drift and chance <= settings.of_drift and stretch_chance <= settings.of_stretches


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
    return max(
        _improbable_count(scores, settings.of_outliers),
        _wandering_count(scores, settings.of_stretches),
        math.ceil(settings.least_ratio * _expected(scores)),
    )


def _improbable_count(scores: RowScores, level: float) -> int:
    known = [(model.alarm_rate, model.calibration_rows) for model in scores.models]
    return _least_improbable(scores.rows, known, level)


def _least_improbable(rows: int, known: Sequence[tuple[float, int]], level: float) -> int:
    """Fewest of some rows above the thresholds of models, of which alarm rate and calibration rows are known."""
    highest_rate = max(_highest_rate(rate, m, level / 2 / len(known)) for rate, m in known)
    return int(stats.binom.isf(level / 2, rows, highest_rate)) + 1


def least_outliers(
    rows: int, alarm_rate: float, calibration_rows: int, blocks: BlockSpread | None, settings: RowCheck
) -> float | None:
    """Share of a window's rows above a model's threshold from which on `rows_unlike_training` fires; None for none.

    Args:
        rows: Of the window, > 0.
        alarm_rate: Share that is expected.
        calibration_rows: Of the model.
        blocks: Spread of its shares between stretches of the training data, if that is known.
        settings: Levels and least ratios.
    """
    least = _least_improbable(rows, [(alarm_rate, calibration_rows)], settings.of_outliers)
    if blocks is not None:
        surplus, known = _surplus_of(blocks, alarm_rate, calibration_rows, rows)
        least = max(least, math.floor(rows * float(surplus.highest(known, settings.of_stretches)[0])) + 1)
    least = max(least, math.ceil(settings.least_ratio * alarm_rate * rows))
    return least / rows if least <= rows else None


def _wandering_count(scores: RowScores, level: float) -> int:
    """Fewest rows above the threshold that the spread between stretches of the training data does not explain."""
    known = [model for model in scores.models if model.rows and model.blocks is not None]
    return math.floor(sum(_wandering(model, level / len(scores.models)) for model in known)) + 1 if known else 0


def _wandering(model: ModelScores, level: float) -> float:
    """Rows of a model above its threshold up to which the spread explains them."""
    surplus, known = _of_rate(model)
    return model.rows * float(surplus.highest(known, level)[0])


def _of_rate(model: ModelScores) -> tuple[Surplus, Known]:
    """The surplus of the share of a model's rows above its threshold, and the share that is expected."""
    assert model.blocks is not None
    return _surplus_of(spread_of_stored(model.blocks), model.alarm_rate, model.calibration_rows, model.rows)


def _surplus_of(blocks: BlockSpread, alarm_rate: float, calibration_rows: int, rows: int) -> tuple[Surplus, Known]:
    surplus = blocks.of_span(rows).at(EDGES, alarm_rate)
    return surplus, Known(np.array([alarm_rate]), calibration_rows, rows)


def _chance_of_above(scores: RowScores, settings: RowCheck) -> float:
    """Bound on the probability of so many rows above the threshold."""
    by_chance = p_value(lambda z: scores.above >= _improbable_count(scores, alpha_of(z)), z_of(settings.of_outliers))
    return max(by_chance, _stretch_chance_of_above(scores))


def _stretch_chance_of_above(scores: RowScores) -> float:
    """The same by the spread between stretches of the training data; 0 where that is not known."""
    known = [model for model in scores.models if model.rows and model.blocks is not None]
    chances = []
    for model in known:
        surplus, rate = _of_rate(model)
        chances.append(float(surplus.chance(np.array([model.above / model.rows]), rate)[0]))
    return min(1.0, len(chances) * min(chances)) if chances else 0.0


def _highest_rate(alarm_rate: float, m: int, level: float) -> float:
    rank = int(alarm_rate * (m + 1) + 1e-9)
    return float(stats.beta.isf(level, rank, m + 1 - rank))


def _expected(scores: RowScores) -> float:
    """Rows above the threshold that are expected of rows like the training data."""
    return sum(model.alarm_rate * model.rows for model in scores.models)
