"""The novelty detector: the numbers of a wafer that it uses, a Gaussian for each known pattern, its calibration.

    s = min over patterns c of  -ln N(z; m_c, C_c) + w * doubt_c

z is the wafer's *embedding*: latent, norm of the logits and statistics of the input, standardised and projected on
their principal components. Doubt is the classifier's (`Encodings.doubt`); an added pattern, which the classifier has
never seen, has that of a typical known wafer. It is a class-conditional form of the mixture of wafer_open_set, section
6 (variant C): it needs no EM, and a pattern is added by adding its Gaussian.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.conformal import alarm_threshold, p_values
from sparsewatch.detectors.open_set.class_gaussians import class_gaussians
from sparsewatch.detectors.open_set.gmm import SAMPLES_PER_DIMENSION, Mixture, log_densities, mixture_of, shrunk
from sparsewatch.detectors.sparse_net.encode import Encodings
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import AlarmRate, NotNegative, Range, Share, check_ranges

#: Fewest known wafers for a fit.
LEAST_KNOWN = 50
#: Fewest wafers of a pattern for a Gaussian of its own, and fewest from which a pattern is added.
LEAST_WAFERS = 8
LEAST_ADDED = 3

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoveltyConfig:
    """Sizes of the novelty detector."""

    #: Share of the variance that the principal components retain.
    variance_kept: Annotated[float, Range(above=0, at_most=1)] = 0.98
    #: Weight of the scaled identity in each covariance, see `gmm.shrunk`.
    shrinkage: Share = 0.3
    #: Weight of the classifier's doubt.
    doubt: NotNegative = 4.0
    #: Share of known wafers that may be called novel.
    false_novel_rate: AlarmRate = 0.02

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class Novelty:
    """A fitted detector."""

    #: Evidence is centred, then projected: float64 of shapes (evidence,) and (evidence, d).
    centre: Floats
    projection: Floats
    #: One Gaussian for each pattern, with equal weights.
    mixture: Mixture
    #: Names of the patterns, in the order of the mixture.
    patterns: tuple[str, ...]
    #: How many of them, at the end, were added after training.
    added: int
    #: Covariance within patterns, to which that of an added pattern is shrunk: float64 of shape (d, d).
    within: Floats
    #: Weight of the classifier's doubt.
    doubt: float
    #: Scores of held-out known wafers, rising: float64 of shape (n,); and their embeddings, float32 of shape (n, d).
    calibration: Floats
    calibration_embeddings: NDArray[np.float32]
    threshold: float

    @cached_property
    def space(self) -> str:
        """Names the embedding: embeddings of different spaces are never compared."""
        return hashlib.sha256(self.centre.tobytes() + self.projection.tobytes()).hexdigest()[:16]

    def embed(self, encodings: Encodings) -> Floats:
        """Embedding of each wafer, float64 of shape (wafers, d)."""
        return np.asarray((evidence(encodings) - self.centre) @ self.projection)

    def score(self, encodings: Encodings) -> Floats:
        """Novelty of each wafer, float64 of shape (wafers,); high is novel."""
        return np.asarray(self.by_pattern(self.embed(encodings), encodings.doubt).min(axis=1))

    def by_pattern(self, embeddings: Floats, doubt: Floats) -> Floats:
        """Score of each wafer under each pattern, float64 of shape (wafers, patterns)."""
        scores = -log_densities(self.mixture, embeddings)
        trained = len(self.patterns) - self.added
        scores[:, :trained] += self.doubt * doubt[:, None]
        if self.added:
            scores[:, trained:] += self.typical_doubt
        return scores

    @cached_property
    def typical_doubt(self) -> float:
        """What doubt adds to the score of a typical known wafer; used for an added pattern, which has no doubt."""
        return float(np.median(self._weighted_doubt))

    def taken(self) -> int:
        """Number of calibration wafers, which are all known, that are nearest to an added pattern."""
        doubt = self._weighted_doubt / self.doubt if self.doubt else np.zeros(len(self.calibration))
        nearest = self.by_pattern(self.calibration_embeddings.astype(np.float64), doubt).argmin(axis=1)
        return int((nearest >= len(self.patterns) - self.added).sum())

    @property
    def _weighted_doubt(self) -> Floats:
        """Weight times doubt of each calibration wafer: its score less that under the nearest trained Gaussian."""
        trained = len(self.patterns) - self.added
        known = -log_densities(self.mixture, self.calibration_embeddings.astype(np.float64))[:, :trained]
        return np.asarray(np.maximum(self.calibration - known.min(axis=1), 0))

    def p_value(self, scores: Floats) -> Floats:
        """Conformal p-value of each score, in (0, 1]."""
        return p_values(scores, self.calibration)

    def with_pattern(self, name: str, embeddings: Floats) -> "Novelty":
        """The same detector with one more known pattern, from a few wafers that show it.

        Its covariance is that of the wafers, shrunk to that within the known patterns, the more the fewer they are:
        (m C + d W) / (m + d) for m wafers in d dimensions.

        Raises:
            ConfigError: The name is empty or taken, or there are fewer than `LEAST_ADDED` wafers.
        """
        wafers = len(embeddings)
        if not name or name in self.patterns:
            raise ConfigError(f"expected a name other than {', '.join(self.patterns)}, got {name!r}")
        if wafers < LEAST_ADDED:
            raise ConfigError(f"expected at least {LEAST_ADDED} wafers to add the pattern {name!r}, got {wafers}")
        d = len(self.within)
        middle = embeddings.mean(axis=0)
        centred = embeddings - middle
        covariance = (centred.T @ centred + d * self.within) / (wafers + d)
        new = mixture_of(np.ones(1), middle[None], covariance[None])
        parts = [
            np.concatenate([getattr(m, part) for m in (self.mixture, new)]) for part in ("means", "precision_factors")
        ]
        patterns = (*self.patterns, name)
        mixture = Mixture(np.full(len(patterns), 1 / len(patterns)), *parts)
        return replace(self, mixture=mixture, patterns=patterns, added=self.added + 1)


def evidence(encodings: Encodings) -> Floats:
    """The numbers of each wafer that the detector uses: float64 of shape (wafers, evidence).

    The latent, the norm of the logits and statistics of the input: training pulls each class together in
    the latent, so a new pattern can land among known ones (wafer_open_set, section 8).
    """
    norm = np.linalg.norm(encodings.logits, axis=1, keepdims=True)
    parts = (encodings.latent, norm, encodings.occupied, encodings.statistics)
    return np.concatenate(parts, axis=1).astype(np.float64)


def fit_novelty(config: NoveltyConfig, known: Encodings, patterns: Sequence[str], calibration: Encodings) -> Novelty:
    """Fit the Gaussians to known wafers and calibrate on other known wafers.

    Args:
        config: Sizes.
        known: Wafers of known patterns.
        patterns: The pattern of each; those of fewer than `LEAST_WAFERS` get no Gaussian of their own.
        calibration: Wafers of the same patterns that neither network nor Gaussians have seen.

    Raises:
        ConfigError: Too few known or calibration wafers, see `LEAST_KNOWN` and `conformal.alarm_threshold`.
    """
    if len(known) < LEAST_KNOWN:
        raise ConfigError(f"novelty needs {LEAST_KNOWN} known wafers, got {len(known)}")
    seen = evidence(known)
    centre, projection = principal_components(seen, config.variance_kept)
    # Few wafers allow few dimensions.
    projection = np.ascontiguousarray(projection[:, : len(known) // SAMPLES_PER_DIMENSION])
    embedded, of = (seen - centre) @ projection, np.asarray(patterns, dtype=np.str_)
    names, means, covariances, within = _gaussians(embedded, of, config.shrinkage)
    mixture = mixture_of(np.full(len(names), 1 / len(names)), means, covariances)
    none = np.zeros((0, len(within)), dtype=np.float32)
    fitted = Novelty(centre, projection, mixture, names, 0, within, config.doubt, np.zeros(0), none, np.inf)
    scores = fitted.score(calibration)
    order = np.argsort(scores, kind="stable")
    return replace(
        fitted,
        calibration=scores[order],
        calibration_embeddings=fitted.embed(calibration)[order].astype(np.float32),
        threshold=alarm_threshold(scores[order], config.false_novel_rate),
    )


def principal_components(
    samples: NDArray[np.float64], variance_kept: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centre (d,) and projection (d, k) onto the leading principal components of standardised samples.

    Columns that do not vary are left out: they carry no information, and dividing by their deviation would amplify
    rounding.
    """
    centre, deviation = samples.mean(axis=0), samples.std(axis=0)
    scale = np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0.0)
    _, spread, axes = np.linalg.svd((samples - centre) * scale, full_matrices=False)
    share = np.cumsum(spread**2) / np.sum(spread**2)
    k = int(np.searchsorted(share, variance_kept - 1e-12)) + 1
    # Row by row, as it is read back from a file: products of another layout may round differently.
    return centre, np.ascontiguousarray(scale[:, None] * axes[:k].T)


def _gaussians(
    embedded: Floats, of: NDArray[np.str_], shrinkage: float
) -> tuple[tuple[str, ...], Floats, Floats, Floats]:
    """Names, means and shrunk covariances of the patterns, and the covariance within them."""
    found, of_found, counts = np.unique(of, return_inverse=True, return_counts=True)
    large = counts >= LEAST_WAFERS
    if not large.any():
        raise ConfigError(f"expected a pattern with at least {LEAST_WAFERS} wafers, got {counts.max(initial=0)}")
    taken = large[of_found]
    labels = (np.cumsum(large) - 1)[of_found[taken]]
    fitted = class_gaussians(embedded[taken], labels, int(large.sum()), shrinkage)
    return tuple(found[large].tolist()), fitted.means, fitted.covariances, shrunk(fitted.within[None], shrinkage)[0]
