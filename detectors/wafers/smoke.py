"""Smoke scores of a wafer model: a handful of drawn wafers and the numbers of their verdicts."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.artefacts.artefact import Artefact, Score, check_smoke, smoke_tensors
from sparsewatch.detectors.wafers.drawn import PATTERNS, RADIUS_UM, make_wafers
from sparsewatch.schemas.wafers import WAFER_COLUMNS

#: Points of each wafer.
_DEFECTS = 200
_SCORES = ("novelty", "probability")

#: `WaferModel.recognise` of a model: wafers to verdicts.
Recognise = Callable[[pa.RecordBatch], pa.RecordBatch]


def smoke_of(recognise: Recognise) -> dict[str, NDArray[Any]]:
    """Tensors `smoke.*` for a model's artefact: one wafer of each drawn pattern, known to the model or not."""
    rows = make_wafers(tuple(PATTERNS), np.random.default_rng(0), defects=_DEFECTS)
    inputs = {
        "offsets": np.asarray(rows["x_um"].offsets),
        "x_um": np.asarray(rows["x_um"].values),
        "y_um": np.asarray(rows["y_um"].values),
    }
    return smoke_tensors(inputs, _scores(recognise))


def check_wafer_smoke(recognise: Recognise, artefact: Artefact) -> None:
    """Compare the verdicts that a model gives now with those stored in its artefact.

    Args:
        recognise: of the model read from `artefact`, before its threshold or patterns are changed.
        artefact: as it was read.

    Raises:
        ModelError: see `artefact.check_smoke`.
    """
    check_smoke(artefact, _scores(recognise))


def _scores(recognise: Recognise) -> Score:
    def scores(given: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        verdicts = recognise(_rows(given))
        return {name: verdicts[name].to_numpy() for name in _SCORES}

    return scores


def _rows(given: dict[str, NDArray[Any]]) -> pa.RecordBatch:
    """Events of the wafers whose points are given."""
    n = len(given["offsets"]) - 1
    columns = {name: pa.nulls(n, WAFER_COLUMNS.field(name).type) for name in ("map_rows", "map_columns", "map")}
    columns |= {name: pa.repeat("smoke", n) for name in ("wafer_id", "lot", "step", "tool")}
    columns |= {
        axis: pa.ListArray.from_arrays(pa.array(given["offsets"], pa.int32()), pa.array(given[axis], pa.float32()))
        for axis in ("x_um", "y_um")
    }
    columns["radius_um"] = pa.array(np.full(n, RADIUS_UM))
    rows = pa.RecordBatch.from_pydict(columns, schema=WAFER_COLUMNS)
    # Offsets of a damaged artefact lead elsewhere: Arrow would follow them and end the process.
    rows.validate(full=True)
    return rows
