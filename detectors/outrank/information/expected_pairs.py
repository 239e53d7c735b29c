"""Expected mutual information of all pairs of many columns of the same rows.

With n fixed, a cell's part of the expectation depends on its two marginals only: it is a symmetric function D(a, b),
and n times the expectation of a pair is the sum of D over the marginals of one column and of the other. D is smooth in
the logarithm of a, so it is computed at few counts and interpolated between them: all pairs together then cost one
matrix product. Counts up to `EXACT` are not interpolated; the relative error is below 1e-9.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sparsewatch.detectors.counts.counts import Counts
from sparsewatch.detectors.outrank.information.mutual_information import cell_expectations

Floats = NDArray[np.float64]

#: Counts up to here are nodes themselves.
EXACT = 32
#: Above, so many nodes in each doubling.
NODES = 12


def expected_pairs(marginals: Sequence[Counts]) -> Floats:
    """Mean mutual information of each pair of columns over all permutations of one of them.

    Args:
        marginals: Rows of each value, for each column; all of one sum n > 0.

    Returns:
        Nats, shape (n_columns, n_columns), symmetric; the diagonal holds a column with an independent copy of itself.
    """
    total = int(marginals[0].sum())
    counts, weights = _count_weights(marginals)
    nodes = _nodes(counts, total)
    weights = (weights @ _interpolation(counts, nodes)).toarray()
    first, second = np.tril_indices(nodes.size)
    cells = np.empty((nodes.size, nodes.size))
    cells[first, second] = cells[second, first] = cell_expectations(nodes[first], nodes[second], total)
    expected: Floats = weights @ cells @ weights.T / total
    return (expected + expected.T) / 2


def _count_weights(marginals: Sequence[Counts]) -> tuple[Counts, sparse.csr_array]:
    """Distinct counts of all columns, and how often each column has each of them."""
    own = [np.unique(column[column > 0], return_counts=True) for column in marginals]
    counts = np.unique(np.concatenate([values for values, _ in own]))
    places = np.searchsorted(counts, np.concatenate([values for values, _ in own]))
    ends = np.cumsum([0, *(values.size for values, _ in own)])
    times = np.concatenate([times for _, times in own]).astype(np.float64)
    return counts, sparse.csr_array((times, places, ends), shape=(len(own), counts.size))


def _nodes(counts: Counts, total: int) -> Counts:
    """Counts at which cells are computed: the counts themselves where they are few."""
    low = np.arange(1, EXACT + 1)
    panels = [_panel(start, total) for start in _starts(total) if np.any((counts > start) & (counts <= 2 * start))]
    nodes = np.unique(np.concatenate([low[np.isin(low, counts)], *panels])).astype(np.int64)
    return nodes if nodes.size < counts.size else counts


def _starts(total: int) -> list[int]:
    return [EXACT << i for i in range(max(total - 1, 1).bit_length()) if EXACT << i < total]


def _panel(start: int, total: int) -> Counts:
    """Chebyshev's points, ends included, in the logarithm of the counts from `start` to twice that."""
    end = min(2 * start, total)
    at = (1 - np.cos(np.linspace(0, np.pi, NODES))) / 2
    return np.unique(np.rint(start * (end / start) ** at).astype(np.int64))


def _interpolation(counts: Counts, nodes: Counts) -> sparse.csr_array:
    """Weights that take values at nodes to values at counts: Lagrange's, in the logarithm, panel by panel."""
    weights = sparse.lil_array((counts.size, nodes.size))
    exact = np.isin(counts, nodes)
    weights[np.flatnonzero(exact), np.searchsorted(nodes, counts[exact])] = 1.0
    for start in _starts(int(nodes[-1])):
        wanted = np.flatnonzero(~exact & (counts > start) & (counts <= 2 * start))
        if wanted.size:
            support = np.flatnonzero((nodes >= start) & (nodes <= 2 * start))
            weights[np.ix_(wanted, support)] = _lagrange(np.log(counts[wanted]), np.log(nodes[support]))
    return weights.tocsr()


def _lagrange(at: Floats, nodes: Floats) -> Floats:
    """Barycentric weights (Berrut and Trefethen, SIAM Review 46, 2004, eq. 4.2), shape (n_points, n_nodes)."""
    gaps = nodes[:, None] - nodes
    np.fill_diagonal(gaps, 1.0)
    terms = 1 / (np.prod(gaps, axis=1) * (at[:, None] - nodes))
    weights: Floats = terms / terms.sum(axis=1, keepdims=True)
    return weights
