"""From wafer events to points: validation and reading, vectorised over a batch.

Points are in units of the wafer's radius, from its centre. A failing die of a die map becomes one point at
the die's centre, and its wafer keeps the map's own grid, so each die stays one cell.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sparsewatch.detectors.sparse_net.outside import misplaced_wafers

#: Value of a failing die in a die map; 0 is outside the wafer, 1 a good die.
FAILING = 2


@dataclass(frozen=True, slots=True)
class WaferPoints:
    """Defects of a batch of wafers.

    Wafer i owns the points `offsets[i]` up to `offsets[i + 1]`.
    """

    #: int64 of shape (wafers + 1,).
    offsets: NDArray[np.int64]
    #: float32 of shape (points,), in [-1, 1], radii of the wafer.
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    #: Cells a side of each wafer's own grid, int64 of shape (wafers, 2) as rows, columns; 0 if it has none.
    own_grid: NDArray[np.int64]
    #: Points that lay outside the disc and were left out, int64 of shape (wafers,).
    outside: NDArray[np.int64]

    def __len__(self) -> int:
        """Wafers in the batch."""
        return len(self.offsets) - 1

    @property
    def defects(self) -> NDArray[np.int64]:
        """Points of each wafer, int64 of shape (wafers,)."""
        return np.diff(self.offsets)

    @property
    def wafer(self) -> NDArray[np.int64]:
        """Wafer of each point, int64 of shape (points,), rising."""
        return np.repeat(np.arange(len(self)), self.defects)

    def take(self, wafers: NDArray[np.int64]) -> "WaferPoints":
        """The wafers of these indices, in this order."""
        lengths = self.defects[wafers]
        offsets = offsets_of(lengths)
        shift = np.repeat(self.offsets[wafers] - offsets[:-1], lengths)
        points = np.arange(offsets[-1]) + shift
        return WaferPoints(offsets, self.x[points], self.y[points], self.own_grid[wafers], self.outside[wafers])

    def joined(self, other: "WaferPoints") -> "WaferPoints":
        """These wafers, then the others."""
        return WaferPoints(
            np.concatenate([self.offsets, other.offsets[1:] + self.offsets[-1]]),
            np.concatenate([self.x, other.x]),
            np.concatenate([self.y, other.y]),
            np.concatenate([self.own_grid, other.own_grid]),
            np.concatenate([self.outside, other.outside]),
        )


def offsets_of(lengths: NDArray[np.integer[Any]] | NDArray[np.bool_]) -> NDArray[np.int64]:
    """Where each run begins and the last ends: int64 of shape (runs + 1,).

    >>> offsets_of(np.array([2, 0, 3])).tolist()
    [0, 2, 2, 5]
    """
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def validate_wafers(rows: pa.RecordBatch) -> list[tuple[int, str, str]]:
    """Rows that are not valid wafer events.

    Args:
        rows: columns of `sparsewatch.schemas.wafers.WAFER_COLUMNS`.

    Returns:
        Row index, reason code and message of each bad row, for the first reason that holds; empty when all rows are
        good.
    """
    radius = _numbers(rows["radius_um"], np.nan)
    n_x, n_y = _lengths(rows["x_um"]), _lengths(rows["y_um"])
    n_map, n_rows, n_columns = _lengths(rows["map"]), *_map_shape(rows)
    has_points, has_map = (n_x >= 0) | (n_y >= 0), n_map >= 0
    finite = _all_of(n_x, np.isfinite(_flat(rows["x_um"], np.nan))) & _all_of(
        n_y, np.isfinite(_flat(rows["y_um"], np.nan))
    )
    dies = _flat(rows["map"], -1)
    values = _all_of(n_map, (dies >= 0) & (dies <= FAILING))
    shaped = (n_rows > 0) & (n_columns > 0) & (n_rows * n_columns == n_map)
    checks = (
        ("bad_radius", "a radius_um above 0", np.isfinite(radius) & (radius > 0)),
        ("no_defects_given", "x_um and y_um, or a map", has_points | has_map),
        ("length_mismatch", "as many x_um as y_um", n_x == n_y),
        ("not_finite", "finite coordinates in x_um and y_um", finite),
        ("bad_map_shape", "a map of map_rows * map_columns dies", shaped | ~has_map),
        ("bad_map_value", "a map of 0, 1 and 2 only", values),
        ("no_dies", "dies in the map, 1 or 2", has_points | ~has_map | ~_all_of(n_map, dies == 0)),
    )
    failures = _first_failures(rows, checks)
    if not failures:
        return misplaced_wafers(rows)
    bad = {row for row, _, _ in failures}
    good = [row for row in range(rows.num_rows) if row not in bad]
    found = misplaced_wafers(rows.take(pa.array(good, pa.int64())))
    return sorted([*failures, *((good[at], code, message) for at, code, message in found)])


def read_points(rows: pa.RecordBatch) -> WaferPoints:
    """Points of each wafer; where a wafer has both, the point list counts and not the map.

    Args:
        rows: columns of `WAFER_COLUMNS` that `validate_wafers` finds no fault with.
    """
    listed = _lengths(rows["x_um"]) >= 0
    l_wafer, l_x, l_y, outside = _listed_points(rows)
    m_wafer, m_x, m_y = _failing_dies(rows, listed)
    wafer = np.concatenate([l_wafer, m_wafer])
    x, y = np.concatenate([l_x, m_x]), np.concatenate([l_y, m_y])
    if len(l_wafer) and len(m_wafer):
        order = np.argsort(wafer, kind="stable")
        wafer, x, y = wafer[order], x[order], y[order]
    own_grid = np.stack(_map_shape(rows), axis=1)
    own_grid[listed] = 0
    offsets = offsets_of(np.bincount(wafer, minlength=rows.num_rows))
    return WaferPoints(offsets, x, y, own_grid, outside)


def _listed_points(
    rows: pa.RecordBatch,
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Wafer, x and y of each listed point inside its disc; points outside by wafer."""
    wafer = np.repeat(np.arange(rows.num_rows), np.maximum(_lengths(rows["x_um"]), 0))
    # Points of a sound wafer may lie as far out as they like: the squares may be infinite.
    with np.errstate(over="ignore", divide="ignore"):
        radius = _numbers(rows["radius_um"], np.nan).astype(np.float32)[wafer]
        x = _flat(rows["x_um"], np.nan) / radius
        y = _flat(rows["y_um"], np.nan) / radius
        inside = x * x + y * y <= 1
    if inside.all():
        return wafer, x, y, np.zeros(rows.num_rows, dtype=np.int64)
    outside = np.bincount(wafer[~inside], minlength=rows.num_rows)
    return wafer[inside], x[inside], y[inside], outside


def _failing_dies(
    rows: pa.RecordBatch, listed: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """Wafer, x and y of the centre of each failing die of the wafers that list no points."""
    starts = offsets_of(np.maximum(_lengths(rows["map"]), 0))
    found = np.flatnonzero(_flat(rows["map"], -1) == FAILING)
    wafer = np.searchsorted(starts, found, side="right") - 1
    by_map = ~listed[wafer]
    wafer, found = wafer[by_map], found[by_map]
    n_rows, n_columns = _map_shape(rows)
    row, column = np.divmod(found - starts[wafer], n_columns[wafer])
    x = (2 * column + 1) / n_columns[wafer] - 1
    y = (2 * row + 1) / n_rows[wafer] - 1
    return wafer, x.astype(np.float32), y.astype(np.float32)


def _first_failures(
    rows: pa.RecordBatch, checks: tuple[tuple[str, str, NDArray[np.bool_]], ...]
) -> list[tuple[int, str, str]]:
    """First failed check of each row; `checks` holds code, what was expected, and where it holds."""
    held = np.stack([good for _, _, good in checks])
    failures = []
    for row in np.flatnonzero(~held.all(axis=0)).tolist():
        code, expected, _ = checks[int(np.argmin(held[:, row]))]
        wafer = rows["wafer_id"][row].as_py()
        failures.append((row, code, f"expected {expected}, wafer {wafer!r}: {_seen(rows, row)}"))
    return failures


def _seen(rows: pa.RecordBatch, row: int) -> str:
    """What a bad row holds, in a few words."""
    lengths = {name: int(_lengths(rows[name])[row]) for name in ("x_um", "y_um", "map")}
    listed = [f"{name} {'is null' if n < 0 else f'has {n}'}" for name, n in lengths.items()]
    plain = [f"{name} {rows[name][row]}" for name in ("radius_um", "map_rows", "map_columns")]
    return ", ".join(listed + plain)


def _all_of(lengths: NDArray[np.int64], good: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether all values of each list are good; `lengths` is -1 for a null list."""
    if good.all():
        return np.ones(len(lengths), dtype=np.bool_)
    bad = offsets_of(~good)[offsets_of(np.maximum(lengths, 0))]
    return np.asarray(np.diff(bad) == 0)


def _map_shape(rows: pa.RecordBatch) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return (
        _numbers(rows["map_rows"], 0).astype(np.int64),
        _numbers(rows["map_columns"], 0).astype(np.int64),
    )


def _lengths(column: pa.Array) -> NDArray[np.int64]:
    """Length of each list, -1 for a null list."""
    lengths = pc.fill_null(pc.list_value_length(column), -1)
    return np.asarray(lengths.to_numpy(zero_copy_only=False), dtype=np.int64)


def _flat(column: pa.Array, null: float) -> NDArray[Any]:
    """Values of all lists one after the other, those of null lists left out."""
    return _numbers(column.flatten(), null)


def _numbers(column: pa.Array, null: float) -> NDArray[Any]:
    if column.null_count:
        column = pc.fill_null(column, pa.scalar(null, column.type))
    return np.asarray(column.to_numpy(zero_copy_only=False))
