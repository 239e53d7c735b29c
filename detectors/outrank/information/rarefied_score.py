"""The score a feature would have in fewer rows: what makes the rankings of windows of different size comparable.

A feature of many values has more information on the label in a larger window, where fewer of its values are rare. The
expectation over all samples of n of the N rows, drawn without replacement, follows from counts alone (rarefaction:
Hurlbert, Ecology 52, 1971). With k_vl rows of value v and label l, n_l = n N_l / N, and H(K, n) the number of K marked
rows among n of N (hypergeometric):

    score(n) = (1/n) sum over v, l of  E[k ln k | k ~ H(k_vl, n)] - E[k ln k | k ~ H(k_v, n_l)]

The first is what the sample's table has, the second what it has with labels permuted; all other terms of the mutual
information are in both and cancel. That n_l is itself a matter of chance adds (1 - n/N) / 2 to the second sum, to first
order. Up to a mean of `_EXACT_MEAN` the hypergeometric distribution is taken as binomial, above it E[k ln k] is
expanded in its moments. In simulations of features of 2 to 5,000 values the result was within 0.0015 nats of the mean
of samples of 1,000 rows.
"""

from collections.abc import Iterable

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, xlogy

from sparsewatch.detectors.counts.capped_counts import Floats
from sparsewatch.detectors.counts.counts import Counts
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.counts.value_estimates import Marginals
from sparsewatch.detectors.outrank.information.mutual_information import entropy
from sparsewatch.detectors.outrank.ranking import RankedFeature, in_order

#: Mean number of rows drawn of a value up to which its distribution is summed.
_EXACT_MEAN = 30.0
#: Rows drawn at which the sum ends: ten standard deviations above the mean.
_EXACT_MOST = 90
#: Most rows of a value whose distribution is summed.
_EXACT_ROWS = 1 << 16


def rarefied_score(marginals: Marginals, rows: int, clicks: int, drawn: int) -> float:
    """MI less its expectation by chance, on average over samples of rows.

    Args:
        marginals: Rows and clicks of each value.
        rows: Rows of all values.
        clicks: Those of label 1.
        drawn: Rows of a sample, at least 1 and at most `rows`.

    Returns:
        Nats; 0 with one label or one value only.
    """
    if not 0 < clicks < rows or marginals.rows.size < 2:
        return 0.0
    weights, others = marginals.weights, marginals.rows - marginals.clicks
    share = drawn / rows
    in_sample = _mean_k_ln_k(marginals.clicks, share, rows) + _mean_k_ln_k(others, share, rows)
    by_chance = _mean_k_ln_k(marginals.rows, share * clicks / rows, rows)
    by_chance += _mean_k_ln_k(marginals.rows, share * (rows - clicks) / rows, rows)
    # Sorted, since the order of values depends on rows and merges.
    return float(np.sum(np.sort(weights * (in_sample - by_chance))) - (1 - share) / 2) / drawn


def rarefied_ranking(counts: FeatureCounts, ranking: Iterable[RankedFeature], drawn: int) -> list[RankedFeature]:
    """A ranking by the scores, and shares of the label's entropy, of samples of rows; all else stays.

    Args:
        counts: Counts the ranking was made of.
        ranking: Features, best first.
        drawn: Rows of a sample, at most those of `counts`.
    """
    if drawn == counts.rows:
        return list(ranking)
    label_entropy = entropy(np.array([counts.rows - counts.clicks, counts.clicks]))

    def rarefied(ranked: RankedFeature) -> RankedFeature:
        score = rarefied_score(counts.marginals(ranked.feature), counts.rows, counts.clicks, drawn)
        return msgspec.structs.replace(ranked, score=score, normalised=score / label_entropy if label_entropy else 0.0)

    return in_order(map(rarefied, ranking))


def _mean_k_ln_k(marked: Counts, share: float, rows: int) -> Floats:
    """E[k ln k] of the number of `marked` rows in a sample of a share of all rows, shape of `marked`."""
    distinct, place = np.unique(marked, return_inverse=True)
    summed = distinct <= min(_EXACT_MEAN / share, _EXACT_ROWS)
    means = np.zeros(distinct.size)
    means[summed] = _summed(distinct[summed], share)
    means[~summed] = _expanded(distinct[~summed].astype(np.float64), share, rows)
    return means[place]


def _summed(marked: Counts, share: float) -> Floats:
    """By the binomial distribution."""
    if not marked.size or share >= 1:
        return np.asarray(xlogy(marked, marked), np.float64)
    k = np.arange(2, min(int(marked[-1]), _EXACT_MOST) + 1)
    n = marked[:, None]
    drawn = k <= n
    left = np.where(drawn, n - k, 0)
    logarithm = gammaln(n + 1) - gammaln(k + 1) - gammaln(left + 1) + k * np.log(share) + left * np.log1p(-share)
    chance = np.where(drawn, np.exp(logarithm), 0.0)
    return np.asarray(chance @ (k * np.log(k)), np.float64)


def _expanded(marked: Floats, share: float, rows: int) -> NDArray[np.float64]:
    """By the moments up to the fourth; means are above `_EXACT_MEAN`, or the share is tiny."""
    mean = marked * share
    variance = mean * (1 - share) * (1 - (marked - 1) / (rows - 1))
    third = variance * (1 - 2 * share) * (1 - 2 * marked / rows)
    return np.asarray(
        xlogy(mean, mean) + variance / (2 * mean) - third / (6 * mean**2) + variance**2 / (4 * mean**3), np.float64
    )
