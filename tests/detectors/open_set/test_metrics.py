from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sparsewatch.detectors.open_set.metrics import aupr, auroc, fpr_at_tpr, open_set_macro_f1, oscr
from sparsewatch.schemas.errors import ConfigError, SchemaError

SCORES = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=30).map(np.array)


def slow_auroc(known: NDArray[np.float64], novel: NDArray[np.float64]) -> float:
    return float(np.mean([(n > k) + 0.5 * (n == k) for n in novel for k in known]))


def slow_oscr(known: NDArray[np.float64], right: NDArray[np.bool_], novel: NDArray[np.float64]) -> float:
    x, y, area = 0.0, 0.0, 0.0
    for threshold in sorted({*known, *novel}):
        next_x, next_y = np.mean(novel <= threshold), np.mean((known <= threshold) & right)
        area += (next_x - x) * (y + next_y) / 2
        x, y = next_x, next_y
    return float(area)


@given(known=SCORES, novel=SCORES)
def test_auroc_is_the_share_of_pairs_in_order(known: NDArray[np.float64], novel: NDArray[np.float64]) -> None:
    assert auroc(known, novel) == pytest.approx(slow_auroc(known, novel))


@given(known=SCORES, novel=SCORES)
def test_aupr_is_the_mean_precision_at_each_novel_wafer(known: NDArray[np.float64], novel: NDArray[np.float64]) -> None:
    slow = np.mean([np.sum(novel >= t) / (np.sum(novel >= t) + np.sum(known >= t)) for t in novel])
    assert aupr(known, novel) == pytest.approx(slow)


@given(known=SCORES, novel=SCORES, tpr=st.sampled_from([0.5, 0.8, 0.95, 1.0]))
def test_fpr_is_the_least_over_all_thresholds_that_find_enough(
    known: NDArray[np.float64], novel: NDArray[np.float64], tpr: float
) -> None:
    slow = min(np.mean(known >= t) for t in {*known, *novel} if np.mean(novel >= t) >= tpr)
    assert fpr_at_tpr(known, novel, tpr) == pytest.approx(slow)


@given(known=SCORES, novel=SCORES, seed=st.integers(0, 9))
def test_oscr_is_the_area_walked_threshold_by_threshold(
    known: NDArray[np.float64], novel: NDArray[np.float64], seed: int
) -> None:
    right = np.random.default_rng(seed).random(len(known)) < 0.7
    area = oscr(known, right, novel)
    assert area == pytest.approx(slow_oscr(known, right, novel))
    assert area <= right.mean() + 1e-12
    assert oscr(known, np.ones(len(known), bool), novel) == pytest.approx(auroc(known, novel))


def test_scores_that_say_nothing_have_the_figures_of_chance() -> None:
    rng = np.random.default_rng(0)
    known, novel = rng.standard_normal((2, 20_000))
    assert auroc(known, novel) == pytest.approx(0.5, abs=0.02)
    assert aupr(known, novel) == pytest.approx(0.5, abs=0.02)
    assert fpr_at_tpr(known, novel) == pytest.approx(0.95, abs=0.02)
    assert fpr_at_tpr(known, known) == pytest.approx(0.95, abs=1e-3)


def test_scores_that_say_all_have_the_best_figures() -> None:
    known, novel = np.arange(10.0), np.arange(10.0, 15)
    assert (auroc(known, novel), aupr(known, novel), fpr_at_tpr(known, novel)) == (1, 1, 0)
    assert oscr(known, np.arange(10) < 7, novel) == pytest.approx(0.7)


def test_a_strictly_rising_transform_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    known, novel, right = rng.standard_normal(200), rng.standard_normal(90) + 1, rng.random(200) < 0.8
    for rising in (np.exp, lambda s: 3 * s - 7, np.arctan):
        assert auroc(rising(known), rising(novel)) == pytest.approx(auroc(known, novel))
        assert fpr_at_tpr(rising(known), rising(novel)) == pytest.approx(fpr_at_tpr(known, novel))
        assert oscr(rising(known), right, rising(novel)) == pytest.approx(oscr(known, right, novel))


def test_nineteen_of_twenty_novel_wafers_are_95_percent() -> None:
    novel = np.append(np.ones(19), -1.0)
    assert fpr_at_tpr(np.zeros(10), novel) == 0


def test_macro_f1_counts_novel_as_one_class_more() -> None:
    truth = np.array(["a", "a", "b", "b", "novel", "novel"])
    predicted = np.array(["a", "novel", "b", "b", "novel", "b"])
    # a: precision 1, recall 1/2; b: 2/3 and 1; novel: 1/2 and 1/2.
    assert open_set_macro_f1(truth, predicted) == pytest.approx((2 / 3 + 4 / 5 + 1 / 2) / 3)
    assert open_set_macro_f1(truth, truth) == 1


def test_a_class_that_is_predicted_but_never_true_is_no_class_of_the_mean() -> None:
    assert open_set_macro_f1(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2])) == pytest.approx((1 + 2 / 3) / 2)
    assert open_set_macro_f1(np.array([0, 0, 1]), np.array([0, 0, 0])) == pytest.approx(0.4)


@pytest.mark.parametrize("measure", [auroc, aupr, fpr_at_tpr])
def test_scores_that_are_missing_or_not_finite_are_refused(measure: Callable[..., float]) -> None:
    with pytest.raises(SchemaError, match=r"finite scores of novel wafers, at least one, got shape \(0,\)"):
        measure(np.zeros(3), np.zeros(0))
    with pytest.raises(SchemaError, match=r"known wafers.*1 that are not finite"):
        measure(np.array([0.0, np.nan]), np.zeros(3))


def test_lengths_that_differ_and_rates_out_of_range_are_refused() -> None:
    with pytest.raises(SchemaError, match="flags of right classes"):
        oscr(np.zeros(3), np.ones(2, bool), np.zeros(3))
    with pytest.raises(SchemaError, match="as many verdicts as wafers"):
        open_set_macro_f1(np.zeros(3), np.zeros(2))
    for rate in (0.0, 1.1):
        with pytest.raises(ConfigError, match="tpr: expected a number above 0 and at most 1"):
            fpr_at_tpr(np.zeros(3), np.ones(3), rate)
