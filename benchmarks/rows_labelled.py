"""The labelled protocol of `benchmarks.rows`: what labels of a quarter of the rows can choose.

One split a set. The autoencoders go by their authors' protocol (`benchmarks.apre_labelled`):
the validation labels choose epoch, k and seed, and the networks are trained on the validation rows, too. The other
methods choose among a few settings, and seeds where they draw at random: fitted on the training part, judged by the
validation AUC, and the best fitted again on both parts.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from benchmarks.apre_labelled import LabelledSettings, labelled_protocol
from benchmarks.rows_protocol import MOST_ROWS, Scaling, encoded, judged, read_set, sampled, set_shape, split_set
from sparsewatch.detectors.rows.methods.apre.train import steps_per_epoch
from sparsewatch.detectors.rows.methods.registry import METHODS
from sparsewatch.detectors.rows.methods.scorer import Rows, RowScorer

#: Of the authors' code; decides the sample, too.
SPLIT_SEED = 42
SEEDS = (0, 1, 2, 3, 4)
#: Networks of the authors' protocol -> whether they predict variances.
NETWORKS = {"autoencoder": False, "apre": True}
#: Steps of a training, and between two looks at the validation AUC. The authors take 5,000 and 1.
STEPS, LOOK_EVERY = 500, 20
#: Most rows and floats of a step; smaller sets are taken whole, as the authors do.
_BATCH_ROWS, _BATCH_FLOATS = 2048, 400_000
#: Most seconds that the trainings of one network on one set take together.
TRAINING_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Grid:
    """What the labels choose from."""

    settings: tuple[dict[str, Any], ...] = ({},)
    seeds: tuple[int, ...] = SEEDS[:1]


#: Methods that have a labelled row beside the networks.
GRIDS = {
    "ensemble": Grid(seeds=SEEDS),
    "knn": Grid(tuple({"k": k} for k in (1, 3, 5, 10, 20, 50))),
    "lof": Grid(tuple({"k": k} for k in (5, 10, 20, 50))),
    "isolation_forest": Grid(tuple({"tree_rows": n} for n in (64, 256, 1024)), SEEDS),
    "hbos": Grid(tuple({"bins": bins} for bins in (5, 10, 20, 50))),
    "ecod": Grid(),
    "copod": Grid(),
}


def judge_labelled(method: str, name: str) -> dict[str, dict[str, Any]]:
    """Rows of the labelled table: a single row of a method with a grid, four of a network.

    The figures are those of the test part, `validation_auc` the figure that chose, `chosen` the settings that were
    chosen.
    """
    return _judge_network(method, name) if method in NETWORKS else {method: _judge_grid(method, name)}


def _judge_network(kind: str, name: str) -> dict[str, dict[str, Any]]:
    table = sampled(read_set(name), SPLIT_SEED)
    settings = settings_for(NETWORKS[kind], *table.X.shape)
    results = labelled_protocol(
        table.X, table.outlier.astype(np.int64), settings, seconds_left=_countdown(TRAINING_SECONDS)
    )
    return {
        f"{kind} {target}": {
            "auc": result.auc,
            "ap": result.average_precision,
            "validation_auc": result.valid_auc,
            "mean_auc": result.mean,
            "chosen": {"k": result.k, "seed": result.seed},
        }
        for target, result in results.items()
    }


def settings_of(method: str, name: str) -> dict[str, Any]:
    """What a method's figures on a set depend on."""
    if method not in NETWORKS:
        return asdict(GRIDS[method])
    n, d = set_shape(name)
    return {**asdict(settings_for(NETWORKS[method], min(n, MOST_ROWS), d)), "seconds": TRAINING_SECONDS}


def settings_for(probabilistic: bool, n: int, d: int) -> LabelledSettings:
    """The protocol for a set of n rows and d columns: as many steps for every set."""
    fitted = n * 3 // 4
    batch = min(_BATCH_ROWS, _BATCH_FLOATS // d)
    steps = steps_per_epoch(fitted, batch)
    return LabelledSettings(
        probabilistic=probabilistic,
        epochs=max(1, STEPS // steps),
        batch_rows=batch if steps > 1 else 0,
        look_every=max(1, LOOK_EVERY // steps),
        seeds=SEEDS,
        split_seed=SPLIT_SEED,
    )


def _countdown(seconds: float) -> Callable[[], float]:
    """Function of the seconds left; its clock starts at the first call."""
    end: list[float] = []

    def left() -> float:
        now = time.monotonic()
        if not end:
            end.append(now + seconds)
        return end[0] - now

    return left


def _judge_grid(method: str, name: str) -> dict[str, Any]:
    parts = split_set(name, SPLIT_SEED)
    train, validation = _encoded(name, METHODS[method].scaling, 1)
    tried = list(_candidates(GRIDS[method]))
    aucs = []
    for settings, seed in tried:
        scorer = _fit(method, train, settings, seed)
        aucs.append(judged(scorer.score(validation), parts.validation.outlier)["auc"])
    best = max(range(len(tried)), key=aucs.__getitem__)
    fit, test = _encoded(name, METHODS[method].scaling, 2)
    settings, seed = tried[best]
    figures = judged(_fit(method, fit, settings, seed).score(test), parts.test.outlier)
    return {**figures, "validation_auc": aucs[best], "chosen": {**settings, "seed": seed}}


def _candidates(grid: Grid) -> Iterator[tuple[dict[str, Any], int]]:
    for settings in grid.settings:
        for seed in grid.seeds:
            yield settings, seed


def _fit(method: str, X: Rows, settings: dict[str, Any], seed: int) -> RowScorer:
    # Settings are keywords of each method's fit, which its type leaves out.
    fit: Callable[..., RowScorer] = METHODS[method].fit
    return fit(X, seed, **settings)


@lru_cache(maxsize=4)
def _encoded(name: str, scaling: Scaling, parts_learned: int) -> list[Rows]:
    """What is learned, train or train and validation, and the part that comes after it."""
    parts = split_set(name, SPLIT_SEED)
    if parts_learned == 1:
        return encoded(scaling, parts.train.X, parts.validation.X)
    return encoded(scaling, parts.fit.X, parts.test.X)
