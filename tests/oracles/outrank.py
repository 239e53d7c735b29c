"""Scores of features by their definitions, one row and one group at a time: slow and obvious."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import log
from statistics import mean, median


def entropy(values: Sequence[object]) -> float:
    """Entropy of a sample, in nats."""
    return -sum(k / len(values) * log(k / len(values)) for k in Counter(values).values())


def mutual_information(feature: Sequence[int], target: Sequence[int]) -> float:
    """H(F) - H(F|T)."""
    rows = range(len(target))
    within = 0.0
    for t in set(target):
        group = [feature[i] for i in rows if target[i] == t]
        within += len(group) / len(target) * entropy(group)
    return entropy(feature) - within


def shifted_mutual_information(feature: Sequence[int], target: Sequence[int]) -> float:
    """H~(F|T) - H(F|T): each group also read further on by its own size; no test for a diagonal."""
    n = len(target)
    score = 0.0
    for t in set(target):
        group = [i for i in range(n) if target[i] == t]
        background = [feature[(i + len(group)) % n] for i in group]
        score += len(group) / n * (entropy(background) - entropy([feature[i] for i in group]))
    return score


def three_mr(
    relevance: Mapping[str, float],
    redundancy: Mapping[tuple[str, str], float],
    relation: Mapping[tuple[str, str], float],
    aggregate: str,
) -> list[str]:
    """Order of greedy selection; pairs are looked up both ways, ties go by name."""
    aggregates: dict[str, Callable[[list[float]], float]] = {"median": median, "mean": mean, "sum": sum}
    combine = aggregates[aggregate]

    def among(table: Mapping[tuple[str, str], float], ranked: list[str], name: str) -> float:
        return combine([table.get((s, name), table.get((name, s), 0.0)) for s in ranked]) if ranked else 0.0

    ranked: list[str] = []
    while len(ranked) < len(relevance):
        scores = {
            name: relevance[name] - among(redundancy, ranked, name) + among(relation, ranked, name)
            for name in sorted(relevance)
            if name not in ranked
        }
        ranked.append(max(scores, key=lambda name: scores[name]))
    return ranked
