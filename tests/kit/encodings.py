"""Made-up encodings of wafers: classes are clusters in the latent, and one cluster is none of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.sparse_net.encode import Encodings

LATENT = 8
CLASSES = 4
#: Channels of the two levels that are read, mean and maximum together.
_LEVELS = (6, 10)
#: Logit for a unit along a class's direction.
_SLOPE = 1.5


def encodings_of(latent: NDArray[np.float64], logits: NDArray[np.floating[Any]] | None = None) -> Encodings:
    """Encodings with this latent (n, d); logits follow its first `CLASSES` columns unless given.

    Levels are fixed linear maps of the latent, bent by a ReLU as the network's are.
    """
    n, d = latent.shape
    rng = np.random.default_rng(77)
    maps = [rng.standard_normal((d, channels)) for channels in _LEVELS]
    counts = np.log1p(20 + 5 * np.abs(latent[:, :1])).astype(np.float32)
    return Encodings(
        latent=latent.astype(np.float32),
        logits=np.asarray(_SLOPE * latent[:, :CLASSES] if logits is None else logits, dtype=np.float32),
        occupied=np.repeat(counts, 3, axis=1),
        statistics=np.zeros((n, 5), dtype=np.float32),
        levels=tuple(np.maximum(latent @ m, 0).astype(np.float32) for m in maps),
        outlier=np.full(n, -np.inf, dtype=np.float32),
    )


def known_wafers(n: int = 400, seed: int = 0, classes: int = CLASSES) -> tuple[Encodings, NDArray[np.int64]]:
    """Wafers of `classes` clusters, each along an axis of its own, and their classes."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(classes, size=n - classes)])
    return encodings_of(5 * np.eye(LATENT)[labels] + rng.standard_normal((n, LATENT))), labels


def novel_wafers(n: int = 100, seed: int = 1) -> Encodings:
    """Wafers of a cluster along an axis that no class has."""
    rng = np.random.default_rng(seed)
    return encodings_of(8 * np.eye(LATENT)[np.full(n, LATENT - 1)] + rng.standard_normal((n, LATENT)))
