"""Whether the p-values of a window have moved: those of rows like the training data are uniform.

Window and calibration are two samples of n and m rows. Under no change all n + m are exchangeable, so the number of
rows of the window that exceed a given calibration row is hypergeometric (Gumbel and von Schelling, "The distribution of
the number of exceedances", Annals of Mathematical Statistics 21, 1950), which is Fisher's exact test: it allows for a
small calibration as for a small window. It is made at each edge of the bins, on either side, and the smallest p-value
is multiplied by the number of tests (Bonferroni). Ties make it conservative: calibration rows are binned as the
window's are.

The probability is over calibrations and windows. Windows judged by the same calibration share its sampling error.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sparsewatch.detectors.conformal import EDGES, Counts, equal_counts
from sparsewatch.detectors.rows.windows.summary import RowScores

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


def window_drift(scores: RowScores) -> Drift | None:
    """The strongest drift among the models that scored in a window; None without rows.

    Each model's rows are compared with its own calibration, and `chance` is multiplied by the number of models.
    """
    found = [p_value_drift(model.p_values, model.calibration, model.model) for model in scores.models if model.rows]
    if not found:
        return None
    strongest = min(found, key=lambda drift: (drift.chance, -drift.distance, drift.model))
    return msgspec.structs.replace(strongest, chance=min(1.0, strongest.chance * len(found)))


def p_value_drift(rows: Counts, calibration: Counts, model: str = "") -> Drift:
    """Drift of the rows of one model.

    Args:
        rows: Rows by p-value in the fine bins, at least one row.
        calibration: Calibration rows in the same bins.
        model: Name and version.
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
