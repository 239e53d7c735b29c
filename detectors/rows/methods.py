"""The one list of methods that score rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from detectors.apre.scorer import fit_apre, read_apre
from detectors.rows.scorer import Fit, RowScorer, Tensors


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A way to score rows."""

    #: One line for a user who has to choose.
    summary: str
    #: How numbers are best scaled for it, see `encode.EncoderConfig.scaling`.
    scaling: Literal["plain", "robust"]
    fit: Fit
    #: Tensors and JSON of `RowScorer.to_state` to the scorer; raises KeyError, TypeError, ValueError or RuntimeError
    #: where something is missing or odd.
    read: Callable[[Tensors, dict[str, Any]], RowScorer]


METHODS: dict[str, Method] = {
    "apre": Method(
        summary="probabilistic autoencoder, weighted negative log-likelihood",
        scaling="plain",
        fit=fit_apre,
        read=read_apre,
    ),
}

#: What is taken unless a user says otherwise.
DEFAULT = "apre"
