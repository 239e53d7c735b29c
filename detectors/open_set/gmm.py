"""Gaussian mixture over latents of known wafers, and the negative log-likelihood under it.

    s(z) = -ln sum_j pi_j N(z; m_j, C_j)      (wafer_open_set, section 2)

EM is scikit-learn's; the mixture is stored as plain arrays and evaluated here.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from sparsewatch.schemas.errors import ConfigError

#: Fewest samples for each dimension (wafer_open_set, section 8).
SAMPLES_PER_DIMENSION = 5


@dataclass(frozen=True, slots=True)
class Mixture:
    """M Gaussians in d dimensions."""

    #: Weights, positive, sum 1; float64 of shape (M,).
    weights: NDArray[np.float64]
    #: float64 of shape (M, d).
    means: NDArray[np.float64]
    #: L with L L^T = C^-1, float64 of shape (M, d, d).
    precision_factors: NDArray[np.float64]


def fit_mixture(
    samples: NDArray[np.float64],
    components: int,
    *,
    shrinkage: float = 0.3,
    regularisation: float = 1e-3,
    starts: int = 2,
    seed: int = 0,
) -> Mixture:
    """Fit by expectation maximisation from k-means, then shrink each covariance.

    Args:
        samples: of shape (n, d), on comparable scales.
        components: Gaussians, from 1.
        shrinkage: weight of the scaled identity in each covariance, C <- (1 - a) C + a tr(C)/d I.
            Range is [0, 1].
        regularisation: added to each variance.
        starts: initialisations tried; the mixture of the largest likelihood is used.
        seed: of the initialisations.

    Raises:
        ConfigError: fewer than 5 d samples, or fewer than 2 for each component.
    """
    n, d = samples.shape
    needed = max(SAMPLES_PER_DIMENSION * d, 2 * components)
    if n < needed:
        raise ConfigError(f"a mixture of {components} Gaussians in {d} dimensions needs {needed} samples, got {n}")
    model = GaussianMixture(
        components, reg_covar=regularisation, n_init=starts, max_iter=200, tol=1e-4, random_state=seed
    )
    # One thread: see `sparsewatch.detectors.torch_threads`.
    with warnings.catch_warnings(), threadpool_limits(1):
        # A mixture stopped at 200 iterations is still a usable density.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(samples)
    return mixture_of(model.weights_, model.means_, shrunk(model.covariances_, shrinkage))


def mixture_of(weights: NDArray[np.float64], means: NDArray[np.float64], covariances: NDArray[np.float64]) -> Mixture:
    """The mixture of these weights (M,), means (M, d) and covariances (M, d, d)."""
    factors = np.linalg.cholesky(np.linalg.inv(covariances))
    return Mixture(np.asarray(weights), np.asarray(means), factors)


def shrunk(covariances: NDArray[np.float64], shrinkage: float) -> NDArray[np.float64]:
    """(1 - a) C + a tr(C)/d I of each covariance."""
    d = covariances.shape[-1]
    scale = np.trace(covariances, axis1=-2, axis2=-1) / d
    return np.asarray((1 - shrinkage) * covariances + shrinkage * scale[:, None, None] * np.eye(d))


def negative_log_likelihood(mixture: Mixture, samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """S of each sample: float64 of shape (n,) for samples of shape (n, d)."""
    return np.asarray(-logsumexp(log_densities(mixture, samples) + np.log(mixture.weights), axis=1))


def log_densities(mixture: Mixture, samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log density N(z; m_j, C_j) of each sample and component: float64 of shape (n, M)."""
    d = samples.shape[1]
    white = np.einsum("nmd,mde->nme", samples[:, None] - mixture.means, mixture.precision_factors, optimize=True)
    diagonal = np.diagonal(mixture.precision_factors, axis1=1, axis2=2)
    return np.asarray(np.log(diagonal).sum(axis=1) - 0.5 * (white**2).sum(axis=2) - 0.5 * d * np.log(2 * np.pi))
