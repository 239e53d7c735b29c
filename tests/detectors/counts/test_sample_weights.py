"""Weights of many samples at once: those of one after the other, and the same whatever lies beside them."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsewatch.detectors.counts.capped_counts import HashedCounters, estimate
from sparsewatch.detectors.counts.sample_weights import Sample, sample_weights
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE


def drawn(seed: int) -> Sample:
    """A sample of a column: few or many values, all alike or some of them heavy, with few or many clicks."""
    random = np.random.default_rng(seed)
    counters = int(random.choice([64, 128]))
    values = int(random.integers(0, 5 * counters))
    hashes = random.integers(0, HASH_RANGE, values, dtype=np.uint64)
    rows = (1 + random.exponential(random.choice([0.0, 2.0, 20.0]), values) ** 2).astype(np.int64)
    clicks = random.binomial(rows, random.choice([0.0, 0.1, 0.5, 1.0]))
    hashed = HashedCounters.empty(counters)
    hashed.add(hashes, rows, clicks)
    limit = int(HASH_RANGE * random.choice([0.001, 0.03, 0.2, 0.7]))
    below = hashes < np.uint64(limit)
    return Sample(hashed, hashes[below], rows[below], clicks[below], limit)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 1 << 40), max_size=40))
def test_weights_are_those_of_one_sample_after_the_other(seeds: list[int]) -> None:
    samples = [drawn(seed) for seed in seeds]
    for sample, weights in zip(samples, sample_weights(samples), strict=True):
        assert weights == pytest.approx(estimate(*sample).weights, rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 1 << 40), min_size=1, max_size=40), st.randoms())
def test_weights_do_not_depend_on_other_samples(seeds: list[int], random: Random) -> None:
    samples = [drawn(seed) for seed in seeds]
    together = sample_weights(samples)
    order = list(range(len(samples)))
    random.shuffle(order)
    for place, weights in zip(order, sample_weights([samples[place] for place in order]), strict=True):
        assert np.array_equal(weights, together[place])
    for sample, weights in zip(samples, together, strict=True):
        assert np.array_equal(sample_weights([sample])[0], weights)
