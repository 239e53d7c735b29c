"""What every reader of wafer files gives: wafers as events, their times, and counts to account for them."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.schemas.wafers import WAFER_COLUMNS

#: Time of a wafer whose file states none.
NO_TIME = -1


@dataclass(frozen=True, slots=True)
class Inspections:
    """Some wafers of one file."""

    #: Columns of `WAFER_COLUMNS`.
    rows: pa.RecordBatch
    #: Microseconds since the epoch or `NO_TIME`, int64 of shape (wafers,).
    times_us: NDArray[np.int64]
    #: Defect records read, and how many of them were dropped as duplicates; 0 for die maps.
    listed: int = 0
    collapsed: int = 0
    #: Class of each wafer, where the file says.
    labels: list[str] | None = None
    #: Place in the carrier of each wafer, without leading zeros and empty where unknown; None if no file says.
    slots: list[str] | None = None
    #: What a person should know of how they were read.
    notes: tuple[str, ...] = ()


def wafer_rows(
    identity: dict[str, str],
    radius_um: float,
    *,
    points: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
    die_map: NDArray[np.int8] | None = None,
) -> pa.RecordBatch:
    """One wafer as columns of `WAFER_COLUMNS`.

    Args:
        identity: `wafer_id`, `lot`, `step` and `tool`.
        radius_um: Of the wafer.
        points: x and y from the centre in micrometres, shape (defects,) each.
        die_map: 0 outside, 1 good, 2 failing, shape (rows, columns), the lowest row first.
    """
    columns = {name: pa.array([value]) for name, value in identity.items()} | {"radius_um": pa.array([radius_um])}
    columns |= {field.name: pa.nulls(1, field.type) for field in WAFER_COLUMNS if field.nullable}
    if points is not None:
        columns |= {name: _one_list(values) for name, values in zip(("x_um", "y_um"), points, strict=True)}
    if die_map is not None:
        shape = (pa.array([side], pa.int32()) for side in die_map.shape)
        columns |= dict(zip(("map_rows", "map_columns"), shape, strict=True))
        columns["map"] = _one_list(die_map.reshape(-1))
    return pa.RecordBatch.from_pydict(columns, schema=WAFER_COLUMNS)


def _one_list(values: NDArray[np.float32] | NDArray[np.int8]) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), pa.array(values))
