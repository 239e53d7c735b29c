"""Values of many features over the windows of a stretch, counted for all features at once.

Two values are the same where their features and their hashes are (`sparsewatch.detectors.counts.value_hashes`).
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from sparsewatch.detectors.clicks.coded_values import Coded
from sparsewatch.detectors.clicks.flat_abundances import Expected, FlatAbundances
from sparsewatch.detectors.clicks.outlying import PART
from sparsewatch.detectors.clicks.own_windows import Yes
from sparsewatch.detectors.clicks.tolerances import Abundances, Floats
from sparsewatch.detectors.counts.counts import Counts
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE
from sparsewatch.detectors.counts.window_values import WindowValues

#: Values of a feature whose shares are known, and the share from which on they are.
MOST_FREQUENT, LEAST_SHARE = 64, 0.001
#: Values a window on average up to which one may lead, and share of the rows with a value that it has.
_FEW_VALUES, _LEADS = 3, 0.9


class Frequent(NamedTuple):
    """The values of features that have most rows, feature after feature, most first."""

    #: Where those of each feature begin, and the end of the last; shape (n_features + 1,).
    bounds: Counts
    #: Shape (n,), and their rows in each window, shape (n, n_windows).
    places: Counts
    rows: Floats


class ValuesOver:
    """Values of features over their own windows: all, or those below a limit of the hash that each of these has.

    Tables are of shape (n_features, n_windows); of windows that are not a feature's own they say nothing.

    Args:
        windows: In the order of time.
        features: Of them, numbers in a row.
        own: Which windows are each feature's own, shape (n_features, n_windows).
    """

    def __init__(self, windows: Sequence[WindowValues], features: range, own: Yes) -> None:
        self._own = own
        self._coded = coded = Coded.of(windows, features, own)
        #: The hashes of the values of each feature are below it.
        self.limits = coded.limits
        nulls = np.stack([one.nulls[features.start : features.stop] for one in windows], axis=1)
        #: Rows with a value in each window.
        self.listed = np.array([one.counts.rows for one in windows]) - nulls
        first, last, held = coded.first, coded.last, coded.windows
        half = (own.sum(1) // 2)[coded.feature_of]
        at = coded.place
        #: Rows of values that are in no more windows than may be odd.
        self.rare = self._rows((held <= np.maximum(own.sum(1) // PART, 1)[coded.feature_of])[at])
        #: Rows of values that no window before has, and those that none of the earlier half has.
        self.new = self._rows(first[at] == coded.turn)
        self.late = self._rows((first >= half)[at])
        #: Those of values that live in a few windows in a row, half of all at most.
        span = last - first + 1
        self.passing = self._rows(((span == held) & (span <= half))[at])
        self.all_rows: Counts = np.where(own, self.listed, 0).sum(1)

    @functools.cached_property
    def abundances(self) -> list[Abundances]:
        """How often the values of each feature occur."""
        coded, rows = self._coded, self._coded.rows_of_value
        most = int(rows.max(initial=0)) + 1
        keys, times = np.unique(coded.feature_of * most + rows, return_counts=True)
        ends = np.searchsorted(keys, np.arange(len(self._own) + 1) * most).tolist()
        sizes = keys % most
        return [
            Abundances(sizes[begin:end], times[begin:end], HASH_RANGE / limit, all_rows)
            for begin, end, limit, all_rows in zip(ends, ends[1:], self.limits, self.all_rows.tolist(), strict=False)
        ]

    @functools.cached_property
    def flat_abundances(self) -> FlatAbundances:
        """The same in arrays."""
        return FlatAbundances.of(self.abundances)

    @functools.cached_property
    def expected(self) -> Expected:
        """Values expected of as many rows as each window has."""
        return self.flat_abundances.expected(np.minimum(self.listed, self.all_rows[:, None]))

    @functools.cached_property
    def leading(self) -> Counts:
        """The value that nearly all rows of each window have, the first of equals; -1 where it may not be one.

        A place among the distinct values of all features, shape (n_features, n_windows).
        """
        coded, windows = self._coded, self._own.shape[1]
        few = np.bincount(coded.feature, minlength=len(self._own)) <= _FEW_VALUES * self._own.sum(1)
        some = np.flatnonzero(few[coded.feature])
        cells = coded.feature[some] * windows + coded.window[some]
        order = np.lexsort((-coded.rows[some], cells))
        found, begins = np.unique(cells[order], return_index=True)
        at = some[order[begins]]
        sure = coded.rows[at] >= _LEADS * self.listed.ravel()[found]
        leading = np.full(self._own.size, -1)
        leading[found[sure]] = coded.place[at[sure]]
        return leading.reshape(self._own.shape)

    @functools.cached_property
    def frequent(self) -> Frequent:
        """The values that have most rows."""
        coded, rows = self._coded, self._coded.rows_of_value
        some = np.flatnonzero(rows >= np.maximum(LEAST_SHARE * self.all_rows, 1)[coded.feature_of])
        some = some[np.lexsort((-rows[some], coded.feature_of[some]))]
        bounds = np.searchsorted(coded.feature_of[some], np.arange(len(self._own) + 1))
        some = some[np.arange(some.size) - bounds[coded.feature_of[some]] < MOST_FREQUENT]
        table = np.zeros((some.size, self._own.shape[1]))
        column = np.full(coded.feature_of.size, -1)
        column[some] = np.arange(some.size)
        columns = column[coded.place]
        known = np.flatnonzero(columns >= 0)
        table[columns[known], coded.window[known]] = coded.rows[known]
        return Frequent(np.searchsorted(coded.feature_of[some], np.arange(len(self._own) + 1)), some, table)

    def values(self, feature: int) -> pl.Series:
        """The distinct values of a feature, ascending."""
        first, last = self._coded.bounds[feature : feature + 2].tolist()
        return self._coded.values.between(feature, first, last)

    @functools.cached_property
    def _frequent_values(self) -> Any:
        return self._coded.values.at(self.frequent.places)

    def frequent_values(self, feature: int) -> pl.Series:
        """The values of a feature that have most rows, most first."""
        found: pl.Series = self._frequent_values.between(feature, *self.frequent.bounds[feature : feature + 2].tolist())
        return found

    def leading_values(self, feature: int) -> list[Any]:
        """The value that leads in each own window of a feature that has one in each."""
        places = self.leading[feature, self._own[feature]] - self._coded.bounds[feature]
        return self.values(feature).gather(places).to_list()

    def _rows(self, some: Yes) -> Floats:
        """Rows in each window of some of the values, and of those that these stand for."""
        coded, cells = self._coded, np.flatnonzero(some)
        found = np.bincount(
            coded.feature[cells] * self._own.shape[1] + coded.window[cells],
            coded.rows[cells] * coded.weights[cells],
            self._own.size,
        )
        return found.astype(np.float64).reshape(self._own.shape)
