"""Features by the number of their own windows: what is computed of one is computed of all of them at once.

A feature lacks those windows of a stretch in which something was wrong with it. Figures of many features are tables of
shape (n_features, n_windows), and which windows are a feature's own says a table of yes and no. Features with equally
many of them form tables without gaps.
"""

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.counts.counts import Counts

_Number = TypeVar("_Number", np.float64, np.int64)
Yes = NDArray[np.bool_]


class Alike(NamedTuple):
    """Features with equally many windows of their own."""

    #: Numbers of the features, shape (n,).
    features: Counts
    #: Places of their windows, ascending along the first axis, shape (n_own, n).
    windows: Counts

    def of(self, table: NDArray[_Number]) -> NDArray[_Number]:
        """The figures of their own windows, of a table of shape (n_features, n_windows); shape (n_own, n)."""
        own: NDArray[_Number] = table[self.features, self.windows]
        return own

    def of_known(self, table: Counts | None) -> Counts | None:
        """The same of a table that may not be known."""
        return None if table is None else self.of(table)

    def marked(self, yes: Yes, table: Yes) -> None:
        """Mark some of their windows, shape (n_own, n), in a table of shape (n_features, n_windows)."""
        at, features = np.nonzero(yes)
        table[self.features[features], self.windows[at, features]] = True


def alike(own: Yes, least: int = 1) -> Iterator[Alike]:
    """Features by the number of their windows.

    Args:
        own: Which windows are each feature's own, shape (n_features, n_windows).
        least: Features with fewer are left out.
    """
    numbers = own.sum(1)
    for number in np.unique(numbers[numbers >= least]).tolist():
        features = np.flatnonzero(numbers == number)
        yield Alike(features, np.nonzero(own[features])[1].reshape(-1, number).T)
