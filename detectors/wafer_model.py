"""The wafer model: network and novelty detector as one versioned artefact that gives a verdict on each wafer."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from detectors.models import Artefact, load_artefact, save_artefact
from detectors.open_set.calibration import novelty_threshold
from detectors.open_set.gmm import Mixture
from detectors.open_set.novelty import Novelty
from detectors.sparse_net.encode import Encodings, encode
from detectors.sparse_net.events import read_points, validate_wafers
from detectors.sparse_net.net import NetConfig, WaferNet
from detectors.torch_threads import torch_threads
from schemas.errors import ConfigError, ModelError, SchemaError

#: Kind of the artefact.
KIND = "wafer"
#: Pattern named where a model knows no normal class.
NORMAL = "normal"

#: What `WaferModel.recognise` answers, one row a wafer.
VERDICT_COLUMNS = pa.schema(
    [
        pa.field("verdict", pa.string(), nullable=False),
        pa.field("pattern", pa.string(), nullable=False),
        pa.field("probability", pa.float64(), nullable=False),
        pa.field("novelty", pa.float64(), nullable=False),
        pa.field("p_value", pa.float64(), nullable=False),
        pa.field("defects", pa.int64(), nullable=False),
        #: Points outside the wafer's disc, which the verdict leaves out.
        pa.field("outside", pa.int64(), nullable=False),
        pa.field("latent", pa.list_(pa.float32()), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaferModel:
    """A trained model; `recognise` changes nothing."""

    net: WaferNet
    novelty: Novelty
    #: Known classes in the order of the network's outputs.
    classes: tuple[str, ...]
    #: The known class of wafers with nothing wrong, if there is one.
    normal: str | None
    #: Cells a side for wafers that are given as points.
    grid: int
    #: Name and version of the artefact it was read from.
    id: str = "unsaved"

    def __post_init__(self) -> None:
        if len(self.classes) != self.net.config.classes:
            raise ConfigError(f"expected {self.net.config.classes} classes, as the network has, got {self.classes}")
        if self.normal is not None and self.normal not in self.classes:
            raise ConfigError(f"expected normal to be one of {self.classes}, got {self.normal!r}")

    @property
    def false_novel_rate(self) -> float:
        """Largest share of known wafers that the threshold calls novel, by the calibration."""
        above = np.count_nonzero(self.novelty.calibration > self.novelty.threshold)
        return (1 + int(above)) / (1 + len(self.novelty.calibration))

    def with_false_novel_rate(self, rate: float) -> "WaferModel":
        """The same model with its threshold moved.

        Args:
            rate: see `calibration.novelty_threshold`.

        Raises:
            ConfigError: rate out of range, or too few calibration wafers for it.
        """
        threshold = novelty_threshold(self.novelty.calibration, rate)
        return replace(self, novelty=replace(self.novelty, threshold=threshold))

    def recognise(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """A verdict on each wafer, in order.

        A wafer is `novel` if its p-value is at most the false-novel rate the model was calibrated for,
        else `normal` or `known` by its most probable class. One without a defect is normal by rule.
        Takes one CPU thread: a stream's workers share the cores.

        Args:
            rows: columns of `WAFER_COLUMNS`.

        Returns:
            Columns of `VERDICT_COLUMNS`.

        Raises:
            SchemaError: a row is no wafer event; the stream sets those aside with `validate_wafers`.
        """
        failures = validate_wafers(rows)
        if failures:
            row, code, message = failures[0]
            raise SchemaError(f"{len(failures)} bad wafers, the first in row {row}, {code}: {message}")
        points = read_points(rows)
        with torch_threads(1):
            encodings = encode(self.net, points, self.grid)
        return self._judge(encodings, points.defects, points.outside)

    def save(self, folder: Path | str, *, metrics: Mapping[str, Any], training: Mapping[str, Any]) -> Path:
        """Write a new version below `folder`.

        Args:
            folder: `<root>/<name>`.
            metrics: what it reached on wafers it was not trained on. JSON types.
            training: data, digest, seed and settings. JSON types.

        Returns:
            The version's folder.
        """
        weights = {f"net.{k}": v.cpu().numpy() for k, v in self.net.state_dict().items()}
        mixture = self.novelty.mixture
        return save_artefact(
            folder,
            kind=KIND,
            tensors=weights
            | {
                "novelty.centre": self.novelty.centre,
                "novelty.projection": self.novelty.projection,
                "novelty.calibration": self.novelty.calibration,
                "novelty.weights": mixture.weights,
                "novelty.means": mixture.means,
                "novelty.precision_factors": mixture.precision_factors,
            },
            meta={
                "classes": list(self.classes),
                "normal": self.normal,
                "grid": self.grid,
                "net": asdict(self.net.config),
                "threshold": self.novelty.threshold,
                "metrics": dict(metrics),
                "training": dict(training),
            },
        )

    @classmethod
    def load(cls, path: Path | str) -> "WaferModel":
        """Read a version, or the latest of `<root>/<name>`.

        Raises:
            ModelError: see `models.load_artefact`; or tensors and settings do not fit each other.
        """
        artefact = load_artefact(path, KIND)
        try:
            return cls._from(artefact)
        except (KeyError, TypeError, ValueError, RuntimeError, ConfigError) as error:
            raise ModelError(f"the wafer model {artefact.id} in {path} is incomplete: {error}") from error

    @classmethod
    def _from(cls, artefact: Artefact) -> "WaferModel":
        tensors, meta = artefact.tensors, artefact.meta
        net = WaferNet(msgspec.convert(meta["net"], NetConfig))
        net.load_state_dict(
            {
                name.removeprefix("net."): torch.from_numpy(tensor)
                for name, tensor in tensors.items()
                if name.startswith("net.")
            }
        )
        names = ("weights", "means", "precision_factors")
        novelty = Novelty(
            tensors["novelty.centre"],
            tensors["novelty.projection"],
            Mixture(*(tensors[f"novelty.{name}"] for name in names)),
            tensors["novelty.calibration"],
            float(meta["threshold"]),
        )
        return cls(
            net=net.to("cuda" if torch.cuda.is_available() else "cpu").eval(),
            novelty=novelty,
            classes=tuple(meta["classes"]),
            normal=meta["normal"],
            grid=int(meta["grid"]),
            id=artefact.id,
        )

    def _judge(self, encodings: Encodings, defects: NDArray[np.int64], outside: NDArray[np.int64]) -> pa.RecordBatch:
        names = np.array(self.classes, dtype=np.str_)
        probabilities = encodings.probabilities
        pattern = names[probabilities.argmax(axis=1)] if len(defects) else names[:0]
        novelty = self.novelty.score(encodings)
        empty = defects == 0
        # The least novel score on record, so that an empty map never ranks among the novel ones.
        novelty = np.where(empty, self.novelty.calibration[0], novelty)
        normal = self.normal or NORMAL
        pattern = np.where(empty, normal, pattern)
        verdict = np.where(pattern == normal, "normal", "known")
        verdict = np.where(novelty > self.novelty.threshold, "novel", verdict)
        latent = encodings.latent
        starts = np.arange(0, latent.size + 1, latent.shape[1], dtype=np.int32)
        columns = {
            "verdict": pa.array(np.where(empty, "normal", verdict)),
            "pattern": pa.array(pattern),
            "probability": pa.array(np.where(empty, 1.0, probabilities.max(axis=1, initial=0))),
            "novelty": pa.array(novelty),
            "p_value": pa.array(self.novelty.p_value(novelty)),
            "defects": pa.array(defects),
            "outside": pa.array(outside),
            "latent": pa.ListArray.from_arrays(starts, pa.array(latent.reshape(-1))),
        }
        return pa.RecordBatch.from_pydict(columns, schema=VERDICT_COLUMNS)
