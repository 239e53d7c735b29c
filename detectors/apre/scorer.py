"""APRE as a method that scores rows; see `detectors.rows.scorer`."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from detectors.apre.net import ProbabilisticAutoencoder
from detectors.apre.score import ScoreConfig, score, score_terms
from detectors.apre.train import TrainConfig, train_net
from detectors.rows.scorer import Report, Rows, State, Tensors, in_chunks
from detectors.torch_threads import torch_threads


@dataclass(frozen=True, slots=True, eq=False)
class ApreScorer:
    """A trained network and the weights of its score; about 0.4 µs a row of 32 features and core."""

    net: ProbabilisticAutoencoder
    config: ScoreConfig

    @property
    def n_features(self) -> int:
        """Width of the rows."""
        return self.net.n_features

    def score(self, X: Rows) -> NDArray[np.float32]:
        """The weighted negative log-likelihood of each row, see `score.score`."""
        return self._scored(X, (), score)

    def terms(self, X: Rows) -> NDArray[np.float32]:
        """Terms of the score, whose sum it is."""
        return self._scored(X, (self.n_features,), score_terms)

    def to_state(self) -> State:
        """See `RowScorer`."""
        return {name: weight.numpy() for name, weight in self.net.state_dict().items()}, asdict(self.config)

    def _scored(
        self, X: Rows, shape: tuple[int, ...], of: Callable[[Tensor, Tensor, Tensor, ScoreConfig], Tensor]
    ) -> NDArray[np.float32]:
        def scored(chunk: Rows) -> NDArray[Any]:
            rows = torch.from_numpy(chunk)
            mean, raw = self.net(rows)
            return of(mean, raw, rows, self.config).numpy()

        with torch_threads(1), torch.inference_mode():
            return in_chunks(X, shape, scored)


def fit_apre(
    X: Rows,
    seed: int,
    report: Report | None = None,
    *,
    training: TrainConfig | None = None,
    scoring: ScoreConfig | None = None,
) -> ApreScorer:
    """Train the probabilistic autoencoder; see `detectors.rows.scorer.Fit`.

    Args:
        X: Encoded rows.
        seed: Of the weights and the batches; that of `training` is not looked at.
        report: Told of each step.
        training: Length, step size, batches.
        scoring: Weights of the score.
    """
    training = training or TrainConfig()

    def told(step: int, loss: float) -> None:
        if report is not None:
            report(step, training.steps, f"loss {loss:.3f}")

    return ApreScorer(train_net(X, training, seed, told), scoring or ScoreConfig())


def read_apre(tensors: Tensors, meta: dict[str, Any]) -> ApreScorer:
    """The scorer of `to_state`; raises KeyError, TypeError or RuntimeError where something is missing."""
    n_features = tensors["layers.0.weight"].shape[1]
    net = ProbabilisticAutoencoder(n_features)
    net.load_state_dict({name: torch.from_numpy(weight) for name, weight in tensors.items()})
    return ApreScorer(net.eval(), ScoreConfig(**meta))
