import numpy as np
import pytest
from scipy.stats import kstest

from detectors.open_set.novelty import (
    Novelty,
    NoveltyConfig,
    evidence,
    fit_novelty,
    principal_components,
)
from detectors.sparse_net.encode import Encodings
from schemas.errors import ConfigError


def encodings(n: int, seed: int, shift: float = 0.0) -> Encodings:
    """Two classes as blobs in six dimensions; a shift moves them all."""
    rng = np.random.default_rng(seed)
    label = rng.integers(2, size=n)
    latent = rng.standard_normal((n, 6)) + 4 * label[:, None] + shift
    logits = np.stack([-latent[:, 0], latent[:, 0]], axis=1)
    occupied, spread = rng.standard_normal((n, 2)), rng.standard_normal((n, 3))
    return Encodings(*(a.astype(np.float32) for a in (latent, logits, occupied, spread)))


def fitted(config: NoveltyConfig | None = None) -> Novelty:
    config = config or NoveltyConfig()
    return fit_novelty(config, encodings(600, 0), encodings(400, 1), classes=2)


def test_fresh_known_wafers_have_uniform_p_values_and_shifted_ones_low_ones() -> None:
    novelty = fitted()
    known = novelty.p_value(novelty.score(encodings(1_000, 2)))
    assert kstest(known, "uniform").statistic < 0.1
    shifted = novelty.p_value(novelty.score(encodings(200, 3, shift=-9)))
    assert np.median(shifted) < 0.01


def test_the_threshold_keeps_the_rate_on_fresh_known_wafers() -> None:
    for rate in (0.02, 0.1):
        novelty = fitted(NoveltyConfig(false_novel_rate=rate))
        alarms = (novelty.score(encodings(4_000, 4)) > novelty.threshold).mean()
        assert abs(alarms - rate) < 3 * np.sqrt(rate * (1 - rate) * (1 / 4_000 + 1 / 400))


def test_every_kind_of_evidence_counts() -> None:
    novelty = fitted(NoveltyConfig(variance_kept=1.0))
    known = encodings(50, 5)
    plain = np.median(novelty.score(known))
    for name in ("latent", "logits", "occupied", "spread"):
        parts = {k: getattr(known, k) for k in ("latent", "logits", "occupied", "spread")}
        strange = Encodings(**{**parts, name: parts[name] + 30})
        assert np.median(novelty.score(strange)) > plain + 10, name


def test_evidence_joins_latent_logit_norm_and_statistics() -> None:
    some = encodings(5, 0)
    joined = evidence(some)
    assert joined.shape == (5, 6 + 1 + 2 + 3)
    np.testing.assert_allclose(joined[:, 6], np.linalg.norm(some.logits, axis=1), rtol=1e-6)


def test_principal_components_turn_standardised_samples_and_keep_the_share_asked_for() -> None:
    rng = np.random.default_rng(0)
    samples = rng.standard_normal((500, 3)) @ np.diag([1, 100, 0.01])
    samples = np.concatenate([samples, samples[:, :1] + samples[:, 1:2] / 100], axis=1)
    centre, projection = principal_components(samples, 1.0)
    standard = (samples - samples.mean(0)) / samples.std(0)
    np.testing.assert_allclose(
        np.linalg.norm((samples - centre) @ projection, axis=1), np.linalg.norm(standard, axis=1)
    )
    # Four columns of rank three, two of them nearly equal: three axes hold everything.
    for kept, axes in ((0.4, 1), (0.7, 2), (0.999, 3)):
        _, fewer = principal_components(samples, kept)
        assert fewer.shape == (4, axes)
        assert ((samples - centre) @ fewer).var(axis=0).sum() / 4 >= kept


def test_a_column_that_never_varies_adds_nothing() -> None:
    samples = np.random.default_rng(0).standard_normal((100, 2))
    constant = np.concatenate([samples, np.full((100, 1), 3.0)], axis=1)
    centre, projection = principal_components(constant, 1.0)
    assert np.isfinite(projection).all()
    np.testing.assert_array_equal((np.array([0.0, 0, 7]) - centre)[2] * projection[2], 0)


def test_too_few_known_wafers_are_refused() -> None:
    with pytest.raises(ConfigError, match="samples, got 20"):
        fit_novelty(NoveltyConfig(), encodings(20, 0), encodings(100, 1), classes=2)


@pytest.mark.parametrize(
    "bad",
    [
        {"components_per_class": 0},
        {"variance_kept": 0.0},
        {"variance_kept": 1.1},
        {"shrinkage": -0.1},
        {"false_novel_rate": 1.0},
    ],
)
def test_ranges_are_checked(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        NoveltyConfig(**bad)  # type: ignore[arg-type]
