"""State of an interrupted training: one safetensors file below the model, resumed only by the same command."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import safetensors.numpy
from safetensors import SafetensorError, safe_open

from sparsewatch.detectors.artefacts.atomic import write_file
from sparsewatch.detectors.sparse_net.checkpoint import Checkpoint

_FOLDER = ".training"


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """The file of one training, named by what it trains on and how."""

    path: Path

    @classmethod
    def of(cls, folder: Path, settings: Mapping[str, Any]) -> Self:
        """The file of a training with these settings (JSON types) whose model goes to `folder`."""
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        return cls(folder / _FOLDER / f"{digest[:16]}.safetensors")

    def read(self) -> Checkpoint | None:
        """Its content; None if the file is missing or was not written whole."""
        try:
            with safe_open(self.path, "numpy") as file:
                meta = json.loads(file.metadata()["training"])
                return Checkpoint({name: file.get_tensor(name) for name in file.keys()}, meta)  # noqa: SIM118
        except (FileNotFoundError, SafetensorError, KeyError, TypeError, ValueError, RecursionError):
            return None

    def write(self, checkpoint: Checkpoint) -> None:
        """Replace it in one step."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_file(self.path, safetensors.numpy.save(checkpoint.tensors, {"training": json.dumps(checkpoint.meta)}))

    def remove(self) -> None:
        """Once the model is written."""
        self.path.unlink(missing_ok=True)
        if self.path.parent.is_dir() and not any(self.path.parent.iterdir()):
            self.path.parent.rmdir()
