import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sparsewatch.detectors.sparse_net.encode import encode
from sparsewatch.detectors.sparse_net.net import NetConfig, WaferNet
from sparsewatch.detectors.sparse_net.points import WaferPoints
from sparsewatch.detectors.wafers.occlusion import Occlusion, OcclusionConfig, Score, class_margin, occlude
from sparsewatch.detectors.wafers.zones import BORDERS
from sparsewatch.schemas.errors import ConfigError


def wafer(x: NDArray[np.float64], y: NDArray[np.float64], grid: int = 0) -> WaferPoints:
    offsets, own_grid = np.array([0, len(x)]), np.array([[grid, grid]])
    return WaferPoints(offsets, x.astype(np.float32), y.astype(np.float32), own_grid, np.zeros(1, dtype=np.int64))


def strewn(n: int, seed: int) -> WaferPoints:
    rng = np.random.default_rng(seed)
    radius, angle = np.sqrt(rng.random(n)), rng.uniform(0, 2 * np.pi, n)
    return wafer(radius * np.cos(angle), radius * np.sin(angle))


def with_cluster(n: int, members: int, at: tuple[float, float], seed: int) -> WaferPoints:
    """Strewn points, then those of a cluster."""
    rng, background = np.random.default_rng(seed), strewn(n, seed)
    x, y = (middle + 0.02 * rng.standard_normal(members) for middle in at)
    return wafer(np.append(background.x, x), np.append(background.y, y))


def only(points: WaferPoints, keep: NDArray[np.bool_]) -> WaferPoints:
    return wafer(points.x[keep].astype(np.float64), points.y[keep].astype(np.float64))


def per_wafer(points: WaferPoints, values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.bincount(points.wafer, values, len(points)).astype(np.float64)


def crowding(points: WaferPoints) -> NDArray[np.float64]:
    """Of each wafer, pairs of points in the same cell of 20 a side: high where there is a cluster."""
    cells = np.floor(np.stack([points.wafer, 10 * points.x, 10 * points.y]))
    (of, _, _), counts = np.unique(cells, axis=1, return_counts=True)
    return np.bincount(of.astype(np.int64), counts * (counts - 1) / 2, len(points)).astype(np.float64)


def counted(score: Score, seen: list[int]) -> Score:
    def counting(points: WaferPoints) -> NDArray[np.float64]:
        seen.append(len(points))
        return score(points)

    return counting


def test_a_score_that_is_a_sum_over_defects_is_attributed_to_each_defect() -> None:
    points = strewn(80, seed=1)

    def to_the_right(points: WaferPoints) -> NDArray[np.float64]:
        return per_wafer(points, np.maximum(points.x.astype(np.float64), 0))

    found = occlude(points, to_the_right, OcclusionConfig(tiles=1_000))
    np.testing.assert_allclose(found.heat, np.maximum(points.x, 0), atol=1e-12)


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 60), split=st.integers(1, 9), mix=st.floats(0, 3))
def test_points_of_a_ring_together_have_the_drop_of_the_score_without_it(
    seed: int, n: int, split: int, mix: float
) -> None:
    points = strewn(n, seed)

    def some_score(points: WaferPoints) -> NDArray[np.float64]:
        plain = per_wafer(points, np.cos(9 * points.x.astype(np.float64)))
        return plain - mix * np.sqrt(crowding(points)) + np.sin(points.defects)

    found = occlude(points, some_score, OcclusionConfig(split=split, tiles=200))
    ring = np.searchsorted(BORDERS, np.hypot(points.x, points.y), side="right")
    for inside in (ring == i for i in range(4) if (ring == i).any()):
        lost = some_score(points)[0] - some_score(only(points, ~inside))[0]
        assert found.heat[inside].sum() == pytest.approx(lost, abs=1e-9)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000), n=st.integers(1, 200), tiles=st.integers(1, 120), points_most=st.integers(1, 20_000)
)
def test_no_more_wafers_are_scored_than_the_budget_allows(seed: int, n: int, tiles: int, points_most: int) -> None:
    seen: list[int] = []
    found = occlude(strewn(n, seed), counted(crowding, seen), OcclusionConfig(tiles=tiles, points=points_most))
    assert sum(seen) == found.scored <= 5 + min(tiles, points_most // n)
    assert min(seen) > 0


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 150))
def test_a_tile_is_what_its_drop_was_measured_on(seed: int, n: int) -> None:
    points = strewn(n, seed)
    found = occlude(points, crowding, OcclusionConfig(tiles=100))
    assert np.bincount(found.tile).min() > 0
    assert len(np.bincount(found.tile)) == len(found.drop)
    for tile in range(len(found.drop)):
        lost = found.score - crowding(only(points, found.tile != tile))[0]
        assert found.drop[tile] == pytest.approx(lost)


@pytest.mark.parametrize("seed", range(5))
def test_the_strongest_region_is_that_of_a_planted_cluster(seed: int) -> None:
    at = (0.3, -0.45)
    points = with_cluster(300, 60, at, seed)
    found = occlude(points, crowding)
    hot = np.argsort(-found.heat)[:40]
    assert np.hypot(points.x[hot] - at[0], points.y[hot] - at[1]).max() < 0.15
    # Some pairs are of strewn points alone.
    assert found.evidence[300:].sum() > 0.8 * found.evidence.sum()


@pytest.mark.parametrize("seed", range(5))
def test_without_its_hottest_defects_a_wafer_loses_more_than_without_any_others(seed: int) -> None:
    points = with_cluster(300, 60, (0.3, -0.45), seed)
    found = occlude(points, crowding)
    hot = np.argsort(-found.heat)[:40]
    rng = np.random.default_rng(seed)

    def left(taken: NDArray[np.int64]) -> float:
        keep = np.ones(len(points.x), dtype=np.bool_)
        keep[taken] = False
        return float(crowding(only(points, keep))[0])

    assert left(hot) < min(left(rng.choice(360, 40, replace=False)) for _ in range(20))


def test_defects_that_stand_in_for_each_other_share_evenly() -> None:
    """A score that one defect is enough for: taking a part away changes nothing."""
    angle = np.arange(30) / 30 * 2 * np.pi
    points = wafer(0.95 * np.cos(angle), 0.95 * np.sin(angle))

    def any_left(points: WaferPoints) -> NDArray[np.float64]:
        return (points.defects > 0).astype(np.float64)

    np.testing.assert_allclose(occlude(points, any_left).heat, 1 / 30)


def test_defects_that_speak_against_a_score_get_less_than_nothing() -> None:
    points = strewn(50, seed=3)

    def less_the_edge(points: WaferPoints) -> NDArray[np.float64]:
        return per_wafer(points, np.where(np.hypot(points.x, points.y) > 0.9, -2.0, 1.0))

    found = occlude(points, less_the_edge)
    np.testing.assert_allclose(found.heat, np.where(np.hypot(points.x, points.y) > 0.9, -2, 1))
    assert found.evidence.min() == 0


def test_defects_of_one_place_are_not_split() -> None:
    points = wafer(np.full(30, 0.7), np.full(30, 0.2))
    found = occlude(points, crowding)
    assert len(found.drop) == 1
    np.testing.assert_allclose(found.heat, 435 / 30)
    assert found.scored == 2  # with and without them


def test_dies_are_distinguished() -> None:
    side = 26
    column, row = np.meshgrid(np.arange(8, 13), np.arange(8, 13))
    points = wafer((2 * column.reshape(-1) + 1) / side - 1, (2 * row.reshape(-1) + 1) / side - 1, side)

    def weighed(points: WaferPoints) -> NDArray[np.float64]:
        return per_wafer(points, points.x + 2.0 * points.y + 5)

    found = occlude(points, weighed)
    np.testing.assert_allclose(found.heat, points.x + 2.0 * points.y + 5, atol=1e-12)
    assert len(found.drop) == 25


def test_a_networks_margin_is_explained_and_its_drops_are_what_taking_away_does() -> None:
    net = WaferNet(NetConfig.for_grid(64, 3)).eval()
    points = with_cluster(60, 30, (0.5, 0.5), seed=0)

    def score(points: WaferPoints) -> NDArray[np.float64]:
        return class_margin(encode(net, points, 64), 1)

    found: Occlusion = occlude(points, score, OcclusionConfig(tiles=60))
    for tile in np.flatnonzero(np.bincount(found.tile) < 5)[:5]:
        lost = found.score - score(only(points, found.tile != tile))[0]
        assert found.drop[tile] == pytest.approx(lost, abs=1e-4)


def test_the_margin_is_the_lead_over_the_best_other_class() -> None:
    net = WaferNet(NetConfig.for_grid(16, 4)).eval()
    encodings = encode(net, with_cluster(40, 10, (0, 0), seed=0), 16)
    logits = np.sort(encodings.logits[0])
    best, worst = int(encodings.logits[0].argmax()), int(encodings.logits[0].argmin())
    assert class_margin(encodings, best)[0] == pytest.approx(logits[3] - logits[2])
    assert class_margin(encodings, worst)[0] == pytest.approx(logits[0] - logits[3])


def test_where_several_classes_may_occur_the_margin_is_the_logit() -> None:
    net = WaferNet(NetConfig.for_grid(16, 4, several=True)).eval()
    encodings = encode(net, with_cluster(40, 10, (0, 0), seed=0), 16)
    assert class_margin(encodings, 2)[0] == encodings.logits[0, 2]


def test_what_cannot_be_explained_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected one wafer with defects, got 1 wafers with 0"):
        occlude(wafer(np.zeros(0), np.zeros(0)), crowding)
    two = strewn(4, 0).take(np.array([0, 0]))
    with pytest.raises(ConfigError, match="got 2 wafers"):
        occlude(two, crowding)
    with pytest.raises(ConfigError, match="tiles: expected a whole number of at least 1"):
        OcclusionConfig(tiles=0)
