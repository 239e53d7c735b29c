"""Candidates for the nearest rows by matrix products, for `sparsewatch.detectors.neighbours.search`.

Squared distances of a block of queries from a tile of the reference are one matrix product, which stays in a core's
cache. Of each group of columns only the least counts. The k-th smallest of these bounds the k-th distance, so few
groups can hold a neighbour; their members are computed again. The bound allows for all rounding of the float32
product, so that no neighbour is lost; where rounding is large beside the distances, there are more candidates.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: float32 or float64.
Matrix: TypeAlias = NDArray[np.floating[Any]]
Indices: TypeAlias = NDArray[np.int64]

#: Queries and reference rows of one product; 256 x 2048 floats are 2 MiB, measured as the fastest with 256 x 4096.
BLOCK, _TILE = 256, 2048
#: Most columns of a group, and the fewest groups a neighbour.
_GROUP, _GROUPS_PER_NEIGHBOUR = 16, 8
#: Groups whose least competes for the bound.
_FOLD = 8
#: Floats gathered at once for candidates.
GATHERED = 1 << 20
#: Unit roundoff of float32, and what a product may lose to underflow.
_ROUNDOFF, _UNDERFLOW = 2.0**-24, 1e-37


class NearGroups(NamedTuple):
    """Pairs of query and group, and what decides about the groups' members."""

    #: -2 q, float32 of shape (m, d).
    doubled: NDArray[np.float32]
    #: Greatest product of a neighbour, shape (m,).
    bound: NDArray[np.float32]
    query: Indices
    group: Indices


@dataclass(frozen=True, slots=True, eq=False)
class Products:
    """Candidates by matrix products: r.r - 2 q.r, a squared distance less q.q, with both centred."""

    #: float64 of shape (d,).
    centre: NDArray[np.float64]
    #: Centred rows, float32 of shape (tiles, tile, d), zeros behind the last.
    rows: Tensor
    #: Their squared lengths, shape (tiles, tile), infinite behind the last.
    squares: Tensor
    #: Greatest length of a row.
    longest: float
    #: Columns of a group; group j of a tile has the columns j, j + tile / group, ...: so the least of all groups is
    #: taken by vector instructions.
    group: int

    @classmethod
    def over(cls, rows: Matrix, most: int) -> "Products":
        """Lay rows out for up to `most` neighbours."""
        n, d = rows.shape
        tiles = -(-n // _TILE)
        tile = -(-n // (tiles * _GROUP * _FOLD)) * _GROUP * _FOLD
        centre = rows.mean(axis=0, dtype=np.float64)
        centred = np.zeros((tiles * tile, d), dtype=np.float32)
        np.subtract(rows, centre, out=centred[:n], casting="same_kind")
        squares = np.full(tiles * tile, np.inf)
        squares[:n] = np.square(centred[:n], dtype=np.float64).sum(axis=1)
        group = 1
        while group < _GROUP and tiles * tile // (2 * group) >= _GROUPS_PER_NEIGHBOUR * most:
            group *= 2
        return cls(
            centre=centre,
            rows=torch.from_numpy(centred).view(tiles, tile, d),
            squares=torch.from_numpy(squares.astype(np.float32)).view(tiles, tile),
            longest=float(np.sqrt(squares[:n].max())),
            group=group,
        )

    def near_groups(self, queries: Matrix, k: int) -> NearGroups:
        """The groups that may hold a row as near as the k-th, by query."""
        centred = (queries - self.centre).astype(np.float32)
        doubled = -2 * centred
        least = self._least_of_groups(torch.from_numpy(doubled))
        # k rows are within the k-th least, so the k-th neighbour is. Rounding may have moved both. There are far more
        # groups than k, or as many as columns: the bound is finite, and what fills the last tile is above it.
        bound = (_kth_least(least, k) + 2 * self._rounding(centred)).astype(np.float32)
        near = np.flatnonzero(least.numpy() <= bound[:, None])
        return NearGroups(doubled, bound, *np.divmod(near, least.shape[1]))

    def _least_of_groups(self, doubled: Tensor) -> Tensor:
        """Shape (m, tiles * tile / group)."""
        tiles, tile, _ = self.rows.shape
        width = tile // self.group
        products = torch.empty(len(doubled), tile)
        least = torch.empty(len(doubled), tiles * width)
        for i in range(tiles):
            torch.addmm(self.squares[i], doubled, self.rows[i].T, out=products)
            part = least[:, i * width : (i + 1) * width]
            torch.amin(products.view(-1, self.group, width), 1, out=part)
        return least

    def members(self, groups: NearGroups) -> tuple[Indices, Indices]:
        """Pairs of query and row, by query: the groups' members within the bound."""
        _, tile, d = self.rows.shape
        width = tile // self.group
        first = groups.group // width * tile + groups.group % width
        members = first[:, None] + np.arange(self.group) * width
        rows, squares = self.rows.view(-1, d), self.squares.view(-1).numpy()
        near = np.empty(members.shape, dtype=bool)
        step = max(1, GATHERED // (self.group * d))
        for start in range(0, len(members), step):
            part = slice(start, start + step)
            query = groups.query[part]
            # Faster than NumPy's indexing.
            gathered = rows.index_select(0, torch.from_numpy(members[part].reshape(-1))).view(-1, self.group, d)
            products = np.einsum("pgd,pd->pg", gathered.numpy(), groups.doubled[query])
            near[part] = products + squares[members[part]] <= groups.bound[query, None]
        return np.repeat(groups.query, near.sum(axis=1)), members[near]

    def _rounding(self, centred: NDArray[np.float32]) -> NDArray[np.float64]:
        """How far a product may be from the truth, shape (m,).

        A sum of d products is wrong by d roundoffs of the lengths' product at most, in whatever order it is summed
        (Higham, Accuracy and Stability of Numerical Algorithms, 2002, eq. 3.5); to that come the roundings of the
        centred numbers, of the squared length, of the last sum and of the bound.
        """
        lengths = np.sqrt(np.square(centred, dtype=np.float64).sum(axis=1))
        d = centred.shape[1]
        error = (2 * d + 8) * lengths * self.longest + 6 * (lengths**2 + self.longest**2)
        bound: NDArray[np.float64] = _ROUNDOFF * error + d * _UNDERFLOW
        return bound


def _kth_least(least: Tensor, k: int) -> NDArray[np.float32]:
    """The k-th smallest number of each row, shape (m,), or a little more: of many, the least of each eight compete."""
    if least.shape[1] >= _FOLD * _GROUPS_PER_NEIGHBOUR * k:
        least = least.view(len(least), _FOLD, -1).amin(1)
    kth: NDArray[np.float32] = np.partition(least.numpy(), k - 1, axis=1)[:, k - 1]
    return kth
