import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from sparsewatch.detectors.open_set.baselines.class_statistics import (
    ClassStatistics,
    class_statistics,
    covariances,
    merge,
)
from sparsewatch.schemas.errors import ConfigError, SchemaError

FIELDS = ("count", "mean", "scatter", "cubic", "quartic")


def samples_of(n: int, seed: int, classes: int = 3) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    return 20 * labels[:, None] + rng.standard_normal((n, 4)) * [1, 2, 0.5, 3], labels


def assert_same(a: ClassStatistics, b: ClassStatistics) -> None:
    for field in FIELDS:
        np.testing.assert_allclose(getattr(a, field), getattr(b, field), rtol=1e-9, atol=1e-9)


def test_a_square_has_its_centre_as_mean_and_the_identity_as_covariance() -> None:
    square = np.array([[0.0, 0], [2, 0], [0, 2], [2, 2]])
    one = class_statistics(square, np.zeros(4, int), 1)
    np.testing.assert_array_equal(one.mean, [[1, 1]])
    np.testing.assert_array_equal(one.scatter / one.count, [np.eye(2)])


def test_moments_are_the_sums_taken_sample_by_sample() -> None:
    samples, labels = samples_of(40, 0)
    found = class_statistics(samples, labels, 3)
    for label in range(3):
        c = [s - samples[labels == label].mean(0) for s in samples[labels == label]]
        assert found.count[label] == len(c)
        np.testing.assert_allclose(found.scatter[label], sum(np.outer(x, x) for x in c))
        np.testing.assert_allclose(found.cubic[label], sum((x @ x) * x for x in c), atol=1e-9)
        np.testing.assert_allclose(found.quartic[label], sum((x @ x) ** 2 for x in c))


@given(cuts=st.lists(st.integers(0, 60), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_any_split_in_any_order_merges_to_the_statistics_of_all(cuts: list[int], seed: int) -> None:
    samples, labels = samples_of(60, seed)
    order = np.random.default_rng(seed).permutation(60)
    parts = [class_statistics(samples[part], labels[part], 3) for part in np.split(order, sorted(cuts))]
    whole = parts[0]
    for part in parts[1:]:
        whole = merge(part, whole) if seed % 2 else merge(whole, part)
    assert_same(whole, class_statistics(samples, labels, 3))


def test_merging_with_a_set_without_samples_changes_nothing() -> None:
    samples, labels = samples_of(30, 1)
    full, empty = class_statistics(samples, labels, 3), class_statistics(samples[:0], labels[:0], 3)
    assert_same(merge(full, empty), full)
    assert_same(merge(empty, full), full)


def test_covariances_equal_those_of_scikit_learn_after_a_merge_too() -> None:
    samples, labels = samples_of(50, 2)
    merged = merge(class_statistics(samples[:20], labels[:20], 3), class_statistics(samples[20:], labels[20:], 3))
    theirs = [ledoit_wolf(samples[labels == label])[0] for label in range(3)]
    np.testing.assert_allclose(covariances(merged), theirs, rtol=1e-9)


def test_two_samples_in_many_dimensions_have_a_covariance_and_one_has_none() -> None:
    samples = np.random.default_rng(0).standard_normal((3, 6))
    two = covariances(class_statistics(samples[:2], np.zeros(2, int), 1))
    assert np.isfinite(two).all()
    with pytest.raises(ConfigError, match="2 wafers of each class, got 1 of class 1"):
        covariances(class_statistics(samples, np.array([0, 0, 1]), 2))


def test_labels_that_are_no_class_are_refused() -> None:
    with pytest.raises(SchemaError, match="labels from 0 to 1, got -1 to 1"):
        class_statistics(np.zeros((3, 2)), np.array([0, 1, -1]), 2)
    with pytest.raises(SchemaError, match="expected 3 labels"):
        class_statistics(np.zeros((3, 2)), np.array([0, 1]), 2)
