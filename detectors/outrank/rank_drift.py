"""How far a ranking moved: rank-biased overlap of two rankings, and which features' scores changed significantly.

Scores of windows of different size compare, since the level of chance is subtracted. What remains: a smaller window
is less certain (its standard error is larger), values that it never saw add nothing to its score, so that features of
very many values still score higher in larger windows, and a click rate that moved changes the entropy there is to
explain. Changes are therefore tested as shares of the label's entropy.
"""

import math
from collections.abc import Hashable, Sequence

import msgspec
import numpy as np
from scipy.special import ndtr

from sparsewatch.detectors.outrank.many_tests import holm
from sparsewatch.detectors.outrank.ranking import RankedFeature
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import Level, check_range

#: Probability that a reader goes on to the next rank: the first ten ranks have 86 % of the weight.
PERSISTENCE = 0.9


class FeatureDrift(msgspec.Struct, frozen=True, kw_only=True):
    """One feature of both rankings."""

    feature: str
    rank_before: int
    rank_now: int
    #: Nats.
    score_before: float
    score_now: float
    #: Shares of the label's entropy.
    normalised_before: float
    normalised_now: float
    #: Change of the share in standard deviations, less what the error of estimated counts can explain.
    z: float
    #: Probability of as much by chance if nothing changed.
    p_value: float
    significant: bool


class RankDrift(msgspec.Struct, frozen=True, kw_only=True):
    """What changed from a ranking to a later ranking."""

    #: Rank-biased overlap, 1 for equal rankings.
    overlap: float
    #: Probability that any of `features` is significant by chance.
    alpha: float
    #: Of both rankings, by their rank now.
    features: list[FeatureDrift]
    #: In the order of their ranking.
    appeared: list[str]
    vanished: list[str]


def rank_biased_overlap(a: Sequence[Hashable], b: Sequence[Hashable], p: float = PERSISTENCE) -> float:
    """Agreement of two rankings, the top weighing most: RBO_ext, extrapolated from the ranks there are.

    Args:
        a: Distinct members, best first.
        b: As `a`, of any length, with any members.
        p: Probability that a reader goes on to the next rank, in (0, 1).

    Returns:
        In [0, 1]: 1 for equal rankings, two empty ones among them, 0 for rankings without a common member.

    Raises:
        ConfigError: If p is out of range or a member comes twice.

    References:
        Webber, Moffat and Zobel, A similarity measure for indefinite rankings, ACM TOIS 28(4), 2010, eq. (32).
    """
    check_range(Level, p, "p")
    short, long = sorted((list(a), list(b)), key=len)
    places = {member: depth for depth, member in enumerate(long, start=1)}
    if len(places) < len(long) or len(set(short)) < len(short):
        raise ConfigError(f"expected rankings of distinct members, got {len(a)} and {len(b)} with a member twice")
    if not short:
        return float(not long)
    met = [max(depth, places[member]) for depth, member in enumerate(short, start=1) if member in places]
    s, n = len(short), len(long)
    overlap = np.cumsum(np.bincount(met, minlength=n + 1))[1:].astype(np.float64)
    depths = np.arange(1, n + 1)
    at_short, at_long = overlap[s - 1], overlap[n - 1]
    agreement = overlap / depths
    # Below the end of the shorter ranking its agreement stays as it was there.
    agreement[s:] += at_short * (depths[s:] - s) / (s * depths[s:])
    tail = ((at_long - at_short) / n + at_short / s) * p**n
    return float(min((1 - p) / p * (agreement @ p**depths) + tail, 1.0))


def compare_rankings(
    now: Sequence[RankedFeature], before: Sequence[RankedFeature], *, alpha: float, p: float = PERSISTENCE
) -> RankDrift:
    """What changed between the rankings of two windows that share no rows; nothing if one of them has a single label.

    Significance is Holm's over the features of both: an alert asks for a person's time, so a window in which nothing
    changed should raise any with probability `alpha` at most, and features that move together are common. (Benjamini
    and Hochberg's would bound the share of false ones among those found, whatever their number.)

    Args:
        now: The later ranking, best first.
        before: The earlier ranking, by the same score.
        alpha: Between 0 and 1.
        p: Of `rank_biased_overlap`.

    Raises:
        ConfigError: If alpha or p is out of range or a feature comes twice.
    """
    check_range(Level, alpha, "alpha")
    overlap = rank_biased_overlap([ranked.feature for ranked in now], [ranked.feature for ranked in before], p)
    earlier = {ranked.feature: ranked for ranked in before}
    both = [(ranked, earlier.pop(ranked.feature)) for ranked in now if ranked.feature in earlier]
    # Without both labels in a window nothing is known of any signal there.
    known = all(any(ranked.expected for ranked in ranking) for ranking in (now, before))
    changes = [_change(later, other) if known else (0.0, 1.0) for later, other in both]
    significant = holm([chance for _, chance in changes], alpha)
    return RankDrift(
        overlap=overlap,
        alpha=alpha,
        features=[
            _drift(later, other, z, chance, bool(found))
            for (later, other), (z, chance), found in zip(both, changes, significant, strict=True)
        ],
        appeared=[ranked.feature for ranked in now if ranked.feature not in {other.feature for other in before}],
        vanished=list(earlier),
    )


def _change(now: RankedFeature, before: RankedFeature) -> tuple[float, float]:
    """Standard deviations of a feature's change, and its probability by chance."""
    change = now.normalised - before.normalised
    unsure = sum(_share(ranked, ranked.score_error) for ranked in (now, before))
    spread = math.hypot(_share(now, now.standard_error), _share(before, before.standard_error))
    excess = max(abs(change) - unsure, 0.0)
    z = math.copysign(excess / spread, change) if spread and excess else 0.0
    # Where neither window shows any signal, scores are far from normal and have not changed.
    silent = min(2 * min(now.p_value, before.p_value), 1.0)
    return z, max(2 * float(ndtr(-abs(z))), silent)


def _share(feature: RankedFeature, nats: float) -> float:
    """Nats as a share of the label's entropy."""
    return nats * feature.normalised / feature.score if feature.score else 0.0


def _drift(now: RankedFeature, before: RankedFeature, z: float, p_value: float, significant: bool) -> FeatureDrift:
    return FeatureDrift(
        feature=now.feature,
        rank_before=before.rank,
        rank_now=now.rank,
        score_before=before.score,
        score_now=now.score,
        normalised_before=before.normalised,
        normalised_now=now.normalised,
        z=z,
        p_value=p_value,
        significant=significant,
    )
