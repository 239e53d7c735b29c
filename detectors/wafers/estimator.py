"""The wafer model as a scikit-learn estimator.

It lies in a module of its own since it needs scikit-learn.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from sparsewatch.detectors.open_set.novelty import NoveltyConfig
from sparsewatch.detectors.sparse_net.encode import encode
from sparsewatch.detectors.sparse_net.points import read_points
from sparsewatch.detectors.sparse_net.train import TrainConfig
from sparsewatch.detectors.torch_threads import torch_threads
from sparsewatch.detectors.wafers.model import WaferModel
from sparsewatch.detectors.wafers.training import WaferTrainingConfig, train_wafer_model


class WaferRecogniser(ClassifierMixin, BaseEstimator):
    """Recognises known wafer patterns, and calls others novel.

    Rows are a `pa.RecordBatch` with the columns of `sparsewatch.schemas.wafers.WAFER_COLUMNS`, so that wafers keep
    their own sizes and lots: no lot is split between training data and calibration data. It is a classifier by
    `predict` and `predict_proba`, and an outlier detector by `score_samples` and `decision_function`; as in
    scikit-learn, low scores are anomalous.

    Args:
        hold_out: Classes to leave out of training; their wafers measure novelty only.
        grid: Cells a side for wafers given as points; 0 for the default, see `WaferTrainingConfig`.
        epochs: Most passes over the training wafers, from 1.
        false_novel_rate: Share of known wafers that may be called novel, in (0, 1).
        novel: Label that `predict` gives a novel wafer.
        seed: Source of all randomness.
        threads: CPU threads of training.

    Attributes:
        model_: The `WaferModel`; `model_.save` writes it for a job.
        metrics_: `WaferMetrics`, of wafers of lots that were not trained on.
        classes_: Names of the columns of `predict_proba`, shape (n_classes,).

    Examples:
        >>> from sparsewatch.detectors.wafers.estimator import WaferRecogniser
        >>> WaferRecogniser(epochs=5).get_params()["epochs"]
        5
    """

    def __init__(
        self,
        *,
        hold_out: Sequence[str] = (),
        grid: int = 0,
        epochs: int = 40,
        false_novel_rate: float = 0.02,
        novel: str = "novel",
        seed: int = 0,
        threads: int = 1,
    ) -> None:
        self.hold_out = hold_out
        self.grid = grid
        self.epochs = epochs
        self.false_novel_rate = false_novel_rate
        self.novel = novel
        self.seed = seed
        self.threads = threads

    def fit(self, rows: pa.RecordBatch, labels: Sequence[str]) -> Self:
        """Train.

        Args:
            rows: Wafers of several lots.
            labels: Class of each; names of a wafer with several patterns are joined by `+`.

        Raises:
            ConfigError: If a setting is out of range, or there are too few wafers or lots for it.
            SchemaError: If a row is not a wafer event.
        """
        config = WaferTrainingConfig(
            hold_out=tuple(self.hold_out),
            grid=self.grid,
            train=TrainConfig(epochs=self.epochs, seed=self.seed, threads=self.threads),
            novelty=NoveltyConfig(false_novel_rate=self.false_novel_rate),
        )
        self.model_, self.metrics_ = train_wafer_model(rows, list(labels), config)
        self.classes_ = np.array(self.model_.outputs)
        return self

    @classmethod
    def of(cls, model: WaferModel) -> Self:
        """An estimator that is fitted already, such as with `WaferModel.load(path)`; it has no `metrics_`."""
        estimator = cls(grid=model.grid, false_novel_rate=model.false_novel_rate)
        estimator.model_ = model
        estimator.classes_ = np.array(model.outputs)
        return estimator

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """An estimator from a folder that `model_.save` or `sparsewatch train wafer` wrote; it has no `metrics_`.

        Raises:
            ModelError: If it is missing, damaged or of another kind.
        """
        return cls.of(WaferModel.load(path))

    def predict(self, rows: pa.RecordBatch) -> NDArray[np.object_]:
        """Pattern of each wafer, or `novel`: text of shape (n_wafers,)."""
        verdicts = self._recognise(rows)
        pattern = np.array(verdicts["pattern"].to_pylist(), dtype=np.object_)
        pattern[np.array(verdicts["verdict"].to_pylist(), dtype=np.object_) == "novel"] = self.novel
        return pattern

    def predict_proba(self, rows: pa.RecordBatch) -> NDArray[np.float64]:
        """The network's probability of each known class, novel or not: shape (n_wafers, n_classes).

        A row adds up to 1 less the probability of no known class; if wafers with several patterns were trained on, each
        class has a probability of its own.
        """
        model = self._model()
        with torch_threads(1):
            return encode(model.net, read_points(rows), model.grid).probabilities

    def score_samples(self, rows: pa.RecordBatch) -> NDArray[np.float64]:
        """Negative novelty of each wafer, shape (n_wafers,): higher is more normal."""
        return -np.asarray(self._recognise(rows)["novelty"].to_numpy())

    def decision_function(self, rows: pa.RecordBatch) -> NDArray[np.float64]:
        """`score_samples` relative to the threshold, shape (n_wafers,): below 0 is novel."""
        return self.score_samples(rows) + self._model().novelty.threshold

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags

    def _recognise(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        return self._model().recognise(rows)

    def _model(self) -> WaferModel:
        check_is_fitted(self)
        model: WaferModel = self.model_
        return model
