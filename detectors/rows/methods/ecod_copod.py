"""ECOD and COPOD: how far each feature lies in the tails of the fitted rows, added over the features.

With F(x) and G(x) the shares of rows at or below and at or above x, L = -ln F and R = -ln G, and S = L for a feature
of negative skewness, R for any other:

    ecod    max(sum L, sum R, sum S)              Li et al., IEEE TKDE 35, 2023 (arXiv 2201.00382), algorithm 1
    copod   sum of max(S, (L + R) / 2)            the code of Li et al., COPOD, ICDM 2020 (arXiv 2009.09463), in PyOD

COPOD's own algorithm has ECOD's three sums, so the second is what its authors' code computes. That code adds the rows
to be scored to those fitted, which makes a score depend on the batch. Here a row is joined to the fitted ones alone:
F(x) = (1 + rows at or below) / (1 + rows), which is finite beyond their range.

Both look at one feature at a time: a row that is odd only in how its features go together is missed.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.rows.methods.scorer import Report, Rows, State, Tensors, in_chunks

#: Rows of a tail between two stored values, as a share of the tail outside them.
_GAP = 1 / 256

Form = Literal["ecod", "copod"]
Terms = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TailScorer:
    """Order statistics of every feature; `make bench-row_speed` prints its speed.

    Up to 512 rows all values are stored. Of more rows, values at ranks that grow by 1 / 256 from either end, about
    512 (1 + ln(rows / 512)) of them: L and R are at most 1 / 256 too large, and 1,000,000 rows take 18 kB a feature.
    """

    form: Form
    #: Fitted rows.
    rows: int
    #: Ranks of the stored values among the fitted rows, from 0, int64 of shape (k,).
    ranks: NDArray[np.int64]
    #: Values at these ranks, rising, float32 of shape (d, k).
    values: NDArray[np.float32]
    #: Whether a feature's right tail is the longer tail, bool of shape (d,).
    right: NDArray[np.bool_]

    @property
    def n_features(self) -> int:
        """Width of the rows."""
        return len(self.values)

    def score(self, X: Rows) -> NDArray[np.float32]:
        """The formula above, from 0 to d ln(rows + 1)."""
        return in_chunks(X, (), lambda chunk: self._terms(chunk).sum(axis=1))

    def terms(self, X: Rows) -> NDArray[np.float32]:
        """What each feature adds to the score; for ECOD the terms of the largest of its three sums."""
        return in_chunks(X, (self.n_features,), self._terms)

    def to_state(self) -> State:
        """See `RowScorer`."""
        return {"ranks": self.ranks, "values": self.values, "right": self.right}, {"form": self.form, "rows": self.rows}

    def _terms(self, chunk: Rows) -> Terms:
        left, right = self._tails(chunk)
        skewed = np.where(self.right, right, left)
        return _largest_sum(left, right, skewed) if self.form == "ecod" else np.maximum(skewed, (left + right) / 2)

    def _tails(self, chunk: Rows) -> tuple[Terms, Terms]:
        """L and R of each number, shape (n, d) each."""
        columns = np.ascontiguousarray(chunk.T)
        below, above = _tables(self.ranks, self.rows)
        left, right = np.empty(columns.shape), np.empty(columns.shape)
        for j, (stored, column) in enumerate(zip(self.values, columns, strict=True)):
            left[j] = below[stored.searchsorted(column, side="right")]
            right[j] = above[stored.searchsorted(column, side="left")]
        return np.ascontiguousarray(left.T), np.ascontiguousarray(right.T)


def fit_ecod(X: Rows, seed: int, report: Report | None = None) -> TailScorer:
    """Sort the features; see `sparsewatch.detectors.rows.methods.scorer.Fit`. Nothing is drawn."""
    del seed, report
    return _fit(X, "ecod")


def fit_copod(X: Rows, seed: int, report: Report | None = None) -> TailScorer:
    """Sort the features; see `sparsewatch.detectors.rows.methods.scorer.Fit`. Nothing is drawn."""
    del seed, report
    return _fit(X, "copod")


def read_tails(tensors: Tensors, meta: dict[str, Any]) -> TailScorer:
    """The scorer of `to_state`; raises KeyError, TypeError or ValueError where something is missing or odd."""
    ranks, values, right = (np.asarray(tensors[name]) for name in ("ranks", "values", "right"))
    if meta["form"] not in ("ecod", "copod") or values.shape != (len(right), len(ranks)):
        raise ValueError(f"expected ecod or copod with a value for each rank, got {meta['form']!r}, {values.shape}")
    return TailScorer(form=meta["form"], rows=int(meta["rows"]), ranks=ranks, values=values, right=right)


def stored_ranks(rows: int) -> NDArray[np.int64]:
    """Ranks from 0 of the stored values of so many rows: all in short tails, then at gaps of 1 / 256 of the tail."""
    half = (rows + 1) // 2
    ranks = [0]
    while ranks[-1] < half - 1:
        ranks.append(min(half - 1, ranks[-1] + 1 + int((ranks[-1] + 1) * _GAP)))
    low = np.array(ranks, dtype=np.int64)
    return np.union1d(low, rows - 1 - low)


def _fit(X: Rows, form: Form) -> TailScorer:
    rows, n_features = X.shape
    ranks = stored_ranks(rows)
    values = np.empty((n_features, len(ranks)), dtype=np.float32)
    right = np.empty(n_features, dtype=np.bool_)
    for j in range(n_features):
        column = np.sort(X[:, j])
        values[j] = column[ranks]
        right[j] = _third_moment(column) >= 0
    return TailScorer(form=form, rows=rows, ranks=ranks, values=values, right=right)


def _third_moment(column: NDArray[np.float32]) -> float:
    """Third central moment; not divided by the spread, since only the sign of the skewness is needed."""
    numbers = column.astype(np.float64)
    return float(((numbers - numbers.mean()) ** 3).mean())


def _tables(ranks: NDArray[np.int64], rows: int) -> tuple[Terms, Terms]:
    """L and R by the number of stored values that are at or below, and below, shape (k + 1,) each.

    Between two stored values the smaller of the possible numbers of rows is used.
    """
    at_or_below = np.concatenate([[0], ranks + 1])
    at_or_above = np.concatenate([rows - ranks, [0]])
    return np.log((rows + 1) / (at_or_below + 1)), np.log((rows + 1) / (at_or_above + 1))


def _largest_sum(*candidates: Terms) -> Terms:
    """For each row the terms of the candidate whose sum is largest; the first candidate in case of a tie."""
    stacked = np.stack(candidates)
    best = stacked.sum(axis=2).argmax(axis=0)
    largest: Terms = stacked[best, np.arange(stacked.shape[1])]
    return largest
