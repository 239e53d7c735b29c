"""State of a training, as tensors and settings: a training that was stopped resumes and ends with the same weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparsewatch.detectors.sparse_net.net import WaferNet
from sparsewatch.schemas.errors import ModelError

#: State that AdamW holds for each parameter.
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Training after some epochs."""

    #: Weights now and at the best epoch, and the optimiser's moments.
    tensors: dict[str, NDArray[Any]]
    #: Epoch, best score and its epoch, states of schedule and generator. JSON types.
    meta: dict[str, Any]


@dataclass(slots=True)
class Training:
    """What changes from epoch to epoch."""

    net: WaferNet
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    rng: np.random.Generator
    epoch: int = 0
    best_score: float = -1.0
    best_at: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)

    def keep_if_best(self, score: float) -> None:
        """Take these weights as the best unless earlier weights scored higher."""
        if score >= self.best_score:
            self.best = {name: tensor.clone() for name, tensor in self.net.state_dict().items()}
            self.best_score, self.best_at = score, self.epoch

    def checkpoint(self) -> Checkpoint:
        """The whole state, copied."""
        tensors = {f"net.{n}": _array(t) for n, t in self.net.state_dict().items()}
        tensors |= {f"best.{n}": _array(t) for n, t in self.best.items()}
        for number, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{name}": _array(moments[name]) for name in _MOMENTS}
        meta = {"epoch": self.epoch, "best_score": self.best_score, "best_at": self.best_at}
        rates = [group["lr"] for group in self.optimiser.param_groups]
        moved = {"schedule": self.schedule.state_dict(), "rates": rates, "rng": self.rng.bit_generator.state}
        return Checkpoint(tensors, meta | moved)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Restore the state of a checkpoint; optimiser and schedule must be new, with the same settings.

        Raises:
            ModelError: The checkpoint is of another network.
        """
        try:
            self._resume(checkpoint.tensors, checkpoint.meta)
        except (KeyError, ValueError, RuntimeError, TypeError) as error:
            raise ModelError(f"the checkpoint is not one of this training: {error}") from error

    def _resume(self, tensors: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
        self.net.load_state_dict(_below(tensors, "net."))
        self.best = _below(tensors, "best.")
        state = self.optimiser.state_dict()
        numbers = range(len(state["param_groups"][0]["params"]))
        moments = {n: {m: torch.from_numpy(tensors[f"optimiser.{n}.{m}"].copy()) for m in _MOMENTS} for n in numbers}
        self.optimiser.load_state_dict(state | {"state": moments})
        self.epoch, self.best_score, self.best_at = int(meta["epoch"]), float(meta["best_score"]), int(meta["best_at"])
        self.rng.bit_generator.state = meta["rng"]
        self.schedule.load_state_dict(meta["schedule"])
        for group, rate in zip(self.optimiser.param_groups, meta["rates"], strict=True):
            group["lr"] = rate


def _array(tensor: Tensor) -> NDArray[Any]:
    # A copy: on a CPU the array would change as training goes on.
    return np.array(tensor.detach().cpu().numpy())


def _below(tensors: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): torch.from_numpy(t.copy()) for n, t in tensors.items() if n.startswith(prefix)}
