"""Autoencoders as methods that score rows; see `sparsewatch.detectors.rows.methods.scorer`."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparsewatch.detectors.rows.methods.apre.net import Autoencoder
from sparsewatch.detectors.rows.methods.apre.score import ScoreConfig, score, score_terms
from sparsewatch.detectors.rows.methods.apre.train import TrainConfig, train_net
from sparsewatch.detectors.rows.methods.scorer import Report, Rows, State, Tensors, in_chunks

#: Gives what the reconstructions of a chunk of rows are compared with.
Shift = Callable[[Rows], Rows]


@dataclass(frozen=True, slots=True, eq=False)
class AutoencoderScorer:
    """A trained network and the weights of its score; `make bench-row_speed` prints its speed.

    The score is the weighted negative log-likelihood, or the squared error of a network without variances, see `score`.
    """

    net: Autoencoder
    #: Not used if the network has no variances.
    config: ScoreConfig

    @property
    def n_features(self) -> int:
        """Width of the rows."""
        return self.net.n_features

    def score(self, X: Rows, shift: Shift | None = None) -> NDArray[np.float32]:
        """Score of each row under its own reconstruction, or of the row that `shift` makes of it."""
        return self._scored(X, (), score, shift)

    def terms(self, X: Rows, shift: Shift | None = None) -> NDArray[np.float32]:
        """Terms of the score, whose sum it is."""
        return self._scored(X, (self.n_features,), score_terms, shift)

    def to_state(self) -> State:
        """See `RowScorer`."""
        tensors = {name: weight.numpy() for name, weight in self.net.state_dict().items()}
        return tensors, asdict(self.config) if self.net.probabilistic else {}

    def _scored(
        self,
        X: Rows,
        shape: tuple[int, ...],
        of: Callable[[Tensor, Tensor | None, Tensor, ScoreConfig], Tensor],
        shift: Shift | None,
    ) -> NDArray[np.float32]:
        def scored(chunk: Rows) -> NDArray[Any]:
            rows = torch.from_numpy(chunk)
            mean, raw = self.net(rows)
            target = rows if shift is None else torch.from_numpy(shift(chunk))
            return of(mean, raw, target, self.config).numpy()

        return in_chunks(X, shape, scored)


def fit_apre(
    X: Rows,
    seed: int,
    report: Report | None = None,
    *,
    training: TrainConfig | None = None,
    scoring: ScoreConfig | None = None,
) -> AutoencoderScorer:
    """Train the probabilistic autoencoder; see `sparsewatch.detectors.rows.methods.scorer.Fit`.

    Args:
        X: Encoded rows.
        seed: Of the weights and the batches.
        report: Progress callback, called at each step.
        training: Length, step size, batches.
        scoring: Weights of the score.
    """
    return _fitted(X, seed, report, training or TrainConfig(), scoring or ScoreConfig(), probabilistic=True)


def fit_autoencoder(
    X: Rows, seed: int, report: Report | None = None, *, training: TrainConfig | None = None
) -> AutoencoderScorer:
    """Train the plain autoencoder on the squared error; arguments as of `fit_apre`."""
    return _fitted(X, seed, report, training or TrainConfig(), ScoreConfig(), probabilistic=False)


def _fitted(
    X: Rows, seed: int, report: Report | None, training: TrainConfig, scoring: ScoreConfig, *, probabilistic: bool
) -> AutoencoderScorer:
    def on_step(step: int, loss: float) -> None:
        if report is not None:
            report(step, training.steps, f"loss {loss:.3f}")

    net = train_net(X, training, seed, None if report is None else on_step, probabilistic=probabilistic)
    return AutoencoderScorer(net, scoring)


def read_autoencoder(tensors: Tensors, meta: dict[str, Any]) -> AutoencoderScorer:
    """The scorer of `to_state`; raises KeyError, TypeError or RuntimeError where something is missing."""
    n_features = tensors["layers.0.weight"].shape[1]
    net = Autoencoder(n_features, probabilistic=bool(meta))  # only probabilistic networks have weights of a score
    net.load_state_dict({name: torch.from_numpy(weight) for name, weight in tensors.items()})
    return AutoencoderScorer(net.eval(), ScoreConfig(**meta))
