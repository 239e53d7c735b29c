"""The weighted negative log-likelihood of a row under its reconstruction, or its squared error.

    S(x; y) = alpha * sum_j (mean_j(x) - y_j)^2 / v_j(x)  +  beta * sum_j ln v_j(x)

arXiv 2304.00709: v1 calls it the adjustable probabilistic reconstruction error (APRE), v3 the weighted negative
log-likelihood (WNLL). With alpha = beta = 1 it is twice the Gaussian negative log-likelihood less d ln 2 pi. Only
beta / alpha matters for the ranking of rows. It is never below beta * d * ln 1e-5; a term is least at
v = (alpha / beta) * (mean - y)^2. An autoencoder without variances has the squared error sum_j (mean_j(x) - y_j)^2 for
a score. The target y is the row x itself, or the row after `mean_shift`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from sparsewatch.schemas.settings import NotNegative, Positive, check_ranges

#: Added to every variance; from the authors' code.
VARIANCE_EPSILON = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreConfig:
    """Weights of a score. Training always uses (1, 1) without a floor, as the authors' code does."""

    #: Weight of the scaled residual.
    alpha: Positive = 0.5
    #: Weight of the log-variance.
    beta: NotNegative = 2.0
    #: Least variance in scoring; 0 switches it off. Where the fit is perfect the variance collapses to
    #: 1e-5, and a single residual then outweighs all others.
    variance_floor: NotNegative = 1e-2

    def __post_init__(self) -> None:
        check_ranges(self)


#: The training loss: twice the negative log-likelihood, less a constant.
LIKELIHOOD = ScoreConfig(alpha=1.0, beta=1.0, variance_floor=0.0)


def variance(raw: Tensor, floor: float = 0.0) -> Tensor:
    """Variance of a raw network output of any shape: softplus, plus 1e-5, at least `floor`."""
    spread = functional.softplus(raw) + VARIANCE_EPSILON
    return spread.clamp(min=floor) if floor > VARIANCE_EPSILON else spread


def score_terms(mean: Tensor, raw: Tensor | None, target: Tensor, config: ScoreConfig) -> Tensor:
    """Contribution of every feature to the score.

    Args:
        mean: Reconstruction, shape (n, d).
        raw: Raw variance, shape (n, d); None for the squared error.
        target: What the reconstruction is compared with, shape (n, d), or (m, n, d) for m targets at once.
        config: Weights and variance floor; not used for the squared error.

    Returns:
        Terms of the target's shape, whose sum over the features is the score.
    """
    squares = (mean - target).square()
    if raw is None:
        return squares
    spread = variance(raw, config.variance_floor)
    return config.alpha * squares / spread + config.beta * torch.log(spread)


def score(mean: Tensor, raw: Tensor | None, target: Tensor, config: ScoreConfig) -> Tensor:
    """Score of every row, shape (n,) or (m, n); see `score_terms`."""
    return score_terms(mean, raw, target, config).sum(dim=-1)
