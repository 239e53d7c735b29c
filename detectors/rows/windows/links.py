"""Which columns of a window no longer go together with the others: swapped, shuffled or renamed ones.

A column whose values are dealt out anew has the same distribution as before, so no check of single columns sees it, and
among many columns no row is odd for it. What is lost is its *link* with the columns that it went together with. Of each
column the few partners are kept with which it has the largest mutual information, both cut at their deciles, and for
each pair of groups how much more often than by chance it came: w = ln p(a, b) / (p(a) p(b)), the pointwise mutual
information (Fano, "Transmission of Information", 1961, chapter 2), shrunk towards 0 where rows are few. The mean of w
over a window's rows, summed over a column's partners, is what its link is worth. It falls in proportion to the share of
rows in which the column's value is another one than belongs there, to `apart` where all are.

The expected mean is that of held-out rows, which the weights have not seen. A window's deviation is compared with its
sampling error, and with what stretches of the training data vary by besides
(`sparsewatch.detectors.rows.windows.blocks`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtr

from sparsewatch.detectors.rows.methods.scorer import Rows
from sparsewatch.detectors.rows.windows.blocks import BlockSpread, Floats, block_size, block_sums, spread_between

#: Partners of a column.
_PARTNERS = 4
#: Rows that partners are sought in, groups of a column there, and columns that are compared with all others at once.
_SOUGHT_ROWS, _SOUGHT_GROUPS, _AT_ONCE = 4_096, 5, 64
#: A pair whose mutual information lies within so many deviations of what chance gives has no link.
_LEAST_Z = 6.0
#: Rows credited to a pair of groups, as many as chance expects there: rare pairs weigh little.
_PRIOR = 5.0
#: Rows of a window, and independent rows that surely tell as much, below which the mean of its rows is far from
#: Gaussian.
_LEAST_ROWS, _LEAST_INDEPENDENT = 100, 200
#: Of a mean of which all rows are alike.
_LEAST_VARIANCE = 1e-12
#: A column is named if it lost at least this part of what the one that lost most did: partners lose their share of it.
_NAMED = 0.6


@dataclass(frozen=True, slots=True, eq=False)
class ColumnLinks:
    """What columns have to do with one another: 1.6 kB a column that has partners."""

    #: Columns with a link, and their partners, -1 for none; of shape (c,) and (c, _PARTNERS).
    columns: NDArray[np.int32]
    partners: NDArray[np.int32]
    #: Weight of each pair of groups, float32 of shape (c, _PARTNERS, groups, groups).
    weights: NDArray[np.float32]
    #: Mean over held-out rows, the mean if values were dealt out anew, and the variance between rows; (3, c).
    figures: NDArray[np.float64]
    #: Held-out rows.
    rows: int
    #: Spread of the mean between stretches of the training data; None where that was not measured.
    blocks: BlockSpread | None = None

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Its arrays by name."""
        blocks = {} if self.blocks is None else self.blocks.to_arrays()
        own = {name: getattr(self, name) for name in ("columns", "partners", "weights", "figures")}
        return own | {"rows": np.array([self.rows])} | {f"blocks.{name}": values for name, values in blocks.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self | None:
        """Inverse of `to_arrays`; None if there are none.

        Raises:
            KeyError: If one is missing.
        """
        if not arrays:
            return None
        own = {name: arrays[name] for name in ("columns", "partners", "weights", "figures")}
        blocks = {name.removeprefix("blocks."): values for name, values in arrays.items() if name.startswith("blocks.")}
        return cls(**own, rows=int(arrays["rows"][0]), blocks=BlockSpread.from_arrays(blocks))


class LostLink(msgspec.Struct, frozen=True, kw_only=True):
    """A column that no longer goes together with its partners."""

    column: str
    partners: tuple[str, ...]
    #: Part of the link that is lost, 1 where values are dealt out anew.
    lost: float
    #: Upper bound on the probability of so large a loss of any column by chance; and by the spread between stretches
    #: of the training data, 0 where that is not known.
    chance: float
    stretch_chance: float

    @property
    def p_value(self) -> float:
        """Upper bound on the probability that chance and the spread between stretches explain it."""
        return max(self.chance, self.stretch_chance)


def groups_of(X: Rows, cuts: NDArray[np.float32]) -> NDArray[np.uint8]:
    """How many cuts of its column each value reaches.

    Args:
        X: Encoded rows, one feature a column, shape (n, d).
        cuts: Rising, shape (d, k).
    """
    reached = np.zeros(X.shape, dtype=np.uint8)
    for cut in cuts.T:
        reached += cut <= X
    return reached


def fit_links(fitted: NDArray[np.uint8], held_out: NDArray[np.uint8], groups: int) -> ColumnLinks | None:
    """The links of columns; None if no two go together.

    Args:
        fitted: Groups of the rows that weights are counted in, shape (n, d), n >= 1.
        held_out: Those of other rows, shape (m, d), m >= 1.
        groups: Their number.
    """
    partners = _partners(fitted, groups)
    columns = np.flatnonzero((partners >= 0).any(axis=1)).astype(np.int32)
    if not len(columns):
        return None
    partners = partners[columns]
    weights = np.zeros((*partners.shape, groups, groups), dtype=np.float32)
    for at, k in np.argwhere(partners >= 0).tolist():
        weights[at, k] = _weights(_table(fitted[:, columns[at]], fitted[:, partners[at, k]], groups))
    bare = ColumnLinks(columns, partners, weights, np.zeros((3, len(columns))), len(held_out))
    worth = link_worth(bare, held_out)
    figures = np.stack([worth.mean(axis=0), _apart(bare, held_out, groups), worth.var(axis=0)])
    # A link that rows of which no weight knows do not show is none.
    sure = figures[0] - figures[1] > _LEAST_Z * np.sqrt(figures[2] / len(held_out))
    return (
        ColumnLinks(columns[sure], partners[sure], weights[sure], figures[:, sure], len(held_out))
        if any(sure)
        else None
    )


def link_worth(links: ColumnLinks, groups: NDArray[np.uint8]) -> Floats:
    """Sum of the weights of each row over a column's partners; groups (n, d) to (n, c)."""
    number = links.weights.shape[-1]
    # A column's groups lie side by side, and a pair of them is one place of its table.
    columns = np.ascontiguousarray(groups.T).astype(np.intp)
    worth = np.zeros((len(links.columns), len(groups)))
    for own, column, partners, weights in zip(worth, links.columns, links.partners, links.weights, strict=True):
        rows = columns[column] * number
        for k in np.flatnonzero(partners >= 0):
            own += weights[k].ravel()[rows + columns[partners[k]]]
    return worth.T


def spread_of_links(links: ColumnLinks, groups: NDArray[np.uint8], rows_each: float) -> BlockSpread | None:
    """How far the means of stretches of the training data vary.

    Args:
        links: Of columns.
        groups: Of all training rows in their own order, shape (n, d).
        rows_each: Rows of the stream that each of them stands for, at least 1.
    """
    sums = block_sums(link_worth(links, groups))
    return spread_between(sums, block_size(len(groups)), rows_each, own=links.figures[2])


def lost_links(
    links: ColumnLinks, groups: NDArray[np.uint8], rows: int, names: Sequence[str], apart_from: Sequence[str]
) -> list[LostLink]:
    """What each column lost of its link, most first; columns that lost none, and those that others explain, left out.

    Args:
        links: Of columns.
        groups: Of a sample of the window's rows, shape (n, d).
        rows: Of the window.
        names: Of the columns.
        apart_from: Columns whose own distribution moved: their links, and those with them, say nothing more.
    """
    if len(groups) < _LEAST_ROWS:
        return []
    worth = link_worth(links, groups)
    mean, apart, _ = links.figures
    lost = (mean - worth.mean(axis=0)) / (mean - apart)
    chance, by_stretch = _chances(links, worth, rows)
    moved = np.isin(np.arange(len(names)), [names.index(name) for name in apart_from])
    touched = moved[links.columns] | (moved[links.partners] & (links.partners >= 0)).any(axis=1)
    most = np.max(lost, where=~touched, initial=0.0)
    return [
        LostLink(
            column=names[links.columns[at]],
            partners=tuple(names[p] for p in links.partners[at] if p >= 0),
            lost=float(lost[at]),
            chance=float(chance[at]),
            stretch_chance=float(by_stretch[at]),
        )
        for at in np.argsort(-lost, kind="stable").tolist()
        if not touched[at] and lost[at] > 0 and lost[at] >= _NAMED * most
    ]


def _chances(links: ColumnLinks, worth: Floats, rows: int) -> tuple[Floats, Floats]:
    """Probability of so low a mean of any column, by chance and by the spread between stretches; (c,) each."""
    mean, _, own = links.figures
    own = np.maximum(own, worth.var(axis=0))
    sampling = np.maximum(own / len(worth) + own / links.rows, _LEAST_VARIANCE)
    seen, tests = worth.mean(axis=0), len(mean)
    chance: Floats = np.minimum(1.0, tests * ndtr((seen - mean) / np.sqrt(sampling)))
    if links.blocks is None:
        return chance, np.zeros(tests)
    surplus = links.blocks.of_span(rows)
    spread, freedom = surplus.spread(sampling)
    expected = np.minimum(mean, surplus.shares)
    by_stretch = stdtr(freedom, np.minimum(seen - expected, 0.0) / spread)
    most = own / rows + surplus.variance + 2 * surplus.error
    told = own >= _LEAST_INDEPENDENT * most
    return chance, np.where(told, np.minimum(1.0, tests * by_stretch), 1.0)


def _partners(groups: NDArray[np.uint8], number: int) -> NDArray[np.int32]:
    """The columns of largest mutual information with each, -1 where chance explains it; shape (d, _PARTNERS)."""
    d = groups.shape[1]
    step = -(-len(groups) // _SOUGHT_ROWS)
    rough = groups[::step].astype(np.int64) * _SOUGHT_GROUPS // number
    n = len(rough)
    # Of k degrees of freedom 2 n I has mean k and variance 2 k.
    k = (_SOUGHT_GROUPS - 1) ** 2
    least = (k + _LEAST_Z * np.sqrt(2 * k)) / (2 * n)
    found = np.full((d, _PARTNERS), -1, dtype=np.int32)
    hot = (rough[:, :, None] == np.arange(_SOUGHT_GROUPS)).reshape(n, -1).astype(np.float32)
    for first in range(0, d, _AT_ONCE):
        own = slice(first * _SOUGHT_GROUPS, (first + _AT_ONCE) * _SOUGHT_GROUPS)
        information = _information((hot[:, own].T @ hot).reshape(-1, _SOUGHT_GROUPS, d, _SOUGHT_GROUPS) / n)
        information[np.arange(len(information)), first + np.arange(len(information))] = 0.0
        order = np.argsort(-information, axis=1, kind="stable")[:, :_PARTNERS]
        told = np.take_along_axis(information, order, axis=1) > least
        found[first : first + len(order), : order.shape[1]] = np.where(told, order, -1)
    return found


def _information(shares: NDArray[np.float32]) -> Floats:
    """Mutual information in nats of the joint shares of pairs, (c, groups, d, groups) to (c, d)."""
    joint = shares.astype(np.float64)
    alone = joint.sum(axis=3, keepdims=True) * joint.sum(axis=1, keepdims=True)
    terms = joint * np.log(np.divide(joint, alone, out=np.ones_like(joint), where=joint > 0))
    information: Floats = terms.sum(axis=(1, 3))
    return information


def _table(one: NDArray[np.uint8], other: NDArray[np.uint8], groups: int) -> Floats:
    """Rows by the groups of two columns, shape (groups, groups)."""
    cells = one.astype(np.int64) * groups + other
    return np.bincount(cells, minlength=groups * groups).reshape(groups, groups).astype(np.float64)


def _weights(table: Floats) -> Floats:
    alone = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / table.sum()
    weights: Floats = np.log((table + _PRIOR) / (alone + _PRIOR))
    return weights


def _apart(links: ColumnLinks, held_out: NDArray[np.uint8], groups: int) -> Floats:
    """Mean of each column's worth if its values were dealt out anew among the rows, shape (c,)."""
    shares = np.stack([(held_out == group).mean(axis=0) for group in range(groups)], axis=1)
    apart = np.zeros(len(links.columns))
    for at, (column, partners) in enumerate(zip(links.columns, links.partners, strict=True)):
        for k in np.flatnonzero(partners >= 0):
            apart[at] += shares[column] @ links.weights[at, k] @ shares[partners[k]]
    return apart
