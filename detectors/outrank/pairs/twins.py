"""Redundant twins: groups of features that carry the same information, and which of each group to keep."""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.outrank.pairs.pairwise import PairScores
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import Range, check_range

#: Redundancy from which two features are twins.
THRESHOLD = 0.9


class Twins(msgspec.Struct, frozen=True, kw_only=True):
    """Features any two of which carry the same information."""

    keep: str
    #: By name.
    drop: list[str]
    #: Least redundancy of any two of them.
    redundancy: float


class Dendrogram(msgspec.Struct, frozen=True, kw_only=True):
    """Features merged step by step, the most redundant first."""

    #: Features from one side of the tree to the other, twins beside each other.
    leaves: list[str]
    #: Features by name: number i of `merges` stands for feature i, number n + j for what merge j made.
    names: list[str]
    #: A row a merge, shape (n - 1, 4): the two numbers, their distance in [0, 1], features in all; as SciPy's linkage.
    merges: list[tuple[int, int, float, int]]


def find_twins(
    pairs: PairScores,
    *,
    scores: Mapping[str, float],
    costs: Mapping[str, float] | None = None,
    threshold: float = THRESHOLD,
) -> list[Twins]:
    """Groups of redundant features, any two of a group at least `threshold` redundant (complete linkage).

    The feature to keep has the best score; ties go to the lowest cost, then to the first name.

    Args:
        pairs: Of the measure "redundancy".
        scores: Relevance of each feature.
        costs: Of each feature, such as bytes a row; none by default.
        threshold: In (0, 1].

    Returns:
        Groups of two or more, by the feature to keep.

    Raises:
        ConfigError: If the threshold or the measure is wrong, or a score or cost is missing.
    """
    check_range(Range(above=0, at_most=1), threshold, "threshold")
    for what, given in (("score", scores), ("cost", costs)):
        if given is not None and (missing := sorted(set(pairs.names) - set(given))):
            raise ConfigError(f"expected a {what} of every feature, got none of {missing[:5]}")
    names, redundancy = _by_name(pairs)
    if len(names) < 2:
        return []
    from scipy.cluster.hierarchy import fcluster

    # A rounding error apart is not apart.
    groups = fcluster(_linkage(redundancy), 1 - threshold + 1e-9, criterion="distance")

    def preference(name: str) -> tuple[float, float, str]:
        return -scores[name], costs[name] if costs else 0.0, name

    twins = []
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        if members.size > 1:
            keep, *drop = sorted((names[i] for i in members), key=preference)
            least = float(redundancy[np.ix_(members, members)].min())
            twins.append(Twins(keep=keep, drop=sorted(drop), redundancy=least))
    return sorted(twins, key=lambda twin: twin.keep)


def dendrogram(pairs: PairScores) -> Dendrogram:
    """The tree of complete linkage, its leaves ordered so that neighbours are as redundant as the tree allows.

    Args:
        pairs: Of the measure "redundancy". The order of its columns does not matter.

    Raises:
        ConfigError: If they are of another measure.
    """
    names, redundancy = _by_name(pairs)
    if len(names) < 2:
        return Dendrogram(leaves=names, names=names, merges=[])
    from scipy.cluster.hierarchy import leaves_list

    tree = _linkage(redundancy, ordered=True)
    merges = [(int(a), int(b), float(distance), int(size)) for a, b, distance, size in tree]
    return Dendrogram(leaves=[names[i] for i in leaves_list(tree)], names=names, merges=merges)


def _by_name(pairs: PairScores) -> tuple[list[str], NDArray[np.float64]]:
    """Names in order, and redundancies within [0, 1]: ties of a tree then depend on names alone."""
    if pairs.measure != "redundancy":
        raise ConfigError(f"pairs: expected the measure 'redundancy', got {pairs.measure!r}")
    order = np.argsort(np.array(pairs.names, np.str_), kind="stable")
    return [pairs.names[i] for i in order], np.clip(pairs.matrix[np.ix_(order, order)], 0.0, 1.0)


def _linkage(redundancy: NDArray[np.float64], *, ordered: bool = False) -> Any:
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    return linkage(squareform(1 - redundancy, checks=False), "complete", optimal_ordering=ordered)
