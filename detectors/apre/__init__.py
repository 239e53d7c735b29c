"""Row-anomaly scores by probabilistic reconstruction error (APRE).

Rows are encoded (`encode`), a small probabilistic autoencoder is trained on them (`net`, `train`), and a row's
score is the weighted negative log-likelihood of its encoding under its own reconstruction (`score`). `RowModel`
joins the parts with a calibration sample. A higher score is more anomalous. Source: arXiv 2304.00709.
"""

from detectors.apre.encode import EncoderConfig, RowEncoder
from detectors.apre.model import RowModel, train_row_model
from detectors.apre.score import ScoreConfig
from detectors.apre.train import TrainConfig

__all__ = [
    "EncoderConfig",
    "RowEncoder",
    "RowModel",
    "ScoreConfig",
    "TrainConfig",
    "train_row_model",
]
