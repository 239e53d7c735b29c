"""Smoke scores of a row model: drawn rows, as the encoder would give them, and the scores on them."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.artefacts.artefact import Artefact
from sparsewatch.detectors.artefacts.smoke_scores import check_smoke, smoke_tensors

if TYPE_CHECKING:
    from sparsewatch.detectors.rows.model import RowModel

_ROWS = 32


def smoke_of(model: "RowModel") -> dict[str, NDArray[Any]]:
    """Tensors `smoke.*` for the model's artefact: rows from the centre to far out."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((_ROWS, model.encoder.n_features)) * np.geomspace(0.1, 10, _ROWS)[:, None]
    return smoke_tensors({"rows": rows.astype(np.float32)}, lambda given: _scores(model, given))


def check_row_smoke(model: "RowModel", artefact: Artefact) -> None:
    """Compare what the model says now with what its artefact holds.

    Raises:
        ModelError: See `smoke_scores.check_smoke`.
    """
    check_smoke(artefact, lambda given: _scores(model, given))


def _scores(model: "RowModel", given: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {"score": model.score_matrix(given["rows"])}
