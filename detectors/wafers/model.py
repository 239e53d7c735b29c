"""The wafer model: network and novelty detector as one versioned artefact that gives a verdict on each wafer."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.artefacts.artefact import Artefact, load_artefact, reading_parts, save_artefact
from sparsewatch.detectors.conformal import alarm_threshold
from sparsewatch.detectors.open_set.novelty import Novelty
from sparsewatch.detectors.sparse_net.encode import encode
from sparsewatch.detectors.sparse_net.net import WaferNet
from sparsewatch.detectors.sparse_net.points import read_points, validate_wafers
from sparsewatch.detectors.torch_threads import torch_threads
from sparsewatch.detectors.wafers.artefact import (
    Examples,
    net_tensors,
    novelty_meta,
    novelty_tensors,
    read_net,
    read_novelty,
)
from sparsewatch.detectors.wafers.inputs import fitting, stored_inputs
from sparsewatch.detectors.wafers.smoke import check_wafer_smoke, smoke_of
from sparsewatch.detectors.wafers.verdicts import Known, judge
from sparsewatch.schemas.errors import ConfigError, SchemaError
from sparsewatch.schemas.wafers import JOIN, NORMAL

#: Verdicts; no pattern may have such a name.
_VERDICTS = ("novel", "normal", "known")
#: Kind of the artefact.
KIND = "wafer"


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True, repr=False)
class WaferModel:
    """A trained model of wafers, from `WaferRecogniser` or `load`; `recognise` changes nothing."""

    net: WaferNet
    novelty: Novelty
    #: Classes in the order of the network's outputs.
    outputs: tuple[str, ...]
    #: The known class of wafers without a pattern, if there is such a class.
    normal: str | None
    #: Cells a side for wafers that are given as points.
    grid: int
    examples: Examples
    #: How the wafers it knows were given, see `inputs.inputs_of`; empty if that is not known.
    inputs: str = ""
    #: Name and version of the artefact it was read from.
    id: str = "unsaved"

    def __post_init__(self) -> None:
        if len(self.outputs) != self.net.config.classes:
            raise ConfigError(f"expected {self.net.config.classes} classes, as the network has, got {self.outputs}")
        if self.normal is not None and self.normal not in self.outputs and not self.net.config.several:
            raise ConfigError(f"expected normal to be one of {self.outputs}, got {self.normal!r}")

    def __repr__(self) -> str:
        """In a line: name, classes, grid."""
        return f"<WaferModel {self.id}: {', '.join(self.classes)}; {self.grid} cells a side>"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names that a wafer may be recognised as, except mixtures: outputs, the normal class, and added patterns."""
        normal = () if self.normal is None else (self.normal,)
        added = self.novelty.patterns[len(self.novelty.patterns) - self.novelty.added :]
        return tuple(dict.fromkeys((*self.outputs, *normal, *added)))

    @property
    def space(self) -> str:
        """Names the embedding: those of models of different spaces are never compared."""
        return self.novelty.space

    @property
    def false_novel_rate(self) -> float:
        """Upper bound on the share of known wafers that the threshold calls novel, by the calibration."""
        above = np.count_nonzero(self.novelty.calibration > self.novelty.threshold)
        return (1 + int(above)) / (1 + len(self.novelty.calibration))

    def with_false_novel_rate(self, rate: float) -> "WaferModel":
        """The same model with its threshold moved.

        Args:
            rate: see `conformal.alarm_threshold`.

        Raises:
            ConfigError: rate out of range, or too few calibration wafers for the rate.
        """
        threshold = alarm_threshold(self.novelty.calibration, rate)
        return replace(self, novelty=replace(self.novelty, threshold=threshold))

    def with_pattern(self, name: str, embeddings: NDArray[np.float64]) -> "WaferModel":
        """The same model with one more known pattern, from wafers that show it; see `Novelty.with_pattern`.

        Args:
            name: not the name of a class, and without `+`.
            embeddings: of at least 3 wafers in this model's space, of shape (wafers, d).

        Raises:
            ConfigError: the name is taken or malformed, or there are too few wafers.
        """
        if name in (*self.classes, *_VERDICTS) or JOIN in name or name != name.strip() or not name:
            taken = ", ".join((*self.classes, *_VERDICTS))
            raise ConfigError(
                f"expected a name without {JOIN!r} or blanks around it, and none of {taken}; got {name!r}"
            )
        return replace(self, novelty=self.novelty.with_pattern(name, embeddings))

    def recognise(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """A verdict on each wafer, in order.

        A wafer is `novel` if its p-value is at most the false-novel rate the model was calibrated for,
        else `normal` or `known` by its most probable class. A wafer without defects is normal by rule.
        Takes one CPU thread: a stream's workers share the cores.

        Args:
            rows: columns of `WAFER_COLUMNS`.

        Returns:
            Columns of `verdicts.VERDICT_COLUMNS`.

        Raises:
            SchemaError: a row is not a wafer event; a stream rejects those with `validate_wafers`.
        """
        failures = validate_wafers(rows)
        if failures:
            row, code, message = failures[0]
            raise SchemaError(f"{len(failures)} bad wafers, the first in row {row}, {code}: {message}")
        points = read_points(rows)
        with torch_threads(1):
            encodings = encode(self.net, points, self.grid)
        known, fits = Known(self.outputs, self.normal or NORMAL), fitting(points, self.inputs)
        return judge(known, self.novelty, encodings, points.defects, points.outside, fits)

    def save(
        self, folder: Path | str, *, metrics: Mapping[str, Any], training: Mapping[str, Any], promote: bool = True
    ) -> Path:
        """Write a new version below `folder`.

        Args:
            folder: `<root>/<name>`.
            metrics: figures on wafers that were not trained on. JSON types.
            training: data, digest, seed and settings. JSON types.
            promote: make it the latest, which running jobs load.

        Returns:
            The version's folder.
        """
        return save_artefact(
            folder,
            kind=KIND,
            tensors=net_tensors(self.net)
            | novelty_tensors(self.novelty)
            | {"examples.embeddings": self.examples.embeddings}
            | smoke_of(self.recognise),
            meta={
                "outputs": list(self.outputs),
                "normal": self.normal,
                "grid": self.grid,
                "inputs": self.inputs,
                "net": asdict(self.net.config),
                "novelty": novelty_meta(self.novelty),
                "examples": {
                    "wafer_ids": list(self.examples.wafer_ids),
                    "patterns": list(self.examples.patterns),
                },
                "metrics": dict(metrics),
                "training": dict(training),
            },
            promote=promote,
        )

    @classmethod
    def load(cls, path: Path | str) -> "WaferModel":
        """Read a version, or the latest of `<root>/<name>`.

        Raises:
            ModelError: see `artefact.load_artefact`; tensors and settings do not fit each other; or its smoke scores
                differ.
        """
        artefact = load_artefact(path, KIND)
        with reading_parts(f"the wafer model {artefact.id} in {path} is incomplete"):
            model = cls._from(artefact)
            check_wafer_smoke(model.recognise, artefact)
        return model

    @classmethod
    def _from(cls, artefact: Artefact) -> "WaferModel":
        tensors, meta = artefact.tensors, artefact.meta
        return cls(
            net=read_net(tensors, meta["net"]),
            novelty=read_novelty(tensors, meta["novelty"]),
            outputs=tuple(meta["outputs"]),
            normal=meta["normal"],
            grid=int(meta["grid"]),
            inputs=stored_inputs(meta),
            examples=Examples(
                tuple(meta["examples"]["wafer_ids"]),
                tuple(meta["examples"]["patterns"]),
                tensors["examples.embeddings"],
            ),
            id=artefact.id,
        )
