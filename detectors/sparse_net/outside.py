"""Defects outside of their wafer: how many, and what most likely misplaced them.

A wafer most of whose defects lie outside is no clean wafer: its unit, its centre or its size is wrong.
"""

import math

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.schemas.alerts import counted

#: Name of the fault of a wafer of which more than this share lies outside.
OUTSIDE = "outside_wafer"
_MOST = 0.5
#: Name of the fault of a wafer whose defects, at least so many, all lie within this share of its radius.
COLLAPSED = "collapsed_wafer"
_ENOUGH, _POINT = 20, 1 / 500
#: Share of a wafer's defects that its reach covers, so that a few strays do not count.
_REACH = 0.98
#: Defects that fill a disc reach this share of its radius at least, and at most this.
_FILLED, _FITS = 0.9, 1.03
#: Distance of the defects' middle from the centre, in radii, from which on the centre looks wrong.
_OFF_CENTRE = 0.25
#: Diameters of wafers, millimetres.
_DIAMETERS = (100, 125, 150, 200, 300, 450)

Floats = NDArray[np.floating]


def outside_counts(rows: pa.RecordBatch) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Listed defects of each wafer, and how many of them lie outside; int64 of shape (wafers,) each.

    Args:
        rows: Columns of `WAFER_COLUMNS`, whose lists and radii are sound.
    """
    lengths = np.asarray(rows["x_um"].value_lengths().fill_null(0).to_numpy(zero_copy_only=False), dtype=np.int64)
    wafer = np.repeat(np.arange(rows.num_rows), lengths)
    radius = rows["radius_um"].to_numpy(zero_copy_only=False)[wafer]
    # Any radius above 0 is sound here: the squares may be infinite.
    with np.errstate(over="ignore"):
        x, y = (rows[axis].flatten().to_numpy(zero_copy_only=False) / radius for axis in ("x_um", "y_um"))
        beyond = x * x + y * y > 1
    return lengths, np.bincount(wafer[beyond], minlength=rows.num_rows)


def misplaced_wafers(rows: pa.RecordBatch) -> list[tuple[int, str, str]]:
    """Row, fault and message of each wafer of which most defects lie outside, or all of many in one point.

    Args:
        rows: See `outside_counts`.
    """
    listed, outside = outside_counts(rows)
    faults = [
        (row, OUTSIDE, f"expected most defects of wafer {rows['wafer_id'][row].as_py()!r} within it; {text}")
        for row in np.flatnonzero(outside > _MOST * listed).tolist()
        for text in [told(rows, row, int(listed[row]), int(outside[row]))]
    ]
    return sorted([*faults, *_collapsed_wafers(rows, listed)])


def _collapsed_wafers(rows: pa.RecordBatch, listed: NDArray[np.int64]) -> list[tuple[int, str, str]]:
    """Wafers all of whose defects lie in one point: coordinates in millimetres, or in radii."""
    found = []
    for row in np.flatnonzero(listed >= _ENOUGH).tolist():
        radius = float(rows["radius_um"][row].as_py())
        x, y = (np.asarray(rows[axis][row].values) for axis in ("x_um", "y_um"))
        reach = max(np.abs(x).max(), np.abs(y).max())
        if reach < _POINT * radius:
            wafer, number = rows["wafer_id"][row].as_py(), counted(len(x), "defect")
            expected = f"expected defects of wafer {wafer!r} over its radius of {radius / 1e3:g} mm"
            cause = "are coordinates in millimetres or in radii?"
            found.append((row, COLLAPSED, f"{expected}; all {number} lie within {reach:.3g} um of its centre: {cause}"))
    return found


def told(rows: pa.RecordBatch, row: int, listed: int, outside: int) -> str:
    """How many defects of a wafer lie outside, and the likely cause if there is any."""
    radius = float(rows["radius_um"][row].as_py())
    x, y = (np.asarray(rows[axis][row].values, dtype=np.float64) for axis in ("x_um", "y_um"))
    share = f"{outside:,} of {counted(listed, 'defect')} ({outside / listed:.0%})"
    text = f"{share} lie outside its radius of {radius / 1e3:g} mm"
    cause = likely_cause(x, y, radius)
    return f"{text}: {cause}" if cause else text


def likely_cause(x: Floats, y: Floats, radius_um: float) -> str | None:
    """What would bring a wafer's defects inside, None if nothing simple would.

    Args:
        x: Micrometres from the centre, shape (n,).
        y: Likewise.
        radius_um: Of the wafer.

    >>> likely_cause(np.array([9e7, -1.4e8]), np.array([0.0, 1e7]), 150_000.0)
    'they lie 1,000 times too far out, as coordinates in nanometres or a radius in millimetres do'
    """
    reach = _reach(x, y) / radius_um
    for factor, units in ((1e3, "coordinates in nanometres or a radius in millimetres"), (1e6, "a radius in metres")):
        if factor / 20 < reach <= factor * _FITS:
            return f"they lie {factor:,.0f} times too far out, as {units} do"
    middle = [float(np.quantile(axis, 0.01) + np.quantile(axis, 0.99)) / 2 for axis in (x, y)]
    off = math.hypot(*middle) / radius_um
    if len(x) > 2 and off > _OFF_CENTRE and _reach(x - middle[0], y - middle[1]) <= _FITS * radius_um:
        return f"they fit about the point {middle[0] / 1e3:.0f}, {middle[1] / 1e3:.0f} mm: is the centre wrong?"
    for diameter in _DIAMETERS:
        if _FILLED <= reach * radius_um / (diameter * 500) <= _FITS and reach > _FITS:
            return f"they fit a wafer of {diameter} mm, not {2 * radius_um / 1e3:g} mm: is its size wrong?"
    return None


def _reach(x: Floats, y: Floats) -> float:
    """Distance within which nearly all points lie."""
    return float(np.quantile(np.hypot(x, y), _REACH, method="lower")) if len(x) else 0.0
