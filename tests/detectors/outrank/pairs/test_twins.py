import numpy as np
import pytest

from sparsewatch.detectors.outrank.columns.codes import encode
from sparsewatch.detectors.outrank.pairs.pairwise import PairScores, pairwise_scores
from sparsewatch.detectors.outrank.pairs.twins import dendrogram, find_twins
from sparsewatch.schemas.errors import ConfigError


def pairs(names: str, **redundancy: float) -> PairScores:
    """Redundancies by the two names, 0 where none is given."""
    matrix = np.eye(len(names))
    for pair, value in redundancy.items():
        i, j = (names.index(name) for name in pair)
        matrix[i, j] = matrix[j, i] = value
    return PairScores(tuple(names), "redundancy", matrix)


EQUAL = dict.fromkeys("abcdef", 1.0)


def test_every_pair_of_a_group_is_redundant() -> None:
    # b is close to both, a and c are not close: they may not share a group.
    (twins,) = find_twins(pairs("abcd", ab=0.95, bc=0.93, ac=0.5), scores=EQUAL)
    assert (twins.keep, twins.drop, twins.redundancy) == ("a", ["b"], 0.95)


def test_the_best_score_is_kept_then_the_cheapest_then_the_first_name() -> None:
    alike = pairs("abc", ab=1.0, bc=1.0, ac=1.0)
    keeps = [
        find_twins(alike, scores=scores, costs=costs)[0].keep
        for scores, costs in (
            ({"a": 1.0, "b": 1.0, "c": 2.0}, {"a": 1.0, "b": 1.0, "c": 9.0}),
            (EQUAL, {"a": 5.0, "b": 3.0, "c": 4.0}),
            (EQUAL, {"a": 3.0, "b": 3.0, "c": 3.0}),
            (EQUAL, None),
        )
    ]
    assert keeps == ["c", "b", "a", "a"]


def test_the_threshold_itself_is_enough() -> None:
    assert find_twins(pairs("ab", ab=0.9), scores=EQUAL, threshold=0.9)
    assert not find_twins(pairs("ab", ab=0.899), scores=EQUAL, threshold=0.9)
    assert find_twins(pairs("ab", ab=1.0), scores=EQUAL, threshold=1.0)


def test_order_of_columns_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    noise = rng.random((6, 6))
    matrix = (noise + noise.T) / 2
    np.fill_diagonal(matrix, 1.0)
    given = PairScores(tuple("abcdef"), "redundancy", matrix)
    order = rng.permutation(6)
    turned = PairScores(tuple("abcdef"[i] for i in order), "redundancy", matrix[np.ix_(order, order)])
    assert find_twins(given, scores=EQUAL, threshold=0.5) == find_twins(turned, scores=EQUAL, threshold=0.5)
    assert dendrogram(given) == dendrogram(turned)


def test_renamed_and_nearly_equal_columns_are_found() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 50, 5_000), rng.integers(0, 50, 5_000)
    columns = {
        "x": encode(x),
        "renamed": encode((x * 7) % 50),
        "nearly": encode(np.where(rng.random(5_000) < 0.01, y, x)),
        "coarse": encode(x // 10),
        "y": encode(y),
    }
    scores = {"x": 1.0, "renamed": 1.0, "nearly": 0.9, "coarse": 2.0, "y": 3.0}
    (twins,) = find_twins(pairwise_scores(columns), scores=scores)
    assert (twins.keep, twins.drop) == ("renamed", ["nearly", "x"])
    tree = dendrogram(pairwise_scores(columns))
    places = sorted(tree.leaves.index(name) for name in ("x", "renamed", "nearly"))
    assert places[2] - places[0] == 2
    assert len(tree.merges) == 4


def test_fewer_than_two_features_have_no_twins() -> None:
    assert find_twins(pairs("a"), scores=EQUAL) == []
    assert dendrogram(pairs("a")).leaves == ["a"]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="threshold: expected a number above 0 and at most 1, got 0"):
        find_twins(pairs("ab"), scores=EQUAL, threshold=0)
    with pytest.raises(ConfigError, match=r"expected a score of every feature, got none of \['b'\]"):
        find_twins(pairs("ab"), scores={"a": 1.0})
    with pytest.raises(ConfigError, match=r"expected a cost of every feature, got none of \['a', 'b'\]"):
        find_twins(pairs("ab"), scores=EQUAL, costs={})
    with pytest.raises(ConfigError, match="expected the measure 'redundancy', got 'score'"):
        find_twins(pairs("ab")._replace(measure="score"), scores=EQUAL)
