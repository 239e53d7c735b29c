"""How wafers are given, as lists of defects or as maps of dies, and whether a model knows such wafers.

A failing die is a point at the centre of its cell, so wafers of one kind lie where a model of the other kind has seen
none: it would call them all novel.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.sparse_net.points import WaferPoints

LISTS, MAPS = "lists", "maps"
#: Default of cells a side for wafers that are given as points: 18 um a cell on 300 mm.
GRID = 16_384


def inputs_of(points: WaferPoints) -> str:
    """`LISTS` or `MAPS`, joined by `+` if both are there; empty if no wafer has a defect."""
    mapped = points.own_grid[points.defects > 0, 0] > 0
    return "+".join(name for name, there in ((LISTS, ~mapped), (MAPS, mapped)) if there.any())


def fitting(points: WaferPoints, inputs: str) -> NDArray[np.bool_]:
    """Which wafers are given as `inputs` says: bool of shape (wafers,); all, if it says both or nothing."""
    mapped = points.own_grid[:, 0] > 0
    return {LISTS: ~mapped, MAPS: mapped}.get(inputs, np.ones(len(mapped), dtype=np.bool_))


def stored_inputs(meta: Mapping[str, Any]) -> str:
    """How the wafers were given that a stored model knows; earlier releases stored only the grid that followed."""
    asked = meta.get("training", {}).get("config", {}).get("grid")
    inferred = "" if asked != 0 else LISTS if meta["grid"] == GRID else MAPS
    return str(meta.get("inputs", inferred))
