"""An example of every kind of model artefact, to compare with the folders in tests/golden/models.

python -m tests.kit.stored_models       writes the folders that are missing, and leaves all others
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from sparsewatch.detectors.artefacts.versions import HISTORY, LATEST
from sparsewatch.detectors.clicks.reference import Reference, fit_reference
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.open_set.novelty import NoveltyConfig, fit_novelty
from sparsewatch.detectors.rows.methods.apre.scorer import fit_apre, fit_autoencoder
from sparsewatch.detectors.rows.methods.apre.train import TrainConfig
from sparsewatch.detectors.rows.methods.isolation_forest import fit_isolation_forest
from sparsewatch.detectors.rows.methods.registry import METHODS
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.training import train_row_model
from sparsewatch.detectors.sparse_net.encode import Encodings, encode
from sparsewatch.detectors.sparse_net.net import NetConfig, WaferNet
from sparsewatch.detectors.sparse_net.points import read_points
from sparsewatch.detectors.wafers.artefact import Examples
from sparsewatch.detectors.wafers.drawn import make_wafers
from sparsewatch.detectors.wafers.model import WaferModel
from sparsewatch.schemas.block import EVENT_TIME_US
from sparsewatch.schemas.units import HOUR_US

MODELS = Path(__file__).resolve().parents[1] / "golden" / "models"
ABOUT = {"made_by": "tests.kit.stored_models"}
_GRID = 32
_PATTERNS = ("center", "normal")


def windows(max_values: int, numbers: tuple[str, ...] = ()) -> list[FeatureCounts]:
    """Two windows of clicks with some values in common."""
    found = []
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        counts = FeatureCounts(("site", "hour"), "click", max_values=max_values, numbers=numbers)
        site = [f"site {i}" for i in rng.integers(0, 40, 200)]
        rows = {"site": site, "hour": rng.integers(0, 12, 200), "click": rng.integers(0, 2, 200)}
        counts.update(pa.record_batch(rows))
        found.append(counts)
    return found


def reference_by_hour() -> Reference:
    """Three days of hours, of which those of the afternoon have thrice the rows and clicks."""
    rng, found = np.random.default_rng(3), []
    for hour in range(72):
        busy = hour % 24 >= 12
        counts = FeatureCounts(("site",), "click", max_values=64)
        n = int(rng.poisson(300 if busy else 100))
        counts.update(
            pa.record_batch({"site": rng.integers(0, 5, n), "click": rng.binomial(1, 0.6 if busy else 0.2, n)})
        )
        found.append(counts)
    return fit_reference(found, HOUR_US, [hour * HOUR_US for hour in range(72)])


def reference_with_rows() -> Reference:
    """Two windows, and some of their rows."""
    numbers = np.arange(40)
    times = numbers % 2 * HOUR_US
    sites = pa.array([None if i % 7 == 0 else f"site {i}" for i in numbers])
    sample = pa.record_batch({"site": sites, "hour": numbers, "click": numbers % 2, EVENT_TIME_US: times})
    return fit_reference(windows(64), HOUR_US, [0, HOUR_US], sample)


def rows(n: int = 400) -> pa.Table:
    """Two numbers, one with nulls, and a category."""
    rng = np.random.default_rng(5)
    weight = [None if i % 11 == 0 else float(x) for i, x in enumerate(rng.normal(size=n))]
    return pa.table({"amount": rng.normal(size=n), "weight": weight, "site": rng.choice(["a", "b", "ü"], n)})


def row_model(method: str) -> RowModel:
    """A model of `rows`; not a good one."""
    fits: dict[str, Any] = {
        "apre": partial(fit_apre, training=TrainConfig(steps=20)),
        "autoencoder": partial(fit_autoencoder, training=TrainConfig(steps=20)),
        "isolation_forest": partial(fit_isolation_forest, n_trees=10, tree_rows=64),
    }
    return train_row_model(rows(), method=method, fit=fits.get(method), seed=0)


def wafer_model() -> WaferModel:
    """An untrained network with a fitted novelty detector."""
    torch.manual_seed(0)
    config = NetConfig(sides=(8,), channels=(4, 4), convolutions=(1, 1), read_levels=2, latent=8, classes=2)
    net = WaferNet(config).eval()
    known, calibration = (_encodings(net, seed) for seed in (1, 2))
    novelty = fit_novelty(NoveltyConfig(false_novel_rate=0.05), known, [*_PATTERNS] * 60, calibration)
    examples = Examples(("W1", "W2"), _PATTERNS, np.asarray(novelty.embed(known)[:2], np.float32))
    return WaferModel(net=net, novelty=novelty, outputs=_PATTERNS, normal="normal", grid=_GRID, examples=examples)


def _encodings(net: WaferNet, seed: int) -> Encodings:
    wafers = make_wafers([*_PATTERNS] * 60, np.random.default_rng(seed), defects=(10, 20))
    return encode(net, read_points(wafers), _GRID)


def _save_row_model(method: str, folder: Path) -> Path:
    return row_model(method).save(folder, about=ABOUT)


#: How each artefact is made in its folder of `MODELS`.
STORED: dict[str, Callable[[Path], Path]] = {
    "reference": lambda folder: fit_reference(windows(64)).save(folder),
    "reference-with-shares": lambda folder: fit_reference(windows(64)).save(folder),
    "reference-beyond-the-cap": lambda folder: fit_reference(windows(8)).save(folder),
    "reference-in-bins": lambda folder: fit_reference(windows(64, numbers=("hour",))).save(folder),
    "reference-with-rows": lambda folder: reference_with_rows().save(folder),
    "reference-by-hour": lambda folder: reference_by_hour().save(folder),
    "wafer": lambda folder: wafer_model().save(folder, metrics={}, training=ABOUT),
    **{f"rows-{name}": partial(_save_row_model, name) for name in METHODS},
}


#: Folders of earlier releases that are refused, and what their refusal names.
REFUSED = {"reference-hashed-by-polars": "sparsewatch train reference"}


def load(folder: Path) -> Reference | RowModel | WaferModel:
    """The model of a folder of `MODELS`.

    Raises:
        AssertionError: If the folder is not there.
    """
    if not folder.exists():
        raise AssertionError(f"no folder {folder}: `python -m tests.kit.stored_models` writes those that are missing")
    kinds: dict[str, Callable[[Path], Reference | RowModel | WaferModel]] = {
        "reference": Reference.load,
        "rows": RowModel.load,
        "wafer": WaferModel.load,
    }
    return kinds[folder.name.partition("-")[0]](folder)


def write_missing() -> list[str]:
    """Write the artefacts that are not there; returns their names."""
    missing = [name for name in STORED if not (MODELS / name).exists()]
    for name in missing:
        STORED[name](MODELS / name)
        # These hold the time of writing; a history has a golden file of its own.
        for file in (LATEST, HISTORY):
            (MODELS / name / file).unlink()
    return missing


if __name__ == "__main__":
    sys.stdout.writelines(f"{name}\n" for name in write_missing())
