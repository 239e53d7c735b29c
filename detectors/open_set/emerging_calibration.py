"""The threshold of an emerging pattern's statistic from a stated number of false patterns, without labels.

Streams of known wafers are drawn from the model's calibration wafers: n of them are the stream, the others the
background, and the largest statistic is recorded. Draws are without replacement, so no wafer is its own neighbour.
Above the draws' 90 % quantile the tail is assumed exponential, as that of -ln p is; its scale is the mean excess over
that quantile (Pickands, Annals of Statistics 3, 1975, with shape 0).

Assumption: known wafers of the stream are independent and have the distribution of the calibration wafers. Wafers of
the same lot are alike and not independent, so a pattern needs wafers of several lots. A known appearance that the
calibration wafers lack raises a single false pattern, not one a day: once raised, it is a pattern.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from sparsewatch.detectors.open_set.emerging import Floats, Sample, largest_statistic
from sparsewatch.schemas.errors import ConfigError

_DRAWS = 300
#: Quantile above which the tail is assumed exponential.
_TAIL = 0.9
#: Most calibration wafers that are used: distances of all pairs are held.
_MOST = 1_500
#: Fewest calibration wafers for a threshold.
_FEWEST = 20


def threshold(
    known: Sample, wafers: int, fresh: float, false_rate: float, min_wafers: int, rng: np.random.Generator
) -> float:
    """The statistic that a search among known wafers exceeds with a stated probability.

    Args:
        known: Novel-looking calibration wafers.
        wafers: All wafers of the stream in a search, novel-looking or not; from 1.
        fresh: Share of them that came with the newest window. Range is (0, 1].
        false_rate: Share of searches that raise a false pattern. Range is (0, 1].
        min_wafers: Least number of wafers of a pattern.
        rng: Source of all randomness.

    Raises:
        ConfigError: There are fewer than 20 calibration wafers.
    """
    if known.wafers < _FEWEST:
        raise ConfigError(f"emerging patterns need {_FEWEST} calibration wafers of the model, got {known.wafers}")
    drawn = min(wafers, known.wafers // 2)
    largest = np.sort(simulate(known, drawn, fresh, min_wafers, _DRAWS, rng))
    # More wafers than can be drawn: more balls in proportion, each with the same probability.
    return tail_quantile(largest, false_rate) + max(0.0, float(np.log(wafers / drawn)))


def simulate(known: Sample, wafers: int, fresh: float, min_wafers: int, draws: int, rng: np.random.Generator) -> Floats:
    """The largest statistic of each of `draws` streams of known wafers, float64 of shape (draws,).

    Args:
        known: See `threshold`.
        wafers: Wafers of a stream, fewer than `known.wafers`.
        fresh: See `threshold`.
        min_wafers: See `threshold`.
        draws: Number of streams.
        rng: Source of all randomness.
    """
    points = known.embeddings
    of = known.wafers
    if len(points) > _MOST:
        sampled = rng.choice(len(points), _MOST, replace=False)
        of, points = round(of * _MOST / len(points)), points[sampled]
        wafers = min(wafers, of // 2)
    distances = cdist(points, points)
    odds = wafers / (of - wafers)
    found = []
    for _ in range(draws):
        # Wafers that do not look novel are drawn with the others, but not compared.
        chosen = rng.choice(of, wafers, replace=False)
        is_fresh = np.zeros(of, dtype=np.bool_)
        is_fresh[chosen[: max(1, round(fresh * wafers))]] = True
        stream, others = _split(chosen, of, len(points))
        among, apart = distances[np.ix_(stream, stream)], distances[np.ix_(stream, others)]
        found.append(largest_statistic(among, apart, odds, is_fresh[stream], min_wafers))
    return np.array(found)


def tail_quantile(values: Floats, share: float) -> float:
    """The value that a share of values exceeds.

    Args:
        values: Rising, of shape (n,).
        share: Range is (0, 1].
    """
    border = float(np.quantile(values, _TAIL))
    if share >= 1 - _TAIL:
        return float(np.quantile(values, 1 - share))
    excess = values[values > border] - border
    scale = float(excess.mean()) if len(excess) else 1.0
    return border + max(scale, 1.0) * float(np.log((1 - _TAIL) / share))


def _split(chosen: NDArray[np.int64], of: int, looking_novel: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The chosen among the first `looking_novel` wafers, and the others of these."""
    drawn = np.zeros(of, dtype=np.bool_)
    drawn[chosen] = True
    return np.flatnonzero(drawn[:looking_novel]), np.flatnonzero(~drawn[:looking_novel])
