from math import comb

import numpy as np
import pytest

from sparsewatch.detectors.clicks.tolerances import Abundances

ROWS = np.array([1, 1, 1, 2, 2, 5, 30])


def test_sizes_are_grouped() -> None:
    abundances = Abundances.of(np.append(ROWS, 0))
    assert abundances.sizes.tolist() == [1, 2, 5, 30]
    assert abundances.times.tolist() == [3, 2, 1, 1]
    assert abundances.rows == 42


@pytest.mark.parametrize("n", [0, 1, 7, 20, 41, 42])
def test_expected_distinct_equals_the_binomial_formula(n: int) -> None:
    total = int(ROWS.sum())
    expected = sum(1 - comb(total - rows, n) / comb(total, n) for rows in ROWS.tolist())
    abundances = Abundances.of(ROWS)
    assert abundances.expected_distinct(n) == pytest.approx(expected, abs=1e-9)
    assert abundances.expected_missing(n) == pytest.approx(ROWS.size - expected, abs=1e-9)


def test_extrapolation_goes_on_where_interpolation_ends_and_levels_off() -> None:
    abundances = Abundances.of(ROWS)
    at = [abundances.expected_distinct(n) for n in (41, 42, 43, 80, 10_000)]
    assert at == sorted(at)
    assert at[2] - at[1] < 2 * (at[1] - at[0])
    # Chao's estimate of what is hidden: f1 (f1 - 1) / 2 (f2 + 1).
    assert at[-1] == pytest.approx(7 + 3 * 2 / (2 * 3))


def test_extrapolation_predicts_a_larger_sample() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 3_000, 12_000)
    abundances = Abundances.of(np.bincount(values[:4_000]))
    assert abundances.expected_distinct(12_000) == pytest.approx(np.unique(values).size, rel=0.05)


def test_a_sample_without_single_values_holds_all_there_are() -> None:
    assert Abundances.of(np.array([2, 3])).expected_distinct(1_000) == 2


def test_no_sample_expects_nothing() -> None:
    assert Abundances.of(np.zeros(0, np.int64)).expected_distinct(10) == 0
