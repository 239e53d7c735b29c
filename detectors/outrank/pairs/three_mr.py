"""Features ranked step by step by relevance, less redundancy with those before, plus relation to them (3MR).

The step of the public `outrank` after its scores: relevance is a feature's score with the label, redundancy the score
of two features with each other, relation that of their combination with the label.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from sparsewatch.schemas.errors import ConfigError, SchemaError

Floats = NDArray[np.float64]
Key = TypeVar("Key")

Aggregate = Literal["median", "mean", "sum"]


class RankedStep(NamedTuple):
    """A feature in the order of 3MR, and the parts of its score."""

    feature: str
    #: relevance - alpha * redundancy + beta * relation
    score: float
    relevance: float
    #: With the features before it, aggregated; 0 for the first.
    redundancy: float
    relation: float


def min_max(scores: Mapping[Key, float]) -> dict[Key, float]:
    """Scores moved and stretched to [0, 1]; all 0 if they are equal.

    Raises:
        SchemaError: If a score is not finite.
    """
    if not scores:
        return {}
    values = _finite(scores.values(), "scores")
    low, high = values.min(), values.max()
    scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return dict(zip(scores, scaled.tolist(), strict=True))


def rank_three_mr(
    relevance: Mapping[str, float],
    redundancy: Mapping[tuple[str, str], float],
    relation: Mapping[tuple[str, str], float],
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    aggregate: Aggregate = "median",
    directed: bool = False,
) -> list[RankedStep]:
    """Order features greedily; the first is the most relevant.

    About 2 s for 1,000 features, growing with their cube by "median" and with their square by "mean" or "sum".

    Args:
        relevance: Score of each feature to rank.
        redundancy: Score of pairs of these features; a pair that is missing counts as 0.
        relation: As `redundancy`.
        alpha: Weight of redundancy.
        beta: Weight of relation.
        aggregate: What a feature's redundancy with those before it comes to, and its relation.
        directed: Whether a pair is only looked up as (feature ranked before, feature to rank), as the public tool
            does, and not the other way round as well.

    Returns:
        All features, best first; equal scores by name.

    Raises:
        ConfigError: If `aggregate` is unknown.
        SchemaError: If a score is not finite, or a pair names a feature without relevance.
    """
    if aggregate not in get_args(Aggregate):
        raise ConfigError(f"aggregate: expected one of {get_args(Aggregate)}, got {aggregate!r}")
    names = sorted(relevance)
    relevant = _finite((relevance[name] for name in names), "relevance")
    redundant = _AGGREGATES[aggregate](_matrix(redundancy, names, "redundancy", directed))
    related = _AGGREGATES[aggregate](_matrix(relation, names, "relation", directed))
    left = np.ones(len(names), np.bool_)
    steps = []
    for _ in names:
        score = relevant - alpha * redundant.values + beta * related.values
        best = int(np.argmax(np.where(left, score, -np.inf)))
        parts = (column[best] for column in (score, relevant, redundant.values, related.values))
        steps.append(RankedStep(names[best], *map(float, parts)))
        left[best] = False
        redundant.add(best)
        related.add(best)
    return steps


def _finite(values: Iterable[float], what: str) -> Floats:
    array = np.fromiter(values, np.float64)
    if not np.isfinite(array).all():
        raise SchemaError(f"{what}: expected finite numbers, got {array[~np.isfinite(array)][0]}")
    return array


def _matrix(table: Mapping[tuple[str, str], float], names: Sequence[str], what: str, directed: bool) -> Floats:
    """Scores of pairs by the places of their names, shape (n_features, n_features)."""
    place = {name: i for i, name in enumerate(names)}
    if unknown := sorted({name for pair in table for name in pair} - place.keys()):
        raise SchemaError(f"{what}: expected pairs of features with a relevance, got {unknown[0]!r}")
    matrix = np.full((len(names), len(names)), np.nan)
    first = np.fromiter((place[a] for a, _ in table), np.int64)
    second = np.fromiter((place[b] for _, b in table), np.int64)
    matrix[first, second] = _finite(table.values(), what)
    if not directed:
        matrix = np.where(np.isnan(matrix), matrix.T, matrix)
    matrix[np.isnan(matrix)] = 0.0
    return matrix


class _Aggregate(Protocol):
    """Scores of every feature with those ranked so far, as one number a feature; 0 before the first."""

    values: Floats

    def add(self, ranked: int) -> None: ...


class _Sum:
    def __init__(self, matrix: Floats) -> None:
        self.values = np.zeros(len(matrix))
        self._matrix = matrix

    def add(self, ranked: int) -> None:
        self.values = self.values + self._matrix[ranked]


class _Mean(_Sum):
    def __init__(self, matrix: Floats) -> None:
        super().__init__(matrix)
        self._total = _Sum(matrix)
        self._held = 0

    def add(self, ranked: int) -> None:
        self._total.add(ranked)
        self._held += 1
        self.values = self._total.values / self._held


class _Median:
    def __init__(self, matrix: Floats) -> None:
        self.values = np.zeros(len(matrix))
        self._matrix = matrix
        #: Each column ascends; what is not filled yet is infinite.
        self._sorted = np.full_like(matrix, np.inf)
        self._held = 0

    def add(self, ranked: int) -> None:
        # Inserting x in a sorted column m leaves max(m[i - 1], min(m[i], x)) at i.
        before = self._sorted[: self._held + 1]
        after = np.minimum(before, self._matrix[ranked])
        np.maximum(after[1:], before[:-1], out=after[1:])
        before[:] = after
        self._held += 1
        self.values = (after[(self._held - 1) // 2] + after[self._held // 2]) / 2


_AGGREGATES: Mapping[Aggregate, Callable[[Floats], _Aggregate]] = {"median": _Median, "mean": _Mean, "sum": _Sum}
