"""Training of a wafer model: split by lot, train the network, fit and calibrate the novelty detector, measure."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, roc_auc_score

from sparsewatch.detectors.conformal import alarm_threshold
from sparsewatch.detectors.open_set.novelty import NoveltyConfig, fit_novelty
from sparsewatch.detectors.sparse_net.checkpoint import Checkpoint
from sparsewatch.detectors.sparse_net.encode import Encodings, encode
from sparsewatch.detectors.sparse_net.net import NetConfig, WaferNet
from sparsewatch.detectors.sparse_net.points import WaferPoints, read_points, validate_wafers
from sparsewatch.detectors.sparse_net.scores import macro_f1
from sparsewatch.detectors.sparse_net.train import Epoch, Labelled, TrainConfig, train_net
from sparsewatch.detectors.wafers.artefact import Examples
from sparsewatch.detectors.wafers.inputs import GRID, inputs_of
from sparsewatch.detectors.wafers.labels import Classes, read_labels
from sparsewatch.detectors.wafers.model import WaferModel
from sparsewatch.detectors.wafers.verdicts import Known, recognised
from sparsewatch.schemas.errors import ConfigError, SchemaError
from sparsewatch.schemas.settings import CountOrNone, Positive, check_ranges
from sparsewatch.schemas.wafers import JOIN, NORMAL

#: Examples stored of each pattern.
_EXAMPLES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class WaferTrainingConfig:
    """How to train a wafer model."""

    #: Classes the model must not learn; their wafers measure novelty only.
    hold_out: tuple[str, ...] = ()
    #: Cells a side for wafers given as points; 0 takes `GRID`, or the most frequent side of the die maps.
    grid: CountOrNone = 0
    #: Shares of the lots for training and for early stopping; the rest calibrates and measures.
    train_share: Positive = 0.7
    validation_share: Positive = 0.1
    train: TrainConfig = field(default_factory=TrainConfig)
    novelty: NoveltyConfig = field(default_factory=NoveltyConfig)

    def __post_init__(self) -> None:
        check_ranges(self)
        shares = (self.train_share, self.validation_share)
        if not sum(shares) < 1:
            raise ConfigError(f"train_share, validation_share: expected a sum below 1, got {shares}")


@dataclass(frozen=True, slots=True)
class WaferMetrics:
    """Figures of a model on wafers of lots that were not trained on."""

    macro_f1: float
    #: Rows are true patterns, columns recognised patterns, in the order of `patterns`; int64, (patterns, patterns).
    confusion: NDArray[np.int64]
    patterns: tuple[str, ...]
    #: Share of wafers whose pattern was recognised, all parts of it.
    accuracy: float
    #: Area under the ROC curve of the novelty score, withheld against known wafers; by withheld class.
    auroc: dict[str, float]
    #: Wafers used: training, validation, calibration.
    wafers: tuple[int, int, int]


def train_wafer_model(
    rows: pa.RecordBatch,
    labels: Sequence[str],
    config: WaferTrainingConfig,
    report: Callable[[Epoch], bool] = lambda _: True,
    *,
    resume: Checkpoint | None = None,
    keep: Callable[[Checkpoint], None] | None = None,
) -> tuple[WaferModel, WaferMetrics]:
    """Train on labelled wafers.

    Args:
        rows: columns of `WAFER_COLUMNS`.
        labels: class of each row; the parts of a mixed pattern joined by `+`.
        config: how to train.
        report: see `train.train_net`.
        resume: checkpoint of an interrupted training on the same wafers with the same settings.
        keep: callback that gets a checkpoint after each epoch.

    Raises:
        SchemaError: a row is not a wafer event.
        ConfigError: an unknown class is held out, or there are too few wafers of a class.
        ModelError: `resume` is of another training.
    """
    failures = validate_wafers(rows)
    if failures:
        row, code, message = failures[0]
        raise SchemaError(f"{len(failures)} bad wafers, the first in row {row}, {code}: {message}")
    data = _split(rows, labels, config)
    train, validation, calibration = (data.labelled(np.flatnonzero(data.part == i)) for i in range(3))
    several, outlier = data.classes.several, config.train.outliers > 0
    side = _median_side(data.points, data.grid)
    sizes = NetConfig.for_grid(side, len(data.classes.outputs), several=several, outlier=outlier)
    net = train_net(sizes, config.train, train, validation, data.grid, report, resume=resume, keep=keep)
    held_out = encode(net, calibration.points, data.grid)
    model = _model(net, data, config, rows["wafer_id"], held_out)
    return model, _metrics(model, data, config, held_out)


@dataclass(frozen=True, slots=True)
class _Data:
    points: WaferPoints
    classes: Classes
    #: 0 training, 1 early stopping, 2 calibration, -1 withheld; int64 of shape (wafers,).
    part: NDArray[np.int64]
    grid: int

    def labelled(self, wafers: NDArray[np.int64]) -> Labelled:
        return Labelled(self.points.take(wafers), self.classes.targets[wafers])

    @property
    def learned(self) -> NDArray[np.int64]:
        """Wafers that the network has seen, for training or to stop early."""
        return np.flatnonzero((self.part == 0) | (self.part == 1))


def _split(rows: pa.RecordBatch, labels: Sequence[str], config: WaferTrainingConfig) -> _Data:
    points, classes = read_points(rows), read_labels(labels, config.hold_out)
    place = lot_places(rows["lot"].to_pylist(), config.train.seed)
    borders = np.cumsum([config.train_share, config.validation_share])
    part = np.where(classes.known, np.searchsorted(borders, place, side="right"), -1)
    _check_counts(classes, part)
    # Too few calibration wafers are refused here, before hours of training.
    alarm_threshold(np.zeros(int((part == 2).sum())), config.novelty.false_novel_rate)
    return _Data(points, classes, part, config.grid or _median_side(points))


def _model(
    net: WaferNet, data: _Data, config: WaferTrainingConfig, ids: pa.StringArray, held_out: Encodings
) -> WaferModel:
    seen = encode(net, data.points.take(data.learned), data.grid)
    patterns = data.classes.patterns[data.learned]
    novelty = fit_novelty(config.novelty, seen, patterns.tolist(), held_out)
    chosen = _example_rows(patterns, np.random.default_rng(config.train.seed))
    examples = Examples(
        tuple(ids.take(pa.array(data.learned[chosen])).to_pylist()),
        tuple(patterns[chosen].tolist()),
        novelty.embed(seen.take(chosen)).astype(np.float32),
    )
    return WaferModel(
        net=net,
        novelty=novelty,
        outputs=data.classes.outputs,
        normal=data.classes.normal,
        grid=data.grid,
        inputs=inputs_of(data.points),
        examples=examples,
    )


def _metrics(model: WaferModel, data: _Data, config: WaferTrainingConfig, held_out: Encodings) -> WaferMetrics:
    classes, calibration = data.classes, np.flatnonzero(data.part == 2)
    scores = model.novelty.by_pattern(model.novelty.embed(held_out), held_out.doubt)
    known = Known(model.outputs, model.normal or NORMAL)
    truth = classes.patterns[calibration]
    predicted = recognised(known, model.novelty, held_out, scores)[0].astype(np.str_)
    return WaferMetrics(
        macro_f1(classes.targets[calibration], held_out.logits),
        confusion_matrix(truth, predicted, labels=classes.groups),
        classes.groups,
        float(np.mean(truth == predicted)),
        {name: _auroc(model, data.points.take(_holding(classes, name))) for name in config.hold_out},
        (int((data.part == 0).sum()), int((data.part == 1).sum()), len(calibration)),
    )


def lot_places(lots: Sequence[str], seed: int) -> NDArray[np.float64]:
    """A number in [0, 1) for each wafer by a hash of its lot: wafers of a lot are never split."""
    places = {lot: _place(f"{seed}/{lot}") for lot in set(lots)}
    return np.array([places[lot] for lot in lots], dtype=np.float64)


def _place(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def _holding(classes: Classes, name: str) -> NDArray[np.int64]:
    """Wafers that show a class, alone or with others."""
    found, which = np.unique(classes.patterns, return_inverse=True)
    return np.flatnonzero(np.array([name in pattern.split(JOIN) for pattern in found.tolist()])[which])


def _example_rows(patterns: NDArray[np.str_], rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of up to `_EXAMPLES` wafers of each pattern, drawn uniformly."""
    order = rng.permutation(len(patterns))
    order = order[np.argsort(patterns[order], kind="stable")]
    first = np.searchsorted(patterns[order], patterns[order], side="left")
    return order[np.arange(len(order)) - first < _EXAMPLES]


def _check_counts(classes: Classes, part: NDArray[np.int64]) -> None:
    hot = classes.targets if classes.several else np.eye(len(classes.outputs), dtype=np.int64)[classes.targets]
    for chosen, use in enumerate(("training", "validation", "calibration")):
        counts = hot[part == chosen].sum(axis=0)
        if chosen == 0 and counts.min() < 2:
            few = classes.outputs[int(counts.argmin())]
            raise ConfigError(f"class {few!r} has {counts.min()} wafers in training lots, expected at least 2")
        if counts.sum() == 0:
            raise ConfigError(f"no lot fell to {use}; expected wafers of more lots")


def _median_side(points: WaferPoints, grid: int = GRID) -> int:
    """Median of the cells a side; wafers given as points count with `grid`."""
    sides = points.own_grid.max(axis=1)
    return int(np.median(np.where(sides > 0, sides, grid)))


def _auroc(model: WaferModel, withheld: WaferPoints) -> float:
    """How well novelty separates withheld wafers from calibration wafers; 0.5 is chance."""
    novel = model.novelty.score(encode(model.net, withheld, model.grid))
    known = model.novelty.calibration
    truth = np.repeat([1, 0], [len(novel), len(known)])
    return float(roc_auc_score(truth, np.concatenate([novel, known])))
