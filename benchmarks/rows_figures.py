"""Summaries of the figures of many sets: means, ranks, wins, and whether chance explains a lead."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, wilcoxon

from benchmarks.rows_protocol import Measurement

#: Smaller differences of a set's figures are ties in counting wins.
TIE = 0.0005


@dataclass(frozen=True, slots=True, eq=False)
class Board:
    """A figure of several methods on the sets that all of them have, a mean over seeds."""

    sets: list[str]
    methods: list[str]
    #: Shape (sets, methods); more is better.
    values: NDArray[np.float64]

    def of(self, method: str) -> NDArray[np.float64]:
        """By set."""
        column: NDArray[np.float64] = self.values[:, self.methods.index(method)]
        return column

    def only(self, sets: Iterable[str]) -> "Board":
        """The board of those of `sets` that are in it."""
        wanted = set(sets)
        rows = [i for i, name in enumerate(self.sets) if name in wanted]
        return Board([self.sets[i] for i in rows], self.methods, self.values[rows])

    @property
    def means(self) -> dict[str, float]:
        """Over the sets, the best first."""
        means = dict(zip(self.methods, self.values.mean(axis=0).tolist(), strict=True))
        return dict(sorted(means.items(), key=lambda item: -item[1]))

    @property
    def mean_ranks(self) -> dict[str, float]:
        """Mean over the sets of the rank among the methods; 1 is best, ties share theirs."""
        ranks = rankdata(-self.values, axis=1).mean(axis=0)
        return dict(zip(self.methods, ranks.tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class Comparison:
    """A method beside another, over the sets."""

    wins: int
    losses: int
    ties: int
    mean_difference: float
    #: Of the two-sided Wilcoxon signed-rank test; and after Holm's correction for all comparisons made.
    p: float
    p_corrected: float


def board(measurements: Iterable[Measurement], figure: str) -> Board:
    """The board of a figure, of the sets that every method was measured on, over the seeds that all have there."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    for entry in measurements:
        for row, figures in entry.rows.items():
            if figure in figures:
                found.setdefault(entry.set, {}).setdefault(row, {})[entry.seed] = figures[figure]
    methods = list(dict.fromkeys(row for rows in found.values() for row in rows))
    seeds = {name: _common(rows.values()) for name, rows in found.items() if len(rows) == len(methods)}
    # A set's name sorts as its file's does.
    sets = sorted((name for name, common in seeds.items() if common), key=lambda name: f"{name}.npz")
    values = [[np.mean([found[name][method][seed] for seed in seeds[name]]) for method in methods] for name in sets]
    return Board(sets, methods, np.array(values, dtype=np.float64).reshape(len(sets), len(methods)))


def _common(rows: Iterable[Mapping[int, float]]) -> list[int]:
    """Seeds of all of them."""
    return sorted(set.intersection(*map(set, rows)))


def compare(board: Board, method: str) -> dict[str, Comparison]:
    """A method beside each other method, in the board's order."""
    others = [name for name in board.methods if name != method]
    differences = [board.of(method) - board.of(other) for other in others]
    p_values = [_signed_rank(difference) for difference in differences]
    return {
        other: Comparison(
            int((difference > TIE).sum()),
            int((difference < -TIE).sum()),
            int((np.abs(difference) <= TIE).sum()),
            float(difference.mean()),
            p,
            corrected,
        )
        for other, difference, p, corrected in zip(others, differences, p_values, holm(p_values), strict=True)
    }


def _signed_rank(difference: NDArray[np.float64]) -> float:
    return float(wilcoxon(difference).pvalue) if difference.any() else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number, so that they bound the probability of any false rejection.

    References:
        Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1)
    return [float(p) for p in corrected]
