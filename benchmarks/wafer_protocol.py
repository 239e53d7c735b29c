"""The open-set protocol on public wafer maps: which wafers a run learns, which it is judged on, and by which figures.

WM-811K (Wu, Jang and Chen, IEEE TSM 28(1), 2015) and MixedWM38 (Wang et al., IEEE TSM, 2020) publish no split, so ours
is by a hash of the lot: 57 % train, 8 % stop early, 10 % calibrate, 25 % test. A *run* trains one network without the
classes it holds out; their wafers, of all parts, are the novel ones. "none" is never held out. All methods score the
same encodings, and none sees a novel wafer.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score

from benchmarks.dense_cnn import encode_dense, train_dense
from sparsewatch.detectors.conformal import alarm_threshold
from sparsewatch.detectors.open_set.baselines.scorers import SCORERS
from sparsewatch.detectors.open_set.metrics import aupr, auroc, fpr_at_tpr, open_set_macro_f1, oscr
from sparsewatch.detectors.open_set.novelty import NoveltyConfig, fit_novelty
from sparsewatch.detectors.sparse_net.encode import Encodings, encode
from sparsewatch.detectors.sparse_net.net import NetConfig
from sparsewatch.detectors.sparse_net.points import WaferPoints, read_points
from sparsewatch.detectors.sparse_net.scores import macro_f1
from sparsewatch.detectors.sparse_net.train import Labelled, TrainConfig, train_net
from sparsewatch.detectors.wafers.labels import Classes, read_labels
from sparsewatch.detectors.wafers.training import lot_places
from sparsewatch.pipelines.wafer_files.labelled import LabelledWafers

#: Apart from the seeds of training: the parts stay the same whatever the seed of a run.
SPLIT_SEED = 2208
_BORDERS = (0.57, 0.65, 0.75)
_TRAIN, _VALIDATION, _CALIBRATION, _TEST = range(4)
#: Most wafers a class of the open-set runs.
CAPS = {"none": 2_500}
CAP = 900
#: Share of known wafers that the open-set macro-F1 lets pass as novel.
FALSE_NOVEL = 0.05
#: The detector that `train wafer` ships.
OURS = "sparsewatch"

Encode = Callable[[WaferPoints], Encodings]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One network to train and judge; equal runs give equal figures."""

    network: Literal["sparse", "dense"]
    #: File below `wafers/`.
    file: str
    hold_out: tuple[str, ...] = ()
    #: Whether classes are capped at `CAP` and `CAPS`.
    capped: bool
    seed: int
    epochs: int
    #: CPU seconds a dense network trains; a sparse network trains its epochs.
    cpu_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class _Parts:
    points: WaferPoints
    classes: Classes
    #: Indices of the wafers of each part, known wafers only.
    of: tuple[NDArray[np.int64], ...]
    novel: NDArray[np.int64]

    def labelled(self, part: int) -> Labelled:
        return Labelled(self.points.take(self.of[part]), self.classes.targets[self.of[part]])


def measure(run: Run, wafers: LabelledWafers, say: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Train and judge one run; JSON types."""
    parts = _split(run, wafers)
    started = time.process_time()
    encode_with = _trained(run, parts, say)
    trained = time.process_time() - started
    known = encode_with(parts.points.take(np.concatenate([parts.of[_TRAIN], parts.of[_VALIDATION]])))
    calibration, test, novel = (
        encode_with(parts.points.take(chosen)) for chosen in (parts.of[_CALIBRATION], parts.of[_TEST], parts.novel)
    )
    figures: dict[str, Any] = {"cpu_seconds": trained, "wafers": [len(i) for i in (*parts.of, parts.novel)]}
    figures |= _closed(parts, test)
    if run.hold_out:
        figures["methods"] = {
            name: _open(score, parts, calibration, test, novel)
            for name, score in _scorers(run, parts, known, calibration)
        }
    return figures


def _split(run: Run, wafers: LabelledWafers) -> _Parts:
    classes = read_labels(wafers.labels, run.hold_out)
    place = lot_places(wafers.rows["lot"].to_pylist(), SPLIT_SEED)
    chosen = _capped(classes.patterns) if run.capped else np.ones(len(place), dtype=np.bool_)
    part = np.searchsorted(_BORDERS, place, side="right")
    of = tuple(np.flatnonzero(chosen & classes.known & (part == i)) for i in range(4))
    return _Parts(read_points(wafers.rows), classes, of, np.flatnonzero(chosen & ~classes.known))


def _capped(patterns: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Up to a number of wafers of each class, drawn once for all runs."""
    rng = np.random.default_rng(SPLIT_SEED)
    chosen = np.zeros(len(patterns), dtype=np.bool_)
    for name in np.unique(patterns).tolist():
        of = rng.permutation(np.flatnonzero(patterns == name))
        chosen[of[: CAPS.get(name, CAP)]] = True
    return chosen


def _trained(run: Run, parts: _Parts, say: Callable[[str], None]) -> Encode:
    train, validation = parts.labelled(_TRAIN), parts.labelled(_VALIDATION)
    if run.network == "dense":
        budget = run.cpu_seconds or 60.0
        dense = train_dense(train, validation, len(parts.classes.outputs), cpu_seconds=budget, seed=run.seed)
        return lambda points: encode_dense(dense, points)
    side = int(np.median(parts.points.own_grid.max(axis=1)))
    config = TrainConfig(epochs=run.epochs, patience=run.epochs, seed=run.seed)
    sizes = NetConfig.for_grid(side, len(parts.classes.outputs), several=parts.classes.several, outlier=True)

    def report(epoch: Any) -> bool:
        say(f"epoch {epoch.number} of {epoch.epochs}: loss {epoch.loss:.3f}, validation macro-F1 {epoch.macro_f1:.3f}")
        return True

    net = train_net(sizes, config, train, validation, side, report)
    return lambda points: encode(net, points, side)


def _closed(parts: _Parts, test: Encodings) -> dict[str, Any]:
    """Figures over the known classes, on the test wafers."""
    truth = parts.classes.targets[parts.of[_TEST]]
    if parts.classes.several:
        predicted = (test.logits > 0).astype(np.int64)
        return {
            "classes": list(parts.classes.outputs),
            "macro_f1": macro_f1(truth, test.logits),
            "exact_match": float((predicted == truth).all(axis=1).mean()),
            "label_f1": f1_score(truth, predicted, average=None).tolist(),
            "exact_match_mixed": float((predicted == truth).all(axis=1)[truth.sum(axis=1) > 1].mean()),
        }
    predicted = test.logits.argmax(axis=1)
    return {
        "classes": list(parts.classes.outputs),
        "macro_f1": macro_f1(truth, test.logits),
        "balanced_accuracy": float(balanced_accuracy_score(truth, predicted)),
        "confusion": confusion_matrix(truth, predicted, labels=range(len(parts.classes.outputs))).tolist(),
    }


def _scorers(
    run: Run, parts: _Parts, known: Encodings, calibration: Encodings
) -> list[tuple[str, Callable[[Encodings], NDArray[np.float64]]]]:
    learned = np.concatenate([parts.of[_TRAIN], parts.of[_VALIDATION]])
    labels, classes = parts.classes.targets[learned], len(parts.classes.outputs)
    ours = fit_novelty(NoveltyConfig(), known, parts.classes.patterns[learned].tolist(), calibration)
    others = [(name, fit(known, labels, classes, run.seed).score) for name, fit in SCORERS.items()]
    return [(OURS, ours.score), *others]


def _open(
    score: Callable[[Encodings], NDArray[np.float64]],
    parts: _Parts,
    calibration: Encodings,
    test: Encodings,
    novel: Encodings,
) -> dict[str, float]:
    """Figures of one method; novel is the positive class, high scores are novel."""
    known_scores, novel_scores = score(test), score(novel)
    truth, predicted = parts.classes.targets[parts.of[_TEST]], test.logits.argmax(axis=1)
    threshold = alarm_threshold(np.sort(score(calibration)), FALSE_NOVEL)
    strange = len(parts.classes.outputs)
    answers = np.where(known_scores > threshold, strange, predicted)
    passed = np.where(novel_scores > threshold, strange, novel.logits.argmax(axis=1))
    return {
        "auroc": auroc(known_scores, novel_scores),
        "aupr": aupr(known_scores, novel_scores),
        "fpr95": fpr_at_tpr(known_scores, novel_scores),
        "oscr": oscr(known_scores, predicted == truth, novel_scores),
        "open_macro_f1": open_set_macro_f1(
            np.concatenate([truth, np.full(len(novel), strange)]), np.concatenate([answers, passed])
        ),
        "false_novel": float((known_scores > threshold).mean()),
        "true_novel": float((novel_scores > threshold).mean()),
    }
