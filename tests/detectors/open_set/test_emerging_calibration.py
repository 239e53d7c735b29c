"""Streams of known wafers keep to the stated number of false patterns; a planted pattern at 2 % is found."""

import functools

import numpy as np
import pytest

from sparsewatch.detectors.open_set.emerging import ClusterRules, Recent, Sample, find_clusters
from sparsewatch.detectors.open_set.emerging_calibration import simulate, tail_quantile, threshold
from sparsewatch.schemas.errors import ConfigError

CLASSES, DIMENSIONS, LEVEL = 5, 8, 0.1


def known_wafers(n: int, rng: np.random.Generator) -> np.ndarray:
    """Of Gaussian classes of unit spread with heavy tails, and so of novel-looking ones."""
    middles = np.random.default_rng(1).standard_normal((CLASSES, DIMENSIONS)) * 4
    tails = np.sqrt(6 / rng.chisquare(6, n))[:, None]
    drawn: np.ndarray = middles[rng.integers(0, CLASSES, n)] + tails * rng.standard_normal((n, DIMENSIONS))
    return drawn


def novelty(wafers: np.ndarray) -> np.ndarray:
    """Distance to the middle of the nearest class."""
    middles = np.random.default_rng(1).standard_normal((CLASSES, DIMENSIONS)) * 4
    nearest: np.ndarray = np.linalg.norm(wafers[:, None] - middles, axis=2).min(axis=1)
    return nearest


@functools.cache
def border() -> float:
    """The novelty that a tenth of the known wafers exceed, by many draws."""
    return float(np.quantile(novelty(known_wafers(20_000, np.random.default_rng(2))), 1 - LEVEL))


def looking_novel(wafers: np.ndarray) -> np.ndarray:
    """Whether each wafer is among the most novel tenth of known wafers, or more novel."""
    return novelty(wafers) > border()


def look(stream: np.ndarray, background: Sample, limit: float) -> list[np.ndarray]:
    chosen = np.flatnonzero(looking_novel(stream))
    recent = Recent(Sample(stream[chosen], len(stream)), np.arange(len(chosen)), np.ones(len(chosen), dtype=np.bool_))
    found = find_clusters(recent, background, ClusterRules(threshold=limit, min_wafers=4, min_lots=2))
    return [chosen[cluster.members] for cluster in found]


def background(rng: np.random.Generator, wafers: int = 1_500) -> Sample:
    known = known_wafers(wafers, rng)
    return Sample(known[looking_novel(known)], wafers)


@pytest.mark.long
@pytest.mark.parametrize("false_rate", [0.2, 0.05, 0.01])
def test_known_wafers_raise_no_more_than_the_budget(false_rate: float) -> None:
    rng, looks, raised = np.random.default_rng(11), 240, 0
    for start in range(0, looks, 40):
        # The budget holds over calibration sets, too: one set alone can be lucky or not.
        known = background(rng)
        limit = threshold(known, 300, 1.0, false_rate, 4, np.random.default_rng(start))
        raised += sum(bool(look(known_wafers(300, rng), known, limit)) for _ in range(40))
    assert raised <= looks * false_rate + 3 * np.sqrt(looks * false_rate) + 1


@pytest.mark.parametrize("members", [4, 5, 6])
def test_a_compact_pattern_at_two_per_cent_is_found(members: int) -> None:
    rng, found = np.random.default_rng(5), 0
    known = background(rng)
    limit = threshold(known, 200, 0.1, 0.05, 4, np.random.default_rng(0))
    place = np.full(DIMENSIONS, 4.5)
    for _ in range(25):
        stream = known_wafers(200, rng)
        stream[:members] = place + 0.6 * rng.standard_normal((members, DIMENSIONS))
        found += any(set(range(members)) <= set(cluster.tolist()) for cluster in look(stream, known, limit))
    assert found >= 22


def test_a_rarer_false_pattern_has_a_higher_threshold() -> None:
    known = background(np.random.default_rng(3))
    limits = [threshold(known, 200, 0.1, rate, 4, np.random.default_rng(0)) for rate in (0.5, 0.1, 0.01, 1e-4)]
    assert limits == sorted(limits)
    assert len(set(limits)) == 4


def test_a_look_at_more_wafers_than_can_be_drawn_has_a_higher_threshold() -> None:
    known = background(np.random.default_rng(3), 400)
    few, many = (threshold(known, n, 0.1, 0.05, 4, np.random.default_rng(0)) for n in (200, 2_000))
    assert many == pytest.approx(few + np.log(10))


def test_the_tail_is_that_of_exponential_values() -> None:
    values = np.sort(np.random.default_rng(4).exponential(2.0, 20_000))
    for share in (0.3, 0.1, 0.01, 1e-4):
        assert tail_quantile(values, share) == pytest.approx(-2 * np.log(share), rel=0.05)


def test_the_same_seed_draws_the_same_streams() -> None:
    known = background(np.random.default_rng(3))
    first, second = (simulate(known, 100, 0.2, 4, 20, np.random.default_rng(7)) for _ in range(2))
    assert first.tolist() == second.tolist()


def test_too_few_calibration_wafers_are_refused() -> None:
    with pytest.raises(ConfigError, match="20 calibration wafers of the model, got 12"):
        threshold(Sample(np.zeros((3, 2)), 12), 100, 0.1, 0.05, 4, np.random.default_rng(0))
