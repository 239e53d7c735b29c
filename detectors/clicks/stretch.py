"""The windows a reference is fitted to, and the values of one feature in them."""

import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.clicks.outlying import PART
from sparsewatch.detectors.clicks.profile import WindowProfile
from sparsewatch.detectors.clicks.rhythm import Figures
from sparsewatch.detectors.clicks.tolerances import Abundances, Expected, Floats
from sparsewatch.detectors.counts.counts import Counts
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE
from sparsewatch.detectors.counts.value_order import ascending
from sparsewatch.detectors.counts.window_values import WindowValues

#: Values of a feature whose shares are known, and the share from which on they are.
MOST_FREQUENT, LEAST_SHARE = 64, 0.001
#: Values a window on average up to which one may lead, and share of the rows with a value that it has.
_FEW_VALUES, _LEADS = 3, 0.9


@dataclass(frozen=True, slots=True)
class Stretch:
    """Windows with rows, in the order of time."""

    windows: Sequence[WindowValues]
    profiles: Sequence[WindowProfile]
    #: Start of each window, microseconds since the epoch; None if they are not known.
    starts_us: Sequence[int] | None = None

    def without(self, places: Collection[int]) -> "Stretch":
        """The windows at all other places."""
        if not places:
            return self
        return self.at([place for place in range(len(self.windows)) if place not in places])

    def at(self, places: Sequence[int]) -> "Stretch":
        """The windows at these places."""
        return Stretch(
            [self.windows[place] for place in places],
            [self.profiles[place] for place in places],
            None if self.starts_us is None else [self.starts_us[place] for place in places],
        )

    def figures(self, values: Sequence[float], *, share: bool) -> Figures | None:
        """A figure of each window with its time; None if that is not known."""
        if self.starts_us is None:
            return None
        rows = [profile.rows for profile in self.profiles]
        return Figures(np.asarray(values, float), np.asarray(rows, float), np.asarray(self.starts_us, np.int64), share)


class StretchValues:
    """Values of one feature over all windows: all, or those below a limit of the hash that every window has."""

    def __init__(self, windows: Sequence[WindowValues], feature: str) -> None:
        self.windows = [window.counts for window in windows]
        self.limit = min(window.hash_limit(feature) for window in windows)
        found = _Values.of(windows, feature, self.limit)
        self.values = pl.Series("value", found.distinct)
        #: Rows with a value in each window, those whose value is in no other window, and those whose value is in no
        #: more windows than may be odd.
        self.listed = np.array([window.rows - window.nulls(feature) for window in self.windows])
        self.alone = found.rows_by_window(found.windows[found.places] <= 1)
        most = len(windows) // PART
        self.rare = self.alone if most <= 1 else found.rows_by_window(found.windows[found.places] <= most)
        #: Rows in each window of values that no window before it has.
        first = found.first[found.places]
        self.new = found.rows_by_window(first == found.window)
        #: Those of values that no window of the earlier half has.
        self.late = found.rows_by_window(first >= len(windows) // 2)
        #: Those of values that live in a few windows in a row, half of all at most.
        self.passing = found.rows_by_window(found.passing(len(windows) // 2)[found.places])
        #: Places in `values` of each window's most frequent value; None where windows have several, or one none.
        self.leading = found.leading(self.listed)
        self.abundances = Abundances.of(
            found.rows_of_value, scale=HASH_RANGE / self.limit, all_rows=int(self.listed.sum())
        )
        #: The values with most rows, most first, and their rows in each window, shape (n_windows, n).
        frequent = found.frequent(LEAST_SHARE * self.abundances.rows)
        self.frequent = pl.Series("value", found.distinct.take(pa.array(frequent)))
        self.frequent_rows = found.table(frequent)

    @functools.cached_property
    def expected(self) -> Expected:
        """Values expected of as many rows as each window has."""
        return self.abundances.expected_of(self.listed)

    def distinct_ratios(self, cardinalities: Sequence[int]) -> Floats:
        """Distinct values of windows, divided by those expected of as many rows; 1 of those without a value."""
        expected = self.expected.distinct
        return np.divide(cardinalities, expected, out=np.ones(expected.size), where=self.listed > 0)


class _Values(NamedTuple):
    """Values of all windows, window after window, each once a window."""

    #: The distinct ones, ascending: an Arrow array, shape (n_distinct,).
    distinct: Any
    #: Of each value its place among the distinct ones, its window, its rows and how many values it stands for.
    places: Counts
    window: Counts
    rows: Counts
    weights: Floats
    n_windows: int

    @classmethod
    def of(cls, windows: Sequence[WindowValues], feature: str, limit: int) -> Self:
        """Of each window, those below a limit of the hash."""
        parts = [window.part(feature) for window in windows]
        encoded = _joined([part.values for part in parts]).dictionary_encode()
        order, codes = ascending(encoded.dictionary), encoded.indices.to_numpy()
        window = np.repeat(np.arange(len(windows)), [part.rows.size for part in parts])
        rows = np.concatenate([part.rows for part in parts])
        if limit < HASH_RANGE:
            some = np.concatenate([window.hashes(feature) for window in windows]) < np.uint64(limit)
            codes, window, rows = codes[some], window[some], rows[some]
            order = order[np.bincount(codes, minlength=order.size)[order] > 0]
        place = np.empty(len(encoded.dictionary), np.int64)
        place[order] = np.arange(order.size)
        return cls(
            encoded.dictionary.take(pa.array(order)),
            place[codes],
            window,
            rows,
            np.concatenate([window.weights(feature, limit) for window in windows]),
            len(windows),
        )

    @property
    def rows_of_value(self) -> Counts:
        """Of each distinct value."""
        return np.bincount(self.places, self.rows, len(self.distinct)).astype(np.int64)

    @property
    def windows(self) -> Counts:
        """With each distinct value."""
        return np.bincount(self.places, minlength=len(self.distinct))

    @property
    def first(self) -> Counts:
        """Window of each distinct value that has it first."""
        first = np.empty(len(self.distinct), np.int64)
        # Of several numbers for a place the last one stays.
        first[self.places[::-1]] = self.window[::-1]
        return first

    def passing(self, most: int) -> NDArray[np.bool_]:
        """Whether all windows with a distinct value follow one another, so many at most."""
        last = np.empty(len(self.distinct), np.int64)
        last[self.places] = self.window
        span = last - self.first + 1
        passing: NDArray[np.bool_] = (span == self.windows) & (span <= most)
        return passing

    def leading(self, listed: Counts) -> Counts | None:
        """Places of the values that nearly all rows of each window have, the first of equals; None if some lack it."""
        if self.places.size > _FEW_VALUES * self.n_windows:
            return None
        order = np.lexsort((-self.rows, self.window))
        windows, first = np.unique(self.window[order], return_index=True)
        at = order[first]
        if windows.size < self.n_windows or (self.rows[at] < _LEADS * listed).any():
            return None
        return self.places[at]

    def rows_by_window(self, some: NDArray[np.bool_]) -> Floats:
        """Rows in each window of some of the values, and of those that these stand for."""
        found = np.bincount(self.window[some], self.rows[some] * self.weights[some], minlength=self.n_windows)
        return found.astype(np.float64)

    def frequent(self, least_rows: float) -> Counts:
        """Places of the values with most rows, at least so many, most first."""
        rows = self.rows_of_value
        frequent = np.flatnonzero(rows >= max(least_rows, 1))
        return frequent[np.argsort(-rows[frequent], kind="stable")[:MOST_FREQUENT]]

    def table(self, places: Counts) -> Floats:
        """Rows of some distinct values in each window, shape (n_windows, n)."""
        column = np.full(len(self.distinct), -1)
        column[places] = np.arange(places.size)
        columns = column[self.places]
        some = columns >= 0
        by_window = np.zeros((self.n_windows, places.size))
        by_window[self.window[some], columns[some]] = self.rows[some]
        return by_window


def _joined(arrays: Sequence[Any]) -> Any:
    """Arrays of one type, but for those of no values, as one."""
    kind = next((array.type for array in arrays if not pa.types.is_null(array.type)), pa.null())
    return pa.concat_arrays([array if array.type == kind else array.cast(kind) for array in arrays])
