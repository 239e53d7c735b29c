"""The novelty detector: which numbers of a wafer it looks at, the mixture over them, its calibration."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.open_set.calibration import novelty_threshold, p_values
from detectors.open_set.gmm import Mixture, fit_mixture, negative_log_likelihood
from detectors.sparse_net.encode import Encodings
from schemas.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class NoveltyConfig:
    """Sizes of the novelty detector."""

    #: Gaussians for each known class.
    components_per_class: int = 2
    #: Share of the variance that the principal components keep. Range is (0, 1].
    variance_kept: float = 0.95
    #: See `gmm.fit_mixture`.
    shrinkage: float = 0.3
    #: Share of known wafers that may be called novel. Range is (0, 1).
    false_novel_rate: float = 0.02

    def __post_init__(self) -> None:
        if self.components_per_class < 1:
            raise ConfigError(f"components_per_class starts at 1, got {self.components_per_class}")
        if not 0 < self.variance_kept <= 1 or not 0 <= self.shrinkage <= 1:
            raise ConfigError("expected variance_kept in (0, 1] and shrinkage in [0, 1]")
        if not 0 < self.false_novel_rate < 1:
            raise ConfigError(f"expected a false-novel rate in (0, 1), got {self.false_novel_rate}")


@dataclass(frozen=True, slots=True)
class Novelty:
    """A fitted detector; `calibration` rises."""

    #: Evidence is centred, then projected: float64 of shapes (evidence,) and (evidence, d).
    centre: NDArray[np.float64]
    projection: NDArray[np.float64]
    mixture: Mixture
    #: Scores of held-out known wafers, float64 of shape (n,).
    calibration: NDArray[np.float64]
    threshold: float

    def score(self, encodings: Encodings) -> NDArray[np.float64]:
        """Negative log-likelihood of each wafer, float64 of shape (wafers,)."""
        return _score(encodings, self.centre, self.projection, self.mixture)

    def p_value(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Conformal p-value of each score, in (0, 1]."""
        return p_values(scores, self.calibration)


def evidence(encodings: Encodings) -> NDArray[np.float64]:
    """What the mixture sees of a wafer: float64 of shape (wafers, evidence).

    The latent, the norm of the logits and statistics of the input: training pulls each class together in
    the latent, so a new pattern can land among known ones (wafer_open_set, section 8).
    """
    norm = np.linalg.norm(encodings.logits, axis=1, keepdims=True)
    parts = (encodings.latent, norm, encodings.occupied, encodings.spread)
    return np.concatenate(parts, axis=1).astype(np.float64)


def fit_novelty(
    config: NoveltyConfig,
    known: Encodings,
    calibration: Encodings,
    classes: int,
    seed: int = 0,
) -> Novelty:
    """Fit the mixture to known wafers and calibrate it on other known ones.

    Raises:
        ConfigError: too few of either, see `gmm.fit_mixture` and `calibration.novelty_threshold`.
    """
    seen = evidence(known)
    centre, projection = principal_components(seen, config.variance_kept)
    mixture = fit_mixture(
        (seen - centre) @ projection,
        components=config.components_per_class * classes,
        shrinkage=config.shrinkage,
        seed=seed,
    )
    scores = np.sort(_score(calibration, centre, projection, mixture))
    threshold = novelty_threshold(scores, config.false_novel_rate)
    return Novelty(centre, projection, mixture, scores, threshold)


def principal_components(
    samples: NDArray[np.float64], variance_kept: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centre (d,) and projection (d, k) onto the leading principal components of standardised samples.

    Columns that do not vary are left out: they say nothing, and dividing by their deviation would.
    """
    centre, deviation = samples.mean(axis=0), samples.std(axis=0)
    scale = np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0.0)
    _, spread, axes = np.linalg.svd((samples - centre) * scale, full_matrices=False)
    share = np.cumsum(spread**2) / np.sum(spread**2)
    k = int(np.searchsorted(share, variance_kept - 1e-12)) + 1
    # Row by row, as it is read back from a file: products of another layout may round another way.
    return centre, np.ascontiguousarray(scale[:, None] * axes[:k].T)


def _score(
    encodings: Encodings,
    centre: NDArray[np.float64],
    projection: NDArray[np.float64],
    mixture: Mixture,
) -> NDArray[np.float64]:
    return negative_log_likelihood(mixture, (evidence(encodings) - centre) @ projection)
