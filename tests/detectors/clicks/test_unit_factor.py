"""Numbers in another unit are known by the factor; what is merely new is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.detectors.clicks.unit_factor import _STEPS, quantile_factor, unit_factor
from sparsewatch.detectors.counts.number_bins import BITS, bins_of

STEPS = pytest.mark.parametrize("step", _STEPS)
#: Primes, so that no two of them differ by one of the factors.
PRIMES = np.array([n for n in range(5_000, 9_000) if all(n % k for k in range(2, 95))])


@STEPS
@pytest.mark.parametrize("is_float", [False, True])
def test_the_factor_between_two_units_is_found_both_ways(step: int, is_float: bool) -> None:
    small = PRIMES / 7 if is_float else PRIMES
    large = small * step
    rows = np.arange(1, small.size + 1)
    assert unit_factor(large, rows, small) == step
    assert unit_factor(small, rows, large) == 1 / step


def test_a_part_in_another_unit_is_enough_and_a_tenth_may_be_news() -> None:
    new = np.append(1_000 * PRIMES[3:9], [7, 11])
    rows = np.array([50] * 6 + [15, 15])
    assert unit_factor(new, rows, PRIMES) == 1_000
    assert unit_factor(new, rows + np.array([0] * 6 + [20, 20]), PRIMES) is None


def test_few_numbers_tell_no_factor() -> None:
    assert unit_factor(10 * PRIMES[:3], np.ones(3, np.int64), PRIMES) is None
    assert unit_factor(10 * PRIMES[:4], np.ones(4, np.int64), PRIMES) == 10
    assert unit_factor(PRIMES[:0], np.ones(0, np.int64), PRIMES) is None
    assert unit_factor(PRIMES, np.ones(PRIMES.size, np.int64), PRIMES[:0]) is None


def test_products_that_do_not_fit_are_no_known_numbers() -> None:
    great = np.iinfo(np.int64).max // 3 - np.arange(9)
    known = np.sort(great * 10)
    assert unit_factor(great, np.ones(9, np.int64), known) is None


@given(st.sets(st.integers(1, 400), min_size=1), st.sets(st.integers(1, 400), min_size=1), st.data())
def test_the_factor_is_the_one_that_explains_most(known: set[int], new: set[int], data: st.DataObject) -> None:
    """The slow way: each number by each factor."""
    numbers = sorted(new)
    rows = data.draw(st.lists(st.integers(1, 9), min_size=len(numbers), max_size=len(numbers)))
    scores = {}
    for step in _STEPS:
        for factor, explained in (
            (float(step), [n % step == 0 and n // step in known for n in numbers]),
            (1 / step, [n * step in known for n in numbers]),
        ):
            scores[factor] = sum(np.array(rows)[explained]) if sum(explained) >= 4 else 0
    found = unit_factor(np.array(numbers), np.array(rows), np.array(sorted(known)))
    most = max(scores.values())
    if found is None:
        assert most < 0.9 * sum(rows)
    else:
        assert scores[found] == most >= 0.9 * sum(rows)


@pytest.mark.parametrize("factor", [1_000, 60, 1 / 10, 10, 24])
def test_bins_in_another_unit_are_told_by_their_quantiles(factor: float) -> None:
    rng = np.random.default_rng(1)
    before, now = (np.exp(rng.normal(size=5_000)) for _ in range(2))
    borders = np.quantile(before, np.arange(1, 33) / 32)
    bins, rows = np.unique(bins_of(factor * now, BITS), return_counts=True)
    assert quantile_factor(bins, rows, borders, np.arange(1, 33) / 32) == pytest.approx(factor)
    bins, rows = np.unique(bins_of(-factor * now, BITS), return_counts=True)
    assert quantile_factor(bins, rows, borders, np.arange(1, 33) / 32) is None


def test_bins_that_lie_elsewhere_are_in_no_other_unit() -> None:
    rng = np.random.default_rng(2)
    before = np.exp(rng.normal(size=5_000))
    borders, below = np.quantile(before, np.arange(1, 33) / 32), np.arange(1, 33) / 32
    for now in (np.exp(0.3 * rng.normal(size=5_000)) * 1_000, before + 1_000, 3 * before, np.zeros(9)):
        bins, rows = np.unique(bins_of(now, BITS), return_counts=True)
        assert quantile_factor(bins, rows, borders, below) is None
