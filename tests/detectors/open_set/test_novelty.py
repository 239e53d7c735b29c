from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kstest, multivariate_normal

from sparsewatch.detectors.open_set.novelty import (
    Novelty,
    NoveltyConfig,
    evidence,
    fit_novelty,
    principal_components,
)
from sparsewatch.detectors.sparse_net.encode import Encodings
from sparsewatch.schemas.errors import ConfigError


def encodings(n: int, seed: int, shift: float = 0.0) -> Encodings:
    """Two classes as blobs in six dimensions; a shift moves them all."""
    latent, _ = blobs(n, seed, shift)
    rng = np.random.default_rng(seed + 1_000)
    logits = np.stack([-latent[:, 0], latent[:, 0]], axis=1)
    occupied, statistics = rng.standard_normal((n, 2)), rng.standard_normal((n, 3))
    return Encodings(
        latent=latent.astype(np.float32),
        logits=logits.astype(np.float32),
        occupied=occupied.astype(np.float32),
        statistics=statistics.astype(np.float32),
        levels=(),
        outlier=np.full(n, -np.inf, dtype=np.float32),
    )


def blobs(n: int, seed: int, shift: float = 0.0) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    label = rng.integers(2, size=n)
    return rng.standard_normal((n, 6)) + 4 * label[:, None] + shift, [("low", "high")[i] for i in label]


def fitted(config: NoveltyConfig | None = None) -> Novelty:
    config = config or NoveltyConfig()
    return fit_novelty(config, encodings(600, 0), blobs(600, 0)[1], encodings(400, 1))


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
    for name in ("latent", "logits", "occupied", "statistics"):
        strange = replace(known, **{name: getattr(known, name) + 30})
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
    for share, axes in ((0.4, 1), (0.7, 2), (0.999, 3)):
        _, fewer = principal_components(samples, share)
        assert fewer.shape == (4, axes)
        assert ((samples - centre) @ fewer).var(axis=0).sum() / 4 >= share


def test_a_column_that_never_varies_adds_nothing() -> None:
    samples = np.random.default_rng(0).standard_normal((100, 2))
    constant = np.concatenate([samples, np.full((100, 1), 3.0)], axis=1)
    centre, projection = principal_components(constant, 1.0)
    assert np.isfinite(projection).all()
    np.testing.assert_array_equal((np.array([0.0, 0, 7]) - centre)[2] * projection[2], 0)


def test_too_few_known_wafers_are_refused() -> None:
    with pytest.raises(ConfigError, match="wafers, got 20"):
        fit_novelty(NoveltyConfig(), encodings(20, 0), blobs(20, 0)[1], encodings(100, 1))
    with pytest.raises(ConfigError, match="expected a pattern with at least 8 wafers, got 1"):
        fit_novelty(NoveltyConfig(), encodings(80, 0), [str(i) for i in range(80)], encodings(100, 1))


def test_the_score_is_the_least_negative_log_density_plus_weighted_doubt() -> None:
    novelty, some = fitted(NoveltyConfig(doubt=3.0)), encodings(20, 7)
    z = novelty.embed(some)
    for i in range(20):
        by_pattern = []
        for mean, factor in zip(novelty.mixture.means, novelty.mixture.precision_factors, strict=True):
            covariance = np.linalg.inv(factor @ factor.T)
            by_pattern.append(-multivariate_normal(mean, covariance).logpdf(z[i]))
        assert novelty.score(some)[i] == pytest.approx(min(by_pattern) + 3 * some.doubt[i])


def test_an_added_pattern_takes_its_wafers_in_and_leaves_the_others_alone() -> None:
    novelty = fitted()
    strange, known = encodings(60, 8, shift=-9), encodings(500, 9)
    wiser = novelty.with_pattern("new", novelty.embed(strange)[:5])
    assert wiser.patterns == ("high", "low", "new")
    assert np.median(wiser.p_value(wiser.score(strange.take(np.arange(5, 60))))) > 0.02
    assert (wiser.by_pattern(wiser.embed(strange), strange.doubt).argmin(axis=1) == 2).mean() > 0.9
    assert (wiser.by_pattern(wiser.embed(known), known.doubt).argmin(axis=1) == 2).mean() < 0.01
    assert wiser.space == novelty.space
    assert (wiser.score(known) <= novelty.score(known) + 1e-9).all()


def test_an_added_pattern_bears_the_doubt_of_a_typical_known_wafer() -> None:
    novelty = fitted(NoveltyConfig(doubt=3.0))
    assert novelty.typical_doubt == pytest.approx(3 * np.median(encodings(400, 1).doubt), rel=1e-3, abs=1e-4)
    strange = encodings(60, 8, shift=-9)
    assert novelty.taken() == 0
    assert novelty.with_pattern("new", novelty.embed(strange)[:5]).taken() == 0
    assert novelty.with_pattern("low again", novelty.embed(encodings(300, 5))).taken() > 0


@pytest.mark.parametrize(("name", "wafers"), [("new", 2), ("", 9), ("low", 9)])
def test_a_pattern_without_a_free_name_or_of_too_few_wafers_is_refused(name: str, wafers: int) -> None:
    novelty = fitted()
    with pytest.raises(ConfigError, match="expected"):
        novelty.with_pattern(name, novelty.embed(encodings(wafers, 3)))


def test_a_rare_pattern_gets_no_gaussian_of_its_own() -> None:
    of = ["rare"] * 7 + blobs(600, 0)[1][7:]
    assert fit_novelty(NoveltyConfig(), encodings(600, 0), of, encodings(400, 1)).patterns == ("high", "low")


@pytest.mark.parametrize(
    "bad",
    [
        {"doubt": -1.0},
        {"variance_kept": 0.0},
        {"variance_kept": 1.1},
        {"shrinkage": -0.1},
        {"false_novel_rate": 1.0},
    ],
)
def test_ranges_are_checked(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        NoveltyConfig(**bad)
