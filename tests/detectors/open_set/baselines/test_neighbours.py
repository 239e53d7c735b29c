from dataclasses import replace

import numpy as np
import pytest

from sparsewatch.detectors.open_set.baselines.neighbours import fit_neighbours
from sparsewatch.schemas.errors import ConfigError, SchemaError
from tests.kit.encodings import CLASSES, known_wafers, novel_wafers


@pytest.mark.parametrize("normalise", [True, False])
def test_scores_are_the_kth_smallest_of_all_distances(normalise: bool) -> None:
    known, labels = known_wafers(150)
    novel = novel_wafers(30)
    fitted = fit_neighbours(known, labels, CLASSES, k=7, normalise=normalise)
    near, far = (
        e.latent / np.linalg.norm(e.latent, axis=1, keepdims=True) if normalise else e.latent for e in (known, novel)
    )
    slow = np.sort(np.linalg.norm(far[:, None] - near, axis=2), axis=1)[:, 6]
    np.testing.assert_allclose(fitted.score(novel), slow, rtol=1e-5)


def test_lengths_of_latents_matter_only_if_they_are_not_normalised() -> None:
    known, labels = known_wafers(100)
    novel = novel_wafers(20)
    longer = replace(novel, latent=novel.latent * 3)
    unit, plain = (fit_neighbours(known, labels, CLASSES, normalise=normalise) for normalise in (True, False))
    np.testing.assert_allclose(unit.score(longer), unit.score(novel), atol=1e-6)
    assert (plain.score(longer) > plain.score(novel)).all()


def test_a_latent_of_zeros_and_no_wafer_at_all_are_borne() -> None:
    known, labels = known_wafers(100)
    fitted = fit_neighbours(known, labels, CLASSES)
    assert np.isfinite(fitted.score(replace(known, latent=np.zeros_like(known.latent)))).all()
    assert fitted.score(known.take(np.arange(0))).shape == (0,)


def test_too_few_known_wafers_are_refused() -> None:
    known, labels = known_wafers(9)
    with pytest.raises(ConfigError, match="at least k known wafers, got k = 10 and 9 wafers"):
        fit_neighbours(known, labels, CLASSES)
    with pytest.raises(ConfigError, match="k = 0"):
        fit_neighbours(known, labels, CLASSES, k=0)
    with pytest.raises(SchemaError, match="expected 9 labels"):
        fit_neighbours(known, labels[:5], CLASSES)
