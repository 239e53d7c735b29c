"""Wafers that look novel, stored to be searched for clusters: identity, embedding and a small map of each."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.sparse_net.data import to_sites
from sparsewatch.detectors.sparse_net.points import WaferPoints, read_points
from sparsewatch.schemas.patterns import MAP_SIDE, NovelLooking, Pattern, WaferMap
from sparsewatch.schemas.wafers import MISFIT, WaferResult

_MOST_DEFECTS = 255


def novel_looking(
    rows: pa.RecordBatch, results: Sequence[WaferResult], embeddings: pa.Array, space: str, level: float
) -> list[NovelLooking]:
    """Wafers of a batch whose p-value is at most `level`; those without defects or a verdict are left out.

    Args:
        rows: Columns of `WAFER_COLUMNS`, one row a wafer.
        results: Verdict on each.
        embeddings: A list of float32 for each wafer.
        space: See `WaferModel.space`.
        level: Range is [0, 1].
    """
    judged = [result.defects > 0 and result.verdict != MISFIT for result in results]
    chosen = [i for i, result in enumerate(results) if judged[i] and result.p_value <= level]
    if not chosen:
        return []
    taken = pa.array(chosen)
    maps = wafer_maps(read_points(pa.RecordBatch.from_arrays([c.take(taken) for c in rows.columns], rows.schema.names)))
    return [
        NovelLooking(
            p_value=results[i].p_value,
            id=results[i].id,
            wafer_id=results[i].wafer_id,
            lot=results[i].lot,
            tool=results[i].tool,
            event_time_us=results[i].event_time_us,
            novelty=results[i].novelty,
            nearest=results[i].pattern,
            space=space,
            embedding=np.asarray(embeddings[i].values, dtype="<f4").tobytes(),
            map=small,
        )
        for i, small in zip(chosen, maps, strict=True)
    ]


def embeddings_of(wafers: Sequence[NovelLooking]) -> NDArray[np.float64]:
    """Embeddings of wafers of one space, float64 of shape (n, d)."""
    flat = np.frombuffer(b"".join(wafer.embedding for wafer in wafers), dtype="<f4")
    return flat.reshape(len(wafers), -1).astype(np.float64) if wafers else np.zeros((0, 0))


def wafer_maps(points: WaferPoints) -> list[WaferMap]:
    """A map of each wafer, on the wafer's own grid if that has at most `MAP_SIDE` cells a side."""
    sites = to_sites(replace(points, own_grid=np.minimum(points.own_grid, MAP_SIDE)), MAP_SIDE)
    borders = np.searchsorted(sites.wafer, np.arange(sites.wafers + 1)).tolist()
    cells = (sites.row * sites.shape[sites.wafer, 1] + sites.column).astype("<u2")
    counts = np.minimum(sites.count, _MOST_DEFECTS).astype(np.uint8)
    return [
        WaferMap(rows, columns, cells[first:end].tobytes(), counts[first:end].tobytes())
        for (rows, columns), first, end in zip(sites.shape.tolist(), borders[:-1], borders[1:], strict=True)
    ]


def drawn(small: WaferMap) -> NDArray[np.float32]:
    """A map spread over `MAP_SIDE` x `MAP_SIDE` cells, float32; a coarser map's cell covers several."""
    grid = np.zeros(small.rows * small.columns, dtype=np.float32)
    grid[np.frombuffer(small.cells, dtype="<u2")] = np.frombuffer(small.counts, dtype=np.uint8)
    at = np.arange(MAP_SIDE)
    rows, columns = at * small.rows // MAP_SIDE, at * small.columns // MAP_SIDE
    return grid.reshape(small.rows, small.columns)[np.ix_(rows, columns)]


def total_map(pattern: Pattern) -> NDArray[np.float32]:
    """Defects of all wafers of a pattern by cell, float32 of shape (MAP_SIDE, MAP_SIDE)."""
    return np.frombuffer(pattern.total_map, dtype="<f4").reshape(MAP_SIDE, MAP_SIDE)
