import json

import numpy as np
import pytest

from sparsewatch.detectors.rows.methods.apre.mean_shift import Rows, shift_reference
from sparsewatch.detectors.rows.methods.apre.score import ScoreConfig
from sparsewatch.detectors.rows.methods.apre.scorer import (
    AutoencoderScorer,
    fit_apre,
    fit_autoencoder,
    read_autoencoder,
)
from sparsewatch.detectors.rows.methods.apre.shift_guard import LabelledRows, ShiftGuard
from sparsewatch.detectors.rows.methods.apre.shifted_scorer import (
    ShiftConfig,
    ShiftedScorer,
    fit_apre_mss,
    fit_autoencoder_mss,
    read_shifted,
)
from sparsewatch.detectors.rows.methods.apre.train import TrainConfig
from sparsewatch.schemas.errors import ConfigError, SchemaError

BRIEF = TrainConfig(steps=30)


def draws(seed: int, n: int, d: int = 6) -> Rows:
    X = np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)
    X[:, 1] = X[:, 0]
    return X


def fitted(method: str, shift: ShiftConfig | None = None) -> ShiftedScorer:
    fit = {"apre": fit_apre_mss, "autoencoder": fit_autoencoder_mss}[method]
    return fit(draws(0, 300), 0, training=BRIEF, shift=shift)


@pytest.mark.parametrize("method", ["apre", "autoencoder"])
def test_the_reconstruction_of_the_row_is_compared_with_the_shifted_row(method: str) -> None:
    scorer, rows = fitted(method), draws(1, 50)
    assert not scorer.guard.refusal
    assert len(scorer.reference.levels) == {"apre": 1, "autoencoder": 3}[method]
    moved = shift_reference(scorer.reference.levels[0], 10, len(scorer.reference.levels)).shift(rows)
    # One row of its own at a time: what is reconstructed stays the row itself.
    expected = [scorer.plain.score(rows[i : i + 1], lambda _, i=i: np.tile(moved[i], (4096, 1))) for i in (0, 7)]  # type: ignore[misc]
    np.testing.assert_allclose(scorer.score(rows)[[0, 7]], np.concatenate(expected), rtol=1e-5)
    np.testing.assert_allclose(scorer.terms(rows).sum(axis=1), scorer.score(rows), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", ["apre", "autoencoder"])
@pytest.mark.parametrize("shift", [ShiftConfig(shifts=0), ShiftConfig(k=1, shifts=2)])
def test_without_shift_or_neighbours_the_score_is_the_plain_one_to_the_bit(method: str, shift: ShiftConfig) -> None:
    scorer, rows = fitted(method, shift), draws(1, 50)
    fit = {"apre": fit_apre, "autoencoder": fit_autoencoder}[method]
    assert np.array_equal(scorer.score(rows), fit(draws(0, 300), 0, training=BRIEF).score(rows))
    assert scorer.guard.rank_correlation == pytest.approx(1)


@pytest.mark.parametrize("method", ["apre", "autoencoder"])
def test_a_score_does_not_hang_on_the_rows_it_comes_with(method: str) -> None:
    scorer, rows = fitted(method), draws(1, 90)
    assert np.array_equal(scorer.score(rows), np.concatenate([scorer.score(rows[:13]), scorer.score(rows[13:])]))


@pytest.mark.parametrize("method", ["apre", "autoencoder"])
def test_a_scorer_comes_back_from_its_state(method: str) -> None:
    for scorer in (fitted(method), fitted(method, ShiftConfig(shifts=0))):
        tensors, meta = scorer.to_state()
        again = read_shifted(dict(sorted(tensors.items())), json.loads(json.dumps(meta)))
        assert again.guard == scorer.guard
        assert np.array_equal(again.score(draws(1, 20)), scorer.score(draws(1, 20)))


@pytest.mark.parametrize("fit", [fit_apre, fit_autoencoder])
def test_a_plain_scorer_comes_back_from_its_state(fit: object) -> None:
    scorer = fit(draws(0, 100), 0, training=BRIEF)  # type: ignore[operator]
    assert isinstance(scorer, AutoencoderScorer)
    tensors, meta = scorer.to_state()
    again = read_autoencoder(dict(sorted(tensors.items())), meta)
    assert np.array_equal(again.terms(draws(1, 20)), scorer.terms(draws(1, 20)))


def test_the_reference_is_a_capped_sample_that_the_seed_repeats() -> None:
    X = draws(0, 300)
    small = ShiftConfig(k=10, reference_rows=50)
    first, same, other = (fit_apre_mss(X, seed, training=BRIEF, shift=small) for seed in (0, 0, 1))
    assert first.reference.levels[0].shape == (50, 6)
    assert np.array_equal(first.reference.levels[0], same.reference.levels[0])
    assert not np.array_equal(first.reference.levels[0], other.reference.levels[0])


@pytest.mark.parametrize("X", [draws(0, 1), draws(0, 3), np.zeros((40, 3), np.float32), np.ones((5, 1), np.float32)])
def test_one_row_few_rows_and_equal_rows_give_finite_scores(X: Rows) -> None:
    for fit in (fit_apre_mss, fit_autoencoder_mss):
        assert np.isfinite(fit(X, 0, training=BRIEF).score(np.concatenate([X, X + 30]))).all()


@pytest.mark.parametrize(
    ("guard", "refusal"),
    [
        (ShiftGuard(mean_variance=0.5, rank_correlation=0.4), ""),
        (ShiftGuard(mean_variance=None, rank_correlation=0.0), ""),
        (ShiftGuard(mean_variance=1e-3, rank_correlation=0.4), "mean variance 0.001"),
        (ShiftGuard(mean_variance=float("nan"), rank_correlation=0.4), "mean variance nan"),
        (ShiftGuard(mean_variance=0.5, rank_correlation=-0.1), "rank correlation with the plain score -0.100"),
        (ShiftGuard(mean_variance=0.5, rank_correlation=1, plain_auc=0.9, shifted_auc=0.9), ""),
        (ShiftGuard(mean_variance=0.5, rank_correlation=1, plain_auc=0.9, shifted_auc=0.8), "ROC AUC 0.8000"),
    ],
)
def test_the_guard_refuses_at_its_borders(guard: ShiftGuard, refusal: str) -> None:
    assert guard.refusal.startswith(refusal)
    assert bool(guard.refusal) == bool(refusal)


def test_a_refused_scorer_scores_plainly_and_says_so() -> None:
    X, rows = draws(0, 300), draws(1, 50)
    trusted = fitted("apre")
    # Call those outliers that shifting puts last: shifting then looks worse than it is.
    gain = trusted.score(rows) - trusted.plain.score(rows)
    labelled = LabelledRows(rows, gain < np.median(gain))
    scorer = fit_apre_mss(X, 0, training=BRIEF, labelled=labelled)
    assert "on the labelled rows" in scorer.guard.refusal
    assert scorer.to_state()[1]["guard"]["refusal"] == scorer.guard.refusal
    assert np.array_equal(scorer.score(rows), fit_apre(X, 0, training=BRIEF).score(rows))
    again = read_shifted(*scorer.to_state())
    assert np.array_equal(again.score(rows), scorer.score(rows))


def test_a_network_whose_variances_collapsed_is_refused() -> None:
    X = np.zeros((200, 2), dtype=np.float32)
    scorer = fit_apre_mss(X, 0, training=TrainConfig(steps=400, learning_rate=0.1))
    assert scorer.guard.refusal.startswith("mean variance")
    assert scorer.reference.levels == ()


def test_labelled_rows_of_one_kind_and_wrong_settings_are_refused() -> None:
    with pytest.raises(SchemaError, match="both labels"):
        LabelledRows(draws(0, 5), np.zeros(5, dtype=bool))
    with pytest.raises(ConfigError, match="reference_rows"):
        ShiftConfig(reference_rows=0)
    with pytest.raises(ConfigError, match="got 60"):
        ShiftConfig(k=60, reference_rows=50)


def test_the_guards_variance_is_the_networks_without_floor() -> None:
    X = draws(0, 100)
    floored = fit_apre_mss(X, 0, training=BRIEF, scoring=ScoreConfig(variance_floor=50.0))
    assert floored.guard.mean_variance == pytest.approx(fit_apre_mss(X, 0, training=BRIEF).guard.mean_variance)
    assert floored.guard.mean_variance is not None
    assert floored.guard.mean_variance < 5
