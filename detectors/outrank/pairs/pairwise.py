"""Mutual information of every pair of hundreds of features, exactly.

Mutual information is read off sums of k ln k over the contingency table (`pair_tables`), its chance level off counts of
counts (`expected_pairs`). 500 columns of 100,000 rows are 124,750 tables; see `make bench-pairwise`.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.counts.counts import Counts
from sparsewatch.detectors.outrank.columns.codes import Codes, marginal
from sparsewatch.detectors.outrank.information.expected_pairs import expected_pairs
from sparsewatch.detectors.outrank.information.mutual_information import entropy
from sparsewatch.detectors.outrank.pairs.pair_tables import Packed, fill_pairs, leaf, log_products, pack
from sparsewatch.schemas.errors import ConfigError, SchemaError
from sparsewatch.schemas.settings import Count, check_range

Floats = NDArray[np.float64]
Measure = Literal["redundancy", "score", "mutual_information"]
#: Called with the pairs done, and all of them.
Progress = Callable[[int, int], None]

#: Threads that count tables side by side: numpy lets go of the interpreter's lock.
THREADS = 2
#: Nats below which nothing is left to explain.
NOTHING = 1e-9


class PairScores(NamedTuple):
    """A score of each pair of columns."""

    names: tuple[str, ...]
    measure: Measure
    #: Shape (n_columns, n_columns), symmetric, in the order of `names`.
    matrix: Floats


def pairwise_scores(
    columns: Mapping[str, Codes],
    *,
    measure: Measure = "redundancy",
    progress: Progress | None = None,
    threads: int = THREADS,
) -> PairScores:
    """Scores of all pairs of columns, exact and the same with any number of threads.

    `mutual_information` is the plug-in estimate in nats, with entropies on the diagonal. `score` is that less its
    expectation under permutation. `redundancy` is `score` over the most it could be, max(H_a, H_b) less the
    expectation: 1 where each column determines the other, 0 on average for independent ones. The maximum is taken
    because a column that determines another of fewer values is no substitute the other way round, and because the
    distance it gives is a metric but for the correction (Vinh, Epps and Bailey, JMLR 11, 2010, sec. 3 and 5). Two
    columns whose values are nearly all different have redundancy 0: as much is expected by chance.

    Memory: 2 to 8 bytes a cell of the columns, beside them.

    Args:
        columns: Of equally many rows, at least one.
        measure: Which score.
        progress: Called from this thread as pairs are done.
        threads: At least 1.

    Raises:
        ConfigError: If the measure is unknown or there is no thread.
        SchemaError: If there are no columns or rows, or columns of different length.
    """
    if measure not in get_args(Measure):
        raise ConfigError(f"measure: expected one of {list(get_args(Measure))}, got {measure!r}")
    check_range(Count, threads, "threads")
    n_rows = _rows(columns)
    marginals = [marginal(column) for column in columns.values()]
    entropies = np.array([entropy(rows) for rows in marginals])
    shared = _mutual_information(columns, entropies, n_rows, progress, threads)
    if measure != "mutual_information":
        shared = _corrected(shared, marginals, entropies, measure)
    return PairScores(tuple(columns), measure, shared)


def _rows(columns: Mapping[str, Codes]) -> int:
    lengths = {name: column.codes.size for name, column in columns.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise SchemaError(f"expected columns of equally many rows, at least one of each, got {_few(lengths)}")
    return next(iter(lengths.values()))


def _few(lengths: Mapping[str, int]) -> str:
    """One column for each length, so that a message stays short."""
    return str({name: length for length, name in {v: k for k, v in lengths.items()}.items()})


def _mutual_information(
    columns: Mapping[str, Codes], entropies: Floats, n_rows: int, progress: Progress | None, threads: int
) -> Floats:
    sums = np.zeros((len(columns), len(columns)))
    _count(columns, log_products(n_rows), sums, progress, threads)
    # H_ab is ln n less the sum over n.
    shared: Floats = entropies[:, None] + entropies - np.log(n_rows) + sums / n_rows
    np.clip(shared, 0.0, np.minimum(entropies[:, None], entropies), out=shared)
    np.fill_diagonal(shared, entropies)
    return shared


def _count(columns: Mapping[str, Codes], terms: Floats, sums: Floats, progress: Progress | None, threads: int) -> None:
    """Fill the sums of all pairs; those of a column without a repeated value stay 0."""
    leaves = [leaf(column, i) for i, column in enumerate(columns.values())]
    # Of two columns the first is sorted.
    nodes = sorted(pack([node for node in leaves if node.repeated]), key=lambda node: (node.repeated_rows, -node.size))
    total, done = len(columns) * (len(columns) - 1) // 2, 0

    def task(i: int) -> int:
        return _against(nodes[i], nodes[i:], terms, sums)

    with ThreadPoolExecutor(threads) as pool:
        for counted in as_completed([pool.submit(task, i) for i in range(len(nodes))]):
            done += counted.result()
            if progress:
                progress(done, total)
    if progress and done < total:
        progress(total, total)


def _against(first: Packed, others: Iterable[Packed], terms: Floats, sums: Floats) -> int:
    """Fill the pairs of a node with others, itself first; returns the number of pairs."""
    pairs = 0
    for second in others:
        fill_pairs(first, second, terms, sums)
        of_second = len(first.columns) - 1 if second is first else 2 * len(second.columns)
        pairs += len(first.columns) * of_second // 2
    # Its sorted rows are not asked for again.
    first.__dict__.pop("sorted", None)
    return pairs


def _corrected(shared: Floats, marginals: list[Counts], entropies: Floats, measure: Measure) -> Floats:
    expected = expected_pairs(marginals)
    score: Floats = shared - expected
    if measure == "score":
        return score
    room = np.maximum(entropies[:, None], entropies) - expected
    redundancy = np.divide(score, room, out=np.zeros_like(score), where=room > NOTHING)
    np.fill_diagonal(redundancy, 1.0)
    return redundancy
