"""Mutual information less that of a rotated copy: the score the public `outrank` calls `MI-numba-randomized`.

Here for comparison with its numbers (release 0.97.5). The rotated copy stands for a feature of the same cardinality
without information, but it depends on the order of rows: of a stream sorted by label it can hide a perfect feature
altogether. `net_mutual_information` has the same aim without that fault.
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from sparsewatch.detectors.outrank.columns.codes import Codes, joint_counts, marginal
from sparsewatch.detectors.outrank.information.adjusted_mi import codes_mutual_information
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import Range, check_range

#: When two columns count as copies, and nothing is subtracted: their codes are equal row by row, or only their sums
#: are, as in the public tool.
Diagonal = Literal["equal", "sum"]


def shifted_mutual_information(feature: Codes, target: Codes, *, diagonal: Diagonal = "equal") -> float:
    """Mutual information of a feature with a target, less that of the feature rotated within the rows.

    For a row whose target value has c rows, the rotated feature is read c rows further on, from the last row on to the
    first. The entropy of the feature and the sizes of the groups cancel in the difference, which leaves k ln k over
    the cells of two contingency tables. O(n_rows).

    Args:
        feature: Shape (n_rows,). The score depends on the order of rows.
        target: Shape (n_rows,). Its values are the groups: the score is not symmetric.
        diagonal: Which columns count as copies; those score their plain mutual information. With "sum" a permutation
            of the other's rows counts as a copy too, and the result depends on how values are numbered: the public tool
            numbers them by text.

    Returns:
        Nats. Exactly 0 if a column is constant or `feature` has no value twice; below 0 by chance.

    Raises:
        ConfigError: If `diagonal` is unknown.
    """
    if diagonal not in get_args(Diagonal):
        raise ConfigError(f"diagonal: expected one of {get_args(Diagonal)}, got {diagonal!r}")
    rows = feature.codes.size
    if not rows:
        return 0.0
    if _same(feature.codes, target.codes, diagonal):
        return codes_mutual_information(feature, target)
    places = (np.arange(rows) + marginal(target)[target.codes]) % rows
    rotated = Codes(feature.codes[places], feature.n_values)
    return (_k_log_k(feature, target) - _k_log_k(rotated, target)) / rows


def stratified_rows(target: Codes, ratio: float, seed: int) -> NDArray[np.int64]:
    """A random part of each target value's rows, so that no value is lost.

    Args:
        target: Shape (n_rows,).
        ratio: Share of rows to take, in (0, 1]; of a value with c rows `ratio` times c, rounded up.
        seed: Of the choice.

    Returns:
        Ascending positions, shape (n_taken,).

    Raises:
        ConfigError: If `ratio` is out of range.
    """
    check_range(Range(above=0, at_most=1), ratio, "ratio")
    sizes = marginal(target)
    chance = np.random.default_rng(seed).random(target.codes.size)
    order = np.lexsort((chance, target.codes))
    place = np.arange(order.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    taken: NDArray[np.int64] = np.sort(order[place < np.repeat(np.ceil(ratio * sizes), sizes)])
    return taken


def _same(feature: NDArray[np.int32], target: NDArray[np.int32], diagonal: Diagonal) -> bool:
    if diagonal == "sum":
        return int(feature.sum(dtype=np.int64)) == int(target.sum(dtype=np.int64))
    return bool(np.array_equal(feature, target))


def _k_log_k(feature: Codes, target: Codes) -> float:
    return -float(entr(joint_counts(feature, target).rows).sum())
