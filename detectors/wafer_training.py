"""Training of a wafer model: split by lot, train the network, fit and calibrate the novelty detector, measure."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, roc_auc_score

from detectors.open_set.novelty import NoveltyConfig, fit_novelty
from detectors.sparse_net.encode import encode
from detectors.sparse_net.events import WaferPoints, read_points, validate_wafers
from detectors.sparse_net.net import NetConfig
from detectors.sparse_net.train import Epoch, Labelled, TrainConfig, macro_f1, train_net
from detectors.wafer_model import WaferModel
from schemas.errors import ConfigError, SchemaError

#: Cells a side for wafers that are given as points, unless stated: 18 um a cell on 300 mm.
GRID = 16_384
#: Names taken for the class of wafers with nothing wrong.
NORMAL_NAMES = ("normal", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class WaferTrainingConfig:
    """How to train a wafer model."""

    #: Classes the model must not learn; their wafers measure novelty only.
    hold_out: tuple[str, ...] = ()
    #: Cells a side for wafers given as points; 0 takes `GRID`, or the usual side of the die maps.
    grid: int = 0
    #: Shares of the lots for training and for early stopping; the rest calibrates and measures.
    train_share: float = 0.7
    validation_share: float = 0.1
    train: TrainConfig = field(default_factory=TrainConfig)
    novelty: NoveltyConfig = field(default_factory=NoveltyConfig)

    def __post_init__(self) -> None:
        shares = (self.train_share, self.validation_share)
        if min(shares) <= 0 or sum(shares) >= 1:
            raise ConfigError(f"expected shares above 0 with a sum below 1, got {shares}")
        if self.grid < 0:
            raise ConfigError(f"grid starts at 1, or is 0 for the usual one, got {self.grid}")


@dataclass(frozen=True, slots=True)
class WaferMetrics:
    """What a model reached on wafers of lots it was not trained on."""

    macro_f1: float
    #: Rows are true classes, columns recognised ones; int64 of shape (classes, classes).
    confusion: NDArray[np.int64]
    #: Area under the ROC curve of the novelty score, withheld against known wafers; by withheld class.
    auroc: dict[str, float]
    #: Wafers used: training, validation, calibration.
    wafers: tuple[int, int, int]


def train_wafer_model(
    rows: pa.RecordBatch,
    labels: Sequence[str],
    config: WaferTrainingConfig,
    report: Callable[[Epoch], bool] = lambda _: True,
) -> tuple[WaferModel, WaferMetrics]:
    """Train on labelled wafers.

    Args:
        rows: columns of `WAFER_COLUMNS`.
        labels: class of each row.
        config: how to train.
        report: see `train.train_net`.

    Raises:
        SchemaError: a row is no wafer event.
        ConfigError: an unknown class is held out, or there are too few wafers of a class.
    """
    failures = validate_wafers(rows)
    if failures:
        row, code, message = failures[0]
        raise SchemaError(f"{len(failures)} bad wafers, the first in row {row}, {code}: {message}")
    points, names = read_points(rows), np.asarray(labels, dtype=np.str_)
    classes = _known_classes(names, config.hold_out)
    label = np.searchsorted(classes, names)
    known = np.isin(names, classes)
    place = lot_places(rows["lot"].to_pylist(), config.train.seed)
    borders = np.cumsum([config.train_share, config.validation_share])
    part = np.where(known, np.searchsorted(borders, place, side="right"), -1)
    _check_counts(label, part, classes)
    train, validation, calibration = (
        Labelled(points.take(chosen), label[chosen]) for chosen in (np.flatnonzero(part == i) for i in range(3))
    )
    grid = config.grid or _usual_side(points)
    sizes = NetConfig.for_grid(_usual_side(points, grid), len(classes))
    net = train_net(sizes, config.train, train, validation, grid, report)
    seen = encode(net, points.take(np.flatnonzero((part == 0) | (part == 1))), grid)
    held_out = encode(net, calibration.points, grid)
    novelty = fit_novelty(config.novelty, seen, held_out, len(classes), config.train.seed)
    normal = next((name for name in NORMAL_NAMES if name in classes), None)
    model = WaferModel(net=net, novelty=novelty, classes=tuple(classes), normal=normal, grid=grid)
    metrics = WaferMetrics(
        macro_f1(calibration.labels, held_out.logits),
        confusion_matrix(calibration.labels, held_out.logits.argmax(axis=1), labels=range(len(classes))),
        {name: _auroc(model, points.take(np.flatnonzero(names == name))) for name in config.hold_out},
        (len(train.labels), len(validation.labels), len(calibration.labels)),
    )
    return model, metrics


def lot_places(lots: Sequence[str], seed: int) -> NDArray[np.float64]:
    """A place in [0, 1) for each wafer by a hash of its lot: wafers of a lot are never split apart."""
    places = {lot: _place(f"{seed}/{lot}") for lot in set(lots)}
    return np.array([places[lot] for lot in lots], dtype=np.float64)


def _place(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def _known_classes(names: NDArray[np.str_], hold_out: tuple[str, ...]) -> list[str]:
    found = sorted(set(names.tolist()))
    unknown = sorted(set(hold_out) - set(found))
    if unknown:
        raise ConfigError(f"cannot hold out {', '.join(unknown)}: the wafers are {', '.join(found)}")
    known = [name for name in found if name not in hold_out]
    if len(known) < 2:
        raise ConfigError(f"expected at least 2 known classes, got {known}")
    return known


def _check_counts(label: NDArray[np.int64], part: NDArray[np.int64], classes: list[str]) -> None:
    for chosen, use in enumerate(("training", "validation", "calibration")):
        counts = np.bincount(label[part == chosen], minlength=len(classes))
        if chosen == 0 and counts.min() < 2:
            few = classes[int(counts.argmin())]
            raise ConfigError(f"class {few!r} has {counts.min()} wafers in training lots, expected 2")
        if counts.sum() == 0:
            raise ConfigError(f"no lot fell to {use}; expected wafers of more lots")


def _usual_side(points: WaferPoints, grid: int = GRID) -> int:
    """Median cells a side, where `grid` holds for wafers given as points."""
    sides = points.own_grid.max(axis=1)
    return int(np.median(np.where(sides > 0, sides, grid)))


def _auroc(model: WaferModel, withheld: WaferPoints) -> float:
    """How well novelty tells withheld wafers from the calibration ones; 0.5 is chance."""
    novel = model.novelty.score(encode(model.net, withheld, model.grid))
    known = model.novelty.calibration
    truth = np.repeat([1, 0], [len(novel), len(known)])
    return float(roc_auc_score(truth, np.concatenate([novel, known])))
