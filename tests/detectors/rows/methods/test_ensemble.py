import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from sparsewatch.detectors.rows.methods.ensemble import fit_ensemble
from sparsewatch.detectors.rows.methods.histogram import fit_histogram
from sparsewatch.detectors.rows.methods.scorer import scoring_threads


def rows(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def test_a_score_is_the_evidence_of_all_scales_and_of_the_histogram() -> None:
    X, fresh = rows(3000, 4), rows(200, 4, 1) * 2
    scorer = fit_ensemble(X, 0)
    distances = scorer.samples.distances(fresh)
    parts = [w * e(c) for c, w, e in zip(distances.T, scorer.samples.weights, scorer.evidence, strict=False)]
    parts.append(scorer.evidence[-1](fit_histogram(X).score(fresh)))
    np.testing.assert_allclose(scorer.score(fresh), np.sum(parts, axis=0), rtol=1e-5, atol=1e-5)


def test_terms_add_up_to_the_score_and_name_the_odd_feature() -> None:
    scorer, fresh = fit_ensemble(rows(3000, 5), 0), rows(300, 5, 2)
    fresh[:, 3] += 6
    terms = scorer.terms(fresh)
    np.testing.assert_allclose(terms.sum(axis=1), scorer.score(fresh), rtol=1e-3, atol=1e-3)
    assert np.mean(terms.argmax(axis=1) == 3) > 0.9


@pytest.mark.parametrize("threads", [2, 3])
def test_several_threads_give_the_same_bits(threads: int) -> None:
    scorer, fresh = fit_ensemble(rows(2000, 6), 0), rows(30_000, 6, 3)
    alone = scorer.score(fresh)
    with scoring_threads(threads):
        np.testing.assert_array_equal(scorer.score(fresh), alone)


@pytest.mark.parametrize("n", [60, 2000])
def test_odd_values_odd_combinations_and_clumps_rank_high(n: int) -> None:
    rng = np.random.default_rng(4)
    X = rng.standard_normal((n, 3)).astype(np.float32)
    X[:, 1] = X[:, 0] + 0.05 * X[:, 1]
    scorer = fit_ensemble(X, 0)
    fresh = X + rng.normal(0, 0.01, X.shape).astype(np.float32)
    combination = np.array([[1.5, -1.5, 0.0]], dtype=np.float32)
    value = np.array([[0.0, 0.0, 8.0]], dtype=np.float32)
    for odd in (combination, value):
        assert roc_auc_score([0] * n + [1], np.append(scorer.score(fresh), scorer.score(odd))) > 0.97
