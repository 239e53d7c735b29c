"""A wafer model's parts as the tensors and settings of an artefact, and back."""

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from sparsewatch.detectors.open_set.gmm import Mixture
from sparsewatch.detectors.open_set.novelty import Novelty
from sparsewatch.detectors.sparse_net.net import NetConfig, WaferNet

_NOVELTY = ("centre", "projection", "within", "calibration", "calibration_embeddings")
_MIXTURE = ("weights", "means", "precision_factors")


@dataclass(frozen=True, slots=True)
class Examples:
    """Some wafers the model was trained on, to show what a pattern looks like; one row each."""

    wafer_ids: tuple[str, ...]
    patterns: tuple[str, ...]
    #: float32 of shape (examples, d), see `open_set.novelty`.
    embeddings: NDArray[np.float32]

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.wafer_ids)


def net_tensors(net: WaferNet) -> dict[str, NDArray[Any]]:
    """The network's weights."""
    return {f"net.{name}": tensor.cpu().numpy() for name, tensor in net.state_dict().items()}


def read_net(tensors: dict[str, NDArray[Any]], sizes: dict[str, Any]) -> WaferNet:
    """The network of `net_tensors`, on a CUDA device if there is any; for errors see `WaferModel.load`."""
    net = WaferNet(msgspec.convert(sizes, NetConfig))
    prefix = "net."
    weights = {n.removeprefix(prefix): torch.from_numpy(t) for n, t in tensors.items() if n.startswith(prefix)}
    net.load_state_dict(weights)
    return net.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def novelty_tensors(novelty: Novelty) -> dict[str, NDArray[Any]]:
    """The novelty detector's arrays."""
    parts = {name: getattr(novelty, name) for name in _NOVELTY}
    parts |= {name: getattr(novelty.mixture, name) for name in _MIXTURE}
    return {f"novelty.{name}": array for name, array in parts.items()}


def novelty_meta(novelty: Novelty) -> dict[str, Any]:
    """The novelty detector's names and numbers, JSON types."""
    return {
        "patterns": list(novelty.patterns),
        "added": novelty.added,
        "doubt": novelty.doubt,
        "threshold": novelty.threshold,
    }


def read_novelty(tensors: dict[str, NDArray[Any]], meta: dict[str, Any]) -> Novelty:
    """The detector of `novelty_tensors` and `novelty_meta`."""
    return Novelty(
        **{name: tensors[f"novelty.{name}"] for name in _NOVELTY},
        mixture=Mixture(*(tensors[f"novelty.{name}"] for name in _MIXTURE)),
        patterns=tuple(meta["patterns"]),
        added=int(meta["added"]),
        doubt=float(meta["doubt"]),
        threshold=float(meta["threshold"]),
    )
