import numpy as np
import pytest

from sparsewatch.detectors.open_set.baselines.scorers import SCORERS
from sparsewatch.detectors.open_set.metrics import auroc
from sparsewatch.schemas.errors import ConfigError, SchemaError
from tests.kit.encodings import CLASSES, encodings_of, known_wafers, novel_wafers

METHODS = pytest.mark.parametrize("method", SCORERS)


@METHODS
def test_a_far_blob_is_told_from_the_known_classes(method: str) -> None:
    scorer = SCORERS[method](*known_wafers(), CLASSES, 0)
    known, novel = scorer.score(known_wafers(200, seed=7)[0]), scorer.score(novel_wafers())
    assert known.dtype == np.float64
    assert known.shape == (200,)
    assert np.isfinite(known).all()
    assert np.isfinite(novel).all()
    assert auroc(known, novel) > 0.9


@METHODS
def test_fresh_known_wafers_are_not_told_from_known_ones(method: str) -> None:
    scorer = SCORERS[method](*known_wafers(800), CLASSES, 0)
    a, b = (scorer.score(known_wafers(400, seed=seed)[0]) for seed in (8, 9))
    assert auroc(a, b) == pytest.approx(0.5, abs=0.06)


@METHODS
def test_each_wafer_has_its_score_in_any_order_and_alone(method: str) -> None:
    scorer, wafers = SCORERS[method](*known_wafers(), CLASSES, 0), novel_wafers(40)
    scores, order = scorer.score(wafers), np.random.default_rng(0).permutation(40)
    np.testing.assert_allclose(scorer.score(wafers.take(order)), scores[order], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(scorer.score(wafers.take(np.array([3]))), scores[3:4], rtol=1e-6, atol=1e-9)
    assert scorer.score(wafers.take(np.arange(0))).shape == (0,)


@METHODS
def test_the_same_wafers_and_seed_give_the_same_scores(method: str) -> None:
    a, b = (SCORERS[method](*known_wafers(), CLASSES, 4).score(novel_wafers()) for _ in range(2))
    np.testing.assert_array_equal(a, b)


@METHODS
def test_names_of_classes_do_not_matter(method: str) -> None:
    known, labels = known_wafers()
    turned = encodings_of(known.latent.astype(np.float64), np.roll(known.logits, 1, axis=1))
    novel = novel_wafers()
    turned_novel = encodings_of(novel.latent.astype(np.float64), np.roll(novel.logits, 1, axis=1))
    plain = SCORERS[method](known, labels, CLASSES, 0).score(novel)
    other = SCORERS[method](turned, (labels + 1) % CLASSES, CLASSES, 0).score(turned_novel)
    np.testing.assert_allclose(other, plain, rtol=1e-6, atol=1e-9)


@METHODS
def test_an_extreme_wafer_has_a_finite_score(method: str) -> None:
    scorer = SCORERS[method](*known_wafers(), CLASSES, 0)
    assert np.isfinite(scorer.score(encodings_of(np.full((1, 8), 1e4)))).all()
    assert np.isfinite(scorer.score(encodings_of(np.zeros((1, 8))))).all()


@METHODS
def test_labels_that_are_no_class_are_refused(method: str) -> None:
    known, labels = known_wafers()
    with pytest.raises(SchemaError, match="labels from 0 to 2"):
        SCORERS[method](known, labels, 3, 0)
    with pytest.raises(SchemaError, match="expected 400 labels"):
        SCORERS[method](known, labels[:-1], CLASSES, 0)


@pytest.mark.parametrize("method", sorted(set(SCORERS) - {"max_softmax", "energy"}))
def test_a_fit_to_too_few_wafers_is_refused(method: str) -> None:
    known, labels = known_wafers(4)
    with pytest.raises(ConfigError, match=r"need|at least k known"):
        SCORERS[method](known, labels, CLASSES, 0)
