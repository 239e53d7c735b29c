"""Rows of files, scored by a row model piece by piece; the worst are held for the report."""

import heapq
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sparsewatch.detectors.conformal import P_VALUE_BINS, p_value_bins
from sparsewatch.detectors.rows.encoding.columns import CategoricalColumn
from sparsewatch.detectors.rows.model import RowModel, to_blame
from sparsewatch.detectors.rows.windows.shadow import distance_from_uniform
from sparsewatch.pipelines.tables.table import Table

#: Columns tried and named for each of the worst rows.
_BLAMED = 3


@dataclass(frozen=True, slots=True, order=True)
class WorstRow:
    """A row with a high score."""

    score: float
    #: Place among all rows read, by which equal scores are told apart.
    place: int
    file: str = field(compare=False)
    #: Row of its file, from 1.
    row: int = field(compare=False)
    p_value: float = field(compare=False)
    identity: dict[str, Any] = field(compare=False)
    #: Columns that make it odd, and by how much the score falls without each.
    columns: dict[str, float] = field(compare=False)


class ScoredRows:
    """Scores rows and sums up.

    Args:
        model: The model.
        identity: Columns that name a row, taken over.
        alarm_rate: Share of ordinary rows above the threshold.
        worst: Rows that are held, those of the highest scores.

    Raises:
        ConfigError: If the model's calibration is too small for the rate.
    """

    def __init__(self, model: RowModel, identity: tuple[str, ...], alarm_rate: float, worst: int) -> None:
        self._model = model
        self._identity = identity
        self._threshold = model.threshold(alarm_rate)
        self._most = worst
        self._worst: list[WorstRow] = []
        self._bins = np.zeros(P_VALUE_BINS, dtype=np.int64)
        self.rows = 0
        self.above = 0

    def schema(self, table: pa.Schema) -> pa.Schema:
        """Of the scored rows."""
        return pa.schema(
            [
                pa.field("file", pa.string()),
                pa.field("row", pa.int64()),
                *(table.field(name) for name in self._identity),
                pa.field("score", pa.float32()),
                pa.field("p_value", pa.float64()),
                pa.field("outlier", pa.bool_()),
            ]
        )

    def scored(self, table: Table, schema: pa.Schema, on_rows: Any) -> Iterator[pa.RecordBatch]:
        """The rows of all files with their scores, in order.

        Args:
            table: Has the model's columns and those that name a row.
            schema: As from `schema`.
            on_rows: Called with the number of rows of each piece.
        """
        for part in table.parts:
            first = 1
            for piece in table.pieces_of(part):
                yield self._score(piece, part.path, first, schema)
                first += piece.num_rows
                on_rows(piece.num_rows)

    def _score(self, piece: pa.RecordBatch, path: Path, first: int, schema: pa.Schema) -> pa.RecordBatch:
        X = self._model.encoder.transform(piece)
        scores = self._model.score_matrix(X)
        p_values = self._model.p_values(scores)
        above = scores > self._threshold
        self._bins += np.bincount(p_value_bins(p_values), minlength=P_VALUE_BINS)
        self._hold(piece, X, scores, p_values, path.name, first)
        self.rows += piece.num_rows
        self.above += int(above.sum())
        rows = np.arange(first, first + piece.num_rows)
        named = [piece.column(name) for name in self._identity]
        files = pa.array(itertools.repeat(path.name, piece.num_rows), pa.string())
        columns = [files, pa.array(rows), *named, pa.array(scores), pa.array(p_values), pa.array(above)]
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    def _hold(
        self, piece: pa.RecordBatch, X: np.ndarray, scores: np.ndarray, p_values: np.ndarray, file: str, first: int
    ) -> None:
        least = self._worst[0].score if len(self._worst) >= self._most else -np.inf
        at = np.argsort(-scores, kind="stable")[: self._most]
        at = at[scores[at] > least]
        if not len(at):
            return
        tried, falls = self._model.blame_matrix(X[at], _BLAMED)
        blamed = to_blame(falls)
        for place, row in enumerate(at.tolist()):
            found = WorstRow(
                score=float(scores[row]),
                place=-(self.rows + row),
                file=file,
                row=first + row,
                p_value=float(p_values[row]),
                identity={name: piece.column(name)[row].as_py() for name in self._identity},
                columns=self._named(tried[place][blamed[place]], falls[place][blamed[place]]),
            )
            (heapq.heappushpop if len(self._worst) >= self._most else heapq.heappush)(self._worst, found)

    def _named(self, columns: np.ndarray, falls: np.ndarray) -> dict[str, float]:
        names = self._model.encoder.names
        return {names[column]: float(fall) for column, fall in zip(columns.tolist(), falls.tolist(), strict=True)}

    @property
    def worst(self) -> list[WorstRow]:
        """The rows of the highest scores, highest first; the first of equals first."""
        return sorted(self._worst, reverse=True)

    @property
    def from_uniform(self) -> float:
        """Kolmogorov's distance of the p-values from those of rows like the training data, in [0, 1]."""
        return distance_from_uniform(self._bins)


def types_of(model: RowModel) -> dict[str, pa.DataType]:
    """Types in which a file's columns are read for a model: numbers, or as its categories are."""
    return {
        column.name: column.categories.type if isinstance(column, CategoricalColumn) else pa.float64()
        for column in model.encoder.columns
    }


def drain(batches: Iterable[pa.RecordBatch]) -> None:
    """Read all, hold nothing."""
    for _ in batches:
        pass
