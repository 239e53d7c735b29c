"""Mutual information of two coded columns, in nats: as counted, less what chance explains, and as a share.

Only cells of the contingency table that hold rows are visited, so two columns of 100,000 values each cost what their
rows cost, not their product.
"""

import numpy as np
from scipy.special import rel_entr

from sparsewatch.detectors.counts.counts import Counts
from sparsewatch.detectors.outrank.columns.codes import Codes, Joint, joint_counts, marginal
from sparsewatch.detectors.outrank.information.mutual_information import entropy, expected_mutual_information

#: Share of the mean entropy below which the range left to AMI is rounding.
ROUNDING = 1e-9


def codes_mutual_information(first: Codes, second: Codes) -> float:
    """Plug-in mutual information of two columns of the same rows.

    Returns:
        Nats, >= 0 and at most the smaller of the two entropies; 0 without rows.
    """
    return _mutual_information(joint_counts(first, second), marginal(first), marginal(second))


def net_mutual_information(first: Codes, second: Codes) -> float:
    """Mutual information less its exact mean over all permutations of one of the columns.

    Returns:
        Nats; 0 on average for columns that have nothing to do with each other, whatever their cardinalities.
    """
    counts, others = marginal(first), marginal(second)
    expected = expected_mutual_information(counts, others)
    return _mutual_information(joint_counts(first, second), counts, others) - expected


def adjusted_mutual_information(first: Codes, second: Codes) -> float:
    """Mutual information above chance, as a share of the most it could be above chance.

    That most is the mean of the two entropies (Vinh, Epps and Bailey, JMLR 11, 2010, AMI_sum), as in scikit-learn's
    `adjusted_mutual_info_score`.

    Returns:
        1 for columns that number the same groups, two constant ones among them, 0 on average by chance.
    """
    counts, others = marginal(first), marginal(second)
    held, others_held = np.count_nonzero(counts), np.count_nonzero(others)
    if held <= 1 or others_held <= 1:
        return float(held == others_held)
    chance = expected_mutual_information(counts, others)
    most = (entropy(counts) + entropy(others)) / 2
    if most - chance <= ROUNDING * most:
        return 1.0
    return (_mutual_information(joint_counts(first, second), counts, others) - chance) / (most - chance)


def _mutual_information(joint: Joint, first: Counts, second: Counts) -> float:
    total = int(first.sum())
    if not total:
        return 0.0
    expected = first[joint.first] * (second[joint.second] / total)
    return max(float(rel_entr(joint.rows, expected).sum()) / total, 0.0)
