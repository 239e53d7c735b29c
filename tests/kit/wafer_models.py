"""A wafer model for tests that need one, not a good one: trained in about a second."""

from functools import cache

import numpy as np
import pyarrow as pa

from sparsewatch.detectors.open_set.novelty import NoveltyConfig
from sparsewatch.detectors.sparse_net.train import TrainConfig
from sparsewatch.detectors.wafers.drawn import make_wafers
from sparsewatch.detectors.wafers.model import WaferModel
from sparsewatch.detectors.wafers.training import WaferTrainingConfig, train_wafer_model

KNOWN = ("center", "edge_ring", "normal")
WITHHELD = "half_moon"
GRID = 128


def labelled_wafers(wafers: int = 700, seed: int = 0) -> tuple[pa.RecordBatch, list[str]]:
    """Wafers of `KNOWN` patterns with their names."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(KNOWN, wafers).tolist()
    return make_wafers(labels, rng, defects=(30, 40)), labels


def fresh_wafers(pattern: str, wafers: int = 20, seed: int = 99) -> pa.RecordBatch:
    """Wafers of one pattern that no model of this module was trained on."""
    return make_wafers([pattern] * wafers, np.random.default_rng(seed), defects=(30, 40), first=100_000)


@cache
def tiny_model() -> WaferModel:
    """A model of `KNOWN` with a false-novel rate of about 0.05."""
    rows, labels = labelled_wafers()
    config = WaferTrainingConfig(
        grid=GRID,
        train=TrainConfig(epochs=2),
        novelty=NoveltyConfig(false_novel_rate=0.05),
    )
    return train_wafer_model(rows, labels, config)[0]
