"""Smoke scores of a row model: drawn rows, as the encoder would give them, and the scores on them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.artefacts.artefact import Artefact
from sparsewatch.detectors.artefacts.smoke_scores import Score, check_smoke, smoke_tensors

_ROWS = 32

#: `RowModel.score_matrix` of a model: encoded rows to scores.
ScoreMatrix = Callable[[NDArray[Any]], NDArray[Any]]


def smoke_of(score: ScoreMatrix, n_features: int) -> dict[str, NDArray[Any]]:
    """Tensors `smoke.*` for a model's artefact: rows from the centre to far out.

    Args:
        score: The model's.
        n_features: Columns of the rows it takes.
    """
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((_ROWS, n_features)) * np.geomspace(0.1, 10, _ROWS)[:, None]
    return smoke_tensors({"rows": rows.astype(np.float32)}, _scores(score))


def check_row_smoke(score: ScoreMatrix, artefact: Artefact) -> None:
    """Compare the scores a model gives now with those its artefact holds.

    Raises:
        ModelError: See `smoke_scores.check_smoke`.
    """
    check_smoke(artefact, _scores(score))


def _scores(score: ScoreMatrix) -> Score:
    return lambda given: {"score": score(given["rows"])}
