"""Clusters of novel-looking wafers: the statistic is that of a slow count, and only clusters are found."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import nbinom

from sparsewatch.detectors.open_set.emerging import (
    ClusterRules,
    Recent,
    Sample,
    compactness,
    find_clusters,
    grow_balls,
    largest_statistic,
    nearest_of,
    reach_of,
    whitening,
    widest,
)

RULES = ClusterRules(threshold=6.0, min_wafers=4, min_lots=2)


def slow_statistic(stream: np.ndarray, background: np.ndarray, odds: float, fresh: np.ndarray, least: int) -> float:
    """Every ball on its own, counted one by one; the negative binomial by its own name."""
    best = 0.0
    for i, middle in enumerate(stream):
        distances = [float(np.linalg.norm(other - middle)) for other in stream]
        nearest = sorted((d, j) for j, d in enumerate(distances) if j != i)[:12]
        for k in range(1, len(nearest) + 1):
            inside = [i, *(j for _, j in nearest[:k])]
            chance = sum(float(np.linalg.norm(other - middle)) <= nearest[k - 1][0] for other in background)
            if len(inside) >= least and fresh[inside].any():
                # scipy counts failures before the k-th success: of the background before the k-th of the stream.
                best = max(best, -float(nbinom.logcdf(chance, k, odds / (1 + odds))))
    return best


@given(st.integers(0, 2**31), st.integers(2, 25), st.integers(0, 25), st.integers(1, 4), st.integers(2, 6))
def test_the_statistic_is_what_counting_each_ball_gives(seed: int, s: int, b: int, d: int, least: int) -> None:
    rng = np.random.default_rng(seed)
    stream, background = rng.standard_normal((s, d)), rng.standard_normal((b, d))
    fresh, odds = rng.random(s) < 0.3, float(rng.uniform(0.05, 2))
    found = largest_statistic(cdist(stream, stream), cdist(stream, background), odds, fresh, least)
    assert found == pytest.approx(slow_statistic(stream, background, odds, fresh, least), rel=1e-6, abs=1e-9)


@given(st.integers(0, 2**31), st.integers(2, 20))
def test_lots_inside_are_counted_as_a_set_counts_them(seed: int, s: int) -> None:
    rng = np.random.default_rng(seed)
    points, lots = rng.standard_normal((s, 2)), rng.integers(0, 4, s)
    balls = grow_balls(cdist(points, points), np.zeros((s, 0)), s)
    slow = [[len(set(lots[row[: k + 2]])) for k in range(s - 1)] for row in balls.order]
    assert balls.running_distinct(lots).tolist() == slow


def test_copies_of_known_wafers_are_no_cluster() -> None:
    copies = np.repeat(np.zeros((1, 3)), 8, axis=0)
    statistic = largest_statistic(np.zeros((8, 8)), cdist(copies, copies), 1.0, np.ones(8, dtype=np.bool_), 4)
    assert statistic < 1.0


#: Novel-looking known wafers of the stream.
KNOWN = 15


def planted(members: int, lots: int = 9) -> tuple[Recent, Sample]:
    """Known wafers, spread out, and `members` new ones close together and apart from them; all fresh."""
    rng = np.random.default_rng(0)
    known = rng.standard_normal((KNOWN, 6))
    new = np.array([9.0, 0, 0, 0, 0, 0]) + 0.7 * rng.standard_normal((members, 6))
    stream = np.concatenate([known, new])
    lot = np.concatenate([np.arange(KNOWN), 100 + np.arange(members) % lots])
    background = Sample(rng.standard_normal((200, 6)), 2_000)
    return Recent(Sample(stream, 200), lot, np.ones(len(stream), dtype=np.bool_)), background


@pytest.mark.parametrize("members", [4, 5, 8, 30])
def test_a_cluster_apart_from_known_wafers_is_found_whole(members: int) -> None:
    [cluster] = find_clusters(*planted(members), RULES)
    assert cluster.members.tolist() == list(range(KNOWN, KNOWN + members))
    assert cluster.expected == 0


def test_wafers_of_one_lot_are_no_pattern() -> None:
    assert find_clusters(*planted(6, lots=1), RULES) == []


def test_fewer_wafers_than_asked_for_are_no_pattern() -> None:
    assert find_clusters(*planted(3), RULES) == []


def test_a_cluster_without_a_fresh_wafer_was_searched_before() -> None:
    recent, background = planted(6)
    fresh = recent.fresh.copy()
    fresh[KNOWN:] = False
    assert find_clusters(Recent(recent.sample, recent.lots, fresh), background, RULES) == []


def test_two_clusters_are_two_patterns_without_a_wafer_in_common() -> None:
    recent, background = planted(6)
    other = -recent.sample.embeddings[KNOWN:]
    stream = Sample(np.concatenate([recent.sample.embeddings, other]), 200)
    lots = np.concatenate([recent.lots, 200 + np.arange(6)])
    found = find_clusters(Recent(stream, lots, np.ones(len(lots), dtype=np.bool_)), background, RULES)
    assert sorted(cluster.members.tolist() for cluster in found) == [
        list(range(KNOWN, KNOWN + 6)),
        list(range(KNOWN + 6, KNOWN + 12)),
    ]


def test_nothing_is_found_among_nothing() -> None:
    none = Recent(Sample(np.zeros((0, 6)), 200), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.bool_))
    assert find_clusters(none, planted(4)[1], RULES) == []


def test_whitened_wafers_of_a_known_pattern_lie_as_wide_as_stated() -> None:
    rng = np.random.default_rng(2)
    shape = rng.standard_normal((8, 8))
    within = shape @ shape.T + np.eye(8)
    drawn = rng.multivariate_normal(np.ones(8), within, 4_000) @ whitening(within)
    distances = np.linalg.norm(drawn - drawn.mean(axis=0), axis=1)
    assert np.mean(distances <= widest(8)) == pytest.approx(0.9, abs=0.02)
    assert compactness(drawn) == pytest.approx(1, abs=0.02)
    assert compactness(drawn / 3) == pytest.approx(1 / 3, abs=0.02)
    assert reach_of(drawn) == widest(8)
    assert reach_of(drawn[:5] / 100) < 0.2


def test_a_wafer_belongs_to_the_centre_that_reaches_it_best() -> None:
    centres, reaches = np.array([[0.0], [10.0]]), np.array([2.0, 9.0])
    points = np.array([[1.0], [2.5], [30.0]])
    assert nearest_of(points, centres, reaches).tolist() == [0, 1, -1]
    assert nearest_of(points, np.zeros((0, 1)), np.zeros(0)).tolist() == [-1, -1, -1]
