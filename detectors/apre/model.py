"""A row model: encoder, network, weights of the score, and a calibration sample.

Scores of two models are not comparable (their log-variances differ), so a row is judged by its conformal p-value:
its rank among the scores of rows that were held out of the training.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from detectors.apre.encode import EncoderConfig, RowEncoder, fit_encoder, one_batch
from detectors.apre.net import ProbabilisticAutoencoder
from detectors.apre.score import ScoreConfig, score, score_terms
from detectors.apre.train import OnStep, TrainConfig, train_net
from detectors.models import load_artefact, save_artefact
from detectors.torch_threads import torch_threads
from schemas.errors import ConfigError, ModelError

KIND = "rows"
#: Fewest rows a model is trained on.
MIN_ROWS = 20
#: Most floats and rows of one chunk in scoring: its tensors stay in a core's cache.
_CHUNK_FLOATS = 131_072
_CHUNK_ROWS = 4096


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RowModel:
    """A trained model. Scoring changes nothing; about 0.4 µs a row of 32 features and core."""

    encoder: RowEncoder
    net: ProbabilisticAutoencoder
    config: ScoreConfig
    #: Scores of held-out rows, ascending, float32 of shape (m,).
    calibration: np.ndarray
    #: Median contribution of each column among held-out rows, float32 of shape (columns,).
    usual: np.ndarray
    #: Name and version once stored, as results state it.
    id: str = ""

    def score(self, rows: pa.RecordBatch) -> np.ndarray:
        """Score of each row, float32 of shape (n,); higher is more anomalous.

        A row's score does not depend on the rows it comes with.

        Raises:
            SchemaError: If a column is missing or its type does not fit.
        """
        return self.score_matrix(self.encoder.transform(rows))

    def score_matrix(self, X: np.ndarray) -> np.ndarray:
        """Score of encoded rows, float32 (n, d) to float32 (n,)."""

        def scored(mean: Tensor, raw: Tensor, rows: Tensor) -> np.ndarray:
            return score(mean, raw, rows, self.config).numpy()

        return self._chunked(X, (), scored)

    def attribute(self, rows: pa.RecordBatch) -> np.ndarray:
        """Contribution of each column to the score, float32 of shape (n, columns); a row sums to its score."""
        return self.attribute_matrix(self.encoder.transform(rows))

    def attribute_matrix(self, X: np.ndarray) -> np.ndarray:
        """Contribution of each column to the score of encoded rows, float32 (n, d) to (n, columns)."""
        first = self.encoder.first_features

        def by_column(mean: Tensor, raw: Tensor, rows: Tensor) -> np.ndarray:
            terms = score_terms(mean, raw, rows, self.config).numpy()
            return np.add.reduceat(terms, first, axis=1)

        return self._chunked(X, (len(first),), by_column)

    def blame_matrix(self, X: np.ndarray, n_columns: int) -> tuple[np.ndarray, np.ndarray]:
        """The columns that make encoded rows odd, and by how much the score falls without each.

        One absurd value spoils the reconstruction of all other columns, so their contributions rise, too.
        Hence the columns whose contributions exceed the usual ones most are tried in turn: each is set to
        its centre, and the row scored again.

        Args:
            X: Encoded rows, float32 of shape (n, d).
            n_columns: Columns to try, the most conspicuous ones; fewer if the model has fewer.

        Returns:
            Indices of columns and the fall of the score, both of shape (n, n_columns), largest fall first.
        """
        excess = self.attribute_matrix(X) - self.usual
        tried = np.argsort(-excess, axis=1, kind="stable")[:, :n_columns]
        owner = np.repeat(np.arange(len(self.usual)), [c.n_features for c in self.encoder.columns])
        centred = [np.where(owner == columns[:, None], np.float32(0), X) for columns in tried.T]
        scores = self.score_matrix(np.concatenate([X, *centred])).reshape(-1, len(X))
        falls = (scores[0] - scores[1:]).T
        order = np.argsort(-falls, axis=1, kind="stable")
        return np.take_along_axis(tried, order, axis=1), np.take_along_axis(falls, order, axis=1)

    def p_values(self, scores: np.ndarray) -> np.ndarray:
        """Conformal p-value of each score, in (0, 1], float64 of shape (n,).

        (1 + held-out scores not below it) / (1 + held-out scores): for rows like the training's, a
        p-value of at most q has a chance of at most q (Vovk et al., Algorithmic Learning in a Random
        World, 2005, section 2.2).
        """
        m = len(self.calibration)
        p: np.ndarray = (1 + m - np.searchsorted(self.calibration, scores, side="left")) / (m + 1)
        return p

    def threshold(self, rate: float) -> float:
        """Score above which the p-value is at most `rate`.

        Raises:
            ConfigError: If `rate` is not a share, or too small for the calibration sample.
        """
        m = len(self.calibration)
        rank = int(rate * (m + 1) + 1e-9)
        if not 0 < rate < 1 or rank < 1:
            raise ConfigError(
                f"alarm rate: expected at least {1 / (m + 1):.2g} with {m} calibration rows and less than 1, got {rate}"
            )
        return float(self.calibration[m - rank])

    def save(self, folder: Path | str, *, about: dict[str, Any] | None = None) -> Path:
        """Store as the next version below `folder`, `<root>/<name>`.

        Args:
            folder: Where; see `detectors.models.save_artefact`.
            about: What the model was trained on and how, for the manifest; JSON types.

        Returns:
            The version's folder.
        """
        arrays, encoder = self.encoder.to_state()
        tensors = {f"encoder.{name}": array for name, array in arrays.items()}
        tensors |= {f"net.{name}": weight.numpy() for name, weight in self.net.state_dict().items()}
        tensors |= {"calibration": self.calibration, "usual": self.usual}
        meta = {"score": asdict(self.config), "encoder": encoder, "about": about or {}}
        return save_artefact(folder, kind=KIND, tensors=tensors, meta=meta)

    @classmethod
    def load(cls, path: Path | str) -> "RowModel":
        """Read and verify a stored model: a version's folder, or `<root>/<name>` for its latest.

        Raises:
            ModelError: If it is missing, damaged, or no row model.
        """
        artefact = load_artefact(path, KIND)
        try:
            encoder = RowEncoder.from_state(_with_prefix(artefact.tensors, "encoder."), artefact.meta["encoder"])
            net = ProbabilisticAutoencoder(encoder.n_features)
            weights = _with_prefix(artefact.tensors, "net.")
            net.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
            return cls(
                encoder=encoder,
                net=net.eval(),
                config=ScoreConfig(**artefact.meta["score"]),
                calibration=artefact.tensors["calibration"],
                usual=artefact.tensors["usual"],
                id=artefact.id,
            )
        except (KeyError, TypeError, RuntimeError) as error:
            raise ModelError(f"the row model in {path} is incomplete: {error}") from error

    def _chunked(
        self, X: np.ndarray, shape: tuple[int, ...], scored: Callable[[Tensor, Tensor, Tensor], np.ndarray]
    ) -> np.ndarray:
        """`scored(mean, raw, rows)` for all rows, chunk by chunk.

        Every chunk has the same size, the last is padded: matrix products of another size may round
        differently, and a replay cuts the stream into other blocks.
        """
        step = _chunk_rows(self.encoder.n_features)
        out = np.empty((len(X), *shape), dtype=np.float32)
        buffer = np.zeros((step, self.encoder.n_features), dtype=np.float32)
        rows = torch.from_numpy(buffer)
        with torch_threads(1), torch.inference_mode():
            for start in range(0, len(X), step):
                part = X[start : start + step]
                buffer[: len(part)] = part
                mean, raw = self.net(rows)
                out[start : start + step] = scored(mean, raw, rows)[: len(part)]
        return out


def train_row_model(
    table: pa.Table,
    *,
    encoder: EncoderConfig | None = None,
    training: TrainConfig | None = None,
    scoring: ScoreConfig | None = None,
    calibration_share: float = 0.2,
    on_step: OnStep | None = None,
) -> RowModel:
    """Train and calibrate a model on all columns of `table`.

    Rows are permuted with the training's seed; encoder and network see the first part, the rest calibrates.

    Args:
        table: Rows to call normal; some contamination is tolerated.
        encoder: Categories and scaling.
        training: Length and seed.
        scoring: Weights of the score.
        calibration_share: Share of the rows held out, between 0 and 1.
        on_step: Called after each step of the training.

    Raises:
        ConfigError: If there are too few rows, or a column cannot be encoded.
    """
    if table.num_rows < MIN_ROWS:
        raise ConfigError(f"expected at least {MIN_ROWS} rows to train on, got {table.num_rows}")
    if not 0 < calibration_share < 1:
        raise ConfigError(f"calibration_share: expected a share, got {calibration_share}")
    training = training or TrainConfig()
    order = np.random.default_rng(training.seed).permutation(table.num_rows)
    n_held_out = max(1, round(calibration_share * table.num_rows))
    held_out = one_batch(table.take(np.sort(order[:n_held_out])))
    rows = table.take(np.sort(order[n_held_out:]))
    fitted = fit_encoder(rows, encoder or EncoderConfig())
    model = RowModel(
        encoder=fitted,
        net=train_net(fitted.transform(one_batch(rows)), training, on_step),
        config=scoring or ScoreConfig(),
        calibration=np.empty(0, dtype=np.float32),
        usual=np.zeros(len(fitted.columns), dtype=np.float32),
    )
    return replace(
        model,
        calibration=np.sort(model.score(held_out)),
        usual=np.median(model.attribute(held_out), axis=0),
    )


def _chunk_rows(n_features: int) -> int:
    """Rows of a chunk: a multiple of 64, so that vector code has no remainder."""
    return max(64, min(_CHUNK_ROWS, _CHUNK_FLOATS // n_features // 64 * 64))


def _with_prefix(tensors: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
