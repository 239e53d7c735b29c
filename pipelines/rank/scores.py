"""Columns in memory scored by any heuristic: a sample once, or batch after batch as the public `outrank` does.

The tool scores batches of 16,384 rows and takes the median; its rule for the last, smaller batch is the same here, so
that scores which depend on the order of rows agree with the tool's.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from sparsewatch.detectors.counts.number_bins import NO_BINS, NumberBins
from sparsewatch.detectors.outrank.columns.codes import Codes, combine, encode, encode_as_text
from sparsewatch.detectors.outrank.columns.interactions import interaction_name
from sparsewatch.detectors.outrank.columns.pair_schedule import CombinationSchedule
from sparsewatch.detectors.outrank.columns.quantile_bins import code_number
from sparsewatch.detectors.outrank.heuristics import heuristic, score
from sparsewatch.schemas.errors import ConfigError

#: Rows of a batch, and rows that a last batch must exceed where it is not the only one: those of the public tool.
BATCH_ROWS = 16_384
LEAST_BATCH_ROWS = 1_024


class Scored(NamedTuple):
    """A column's score and how many values it has."""

    score: float
    n_values: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Combinations:
    """Which combinations of features are scored."""

    #: Features a combination: 2, 3 or both.
    orders: tuple[int, ...] = ()
    #: At most so many of each order, evenly spread where there are more.
    most: int = 2_048
    #: Combinations named by the user; if any, these alone.
    named: tuple[tuple[str, ...], ...] = ()

    def of(self, features: Sequence[str], number: int = 0) -> Iterator[tuple[str, ...]]:
        """The combinations of round `number`."""
        if self.named:
            yield from self.named
            return
        for order in self.orders:
            if order <= len(features):
                yield from CombinationSchedule(features, order, self.most).names(number)


def combined(columns: Mapping[str, Codes], combinations: Combinations, number: int = 0) -> Iterator[tuple[str, Codes]]:
    """Names and codes of combinations, one at a time.

    Raises:
        ConfigError: If a column has the name of a combination.
    """
    for members in combinations.of(list(columns), number):
        name = interaction_name(members)
        if name in columns:
            raise ConfigError(f"interactions: a column is named {name!r}, as the combination would be; rename it")
        yield name, combine([columns[one] for one in members])


def encode_table(
    rows: pa.RecordBatch, features: Sequence[str], *, bins: NumberBins = NO_BINS, text_order: bool = False
) -> dict[str, Codes]:
    """Columns of a table as codes, those of `bins` by groups of them."""
    number = encode_as_text if text_order else encode
    return {
        name: code_number(rows.column(name), bins.bits) if name in bins.features else number(rows.column(name))
        for name in features
    }


def score_columns(
    name: str,
    columns: Mapping[str, Codes],
    label: Codes,
    combinations: Combinations,
    *,
    reference: Sequence[Codes] = (),
    seed: int = 0,
    number: int = 0,
) -> dict[str, Scored]:
    """Scores by the heuristic `name` of columns and of the combinations of round `number`."""
    both = chain(columns.items(), combined(columns, combinations, number))
    return {
        feature: Scored(score(name, codes, label, reference=reference, seed=seed), codes.n_values)
        for feature, codes in both
    }


class BatchScores:
    """Medians of the scores of batches in the order of their rows; combinations take turns.

    Args:
        name: A heuristic.
        features: Columns to score.
        label: Column of the label.
        combinations: Which combinations to score beside them.
    """

    def __init__(self, name: str, features: Sequence[str], label: str, combinations: Combinations) -> None:
        self._name = name
        self._features = tuple(features)
        self._label = label
        self._combinations = combinations
        self._held: list[pa.RecordBatch] = []
        self._held_rows = 0
        self._batches = 0
        self._scores: dict[str, list[Scored]] = {}

    def add(self, rows: pa.RecordBatch) -> None:
        """Take the next rows: features and label."""
        self._held.append(rows)
        self._held_rows += rows.num_rows
        while self._held_rows >= BATCH_ROWS:
            whole = self._join()
            self._score(whole.slice(0, BATCH_ROWS))
            self._held = [whole.slice(BATCH_ROWS)]
            self._held_rows = whole.num_rows - BATCH_ROWS

    def scores(self) -> dict[str, Scored]:
        """Median of each feature's scores, most values of a batch; empty without rows."""
        if self._held_rows > LEAST_BATCH_ROWS or (self._held_rows and not self._batches):
            self._score(self._join())
        self._held, self._held_rows = [], 0
        return {
            name: Scored(float(np.median([s.score for s in scores])), max(s.n_values for s in scores))
            for name, scores in self._scores.items()
        }

    def _join(self) -> pa.RecordBatch:
        return pa.Table.from_batches(self._held).combine_chunks().to_batches()[0]

    def _score(self, rows: pa.RecordBatch) -> None:
        text_order = heuristic(self._name).text_order or heuristic(self._name).row_order
        columns = encode_table(rows, [*self._features, self._label], text_order=text_order)
        label = columns.pop(self._label)
        for name, value in score_columns(self._name, columns, label, self._combinations, number=self._batches).items():
            self._scores.setdefault(name, []).append(value)
        self._batches += 1
