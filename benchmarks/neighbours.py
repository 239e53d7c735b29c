"""The exact nearest neighbours of every row among all others: the search under mean shift, kNN and LOF.

Seconds for 64 columns and 10 neighbours on all cores, and how they grow with the rows. The peer is scikit-learn's brute
force at a size that does not take it minutes, and its k-d tree in few columns, on as many threads.
"""

import argparse
import math
from functools import partial
from itertools import pairwise

import numpy as np
from sklearn.neighbors import NearestNeighbors

from benchmarks.harness import Result, Rounds, cost, interleave, rate, seconds, this_machine, write_results
from sparsewatch.detectors.neighbours.products import Matrix
from sparsewatch.detectors.neighbours.search import k_nearest

NEIGHBOURS = 10
COLUMNS, FEW_COLUMNS = 64, 4
GROWTH = (12_500, 25_000, 50_000, 100_000)
PEER_ROWS = 25_000
ROUNDS = 3


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of each figure")
    rounds = parser.parse_args().rounds
    threads = this_machine().cores
    results = [
        *_growth(threads, rounds),
        _beside("self_search_rows_per_s", COLUMNS, "brute", threads, rounds),
        _beside("self_search_few_columns_rows_per_s", FEW_COLUMNS, "kd_tree", threads, rounds),
    ]
    write_results("neighbours", results)


def _growth(threads: int, rounds: int) -> list[Result]:
    X = _rows(GROWTH[-1], COLUMNS)
    taken = interleave([partial(seconds, partial(_search, X[:n], threads)) for n in GROWTH], rounds)
    growth = ["", *(f"rows ^ {_exponent(*pair):.2f}" for pair in pairwise(zip(GROWTH, taken, strict=True)))]
    return [
        cost(f"self_search_{n}_s", of_n, "s", note=f"{COLUMNS} columns, {threads} threads; {grown}".rstrip("; "))
        for n, of_n, grown in zip(GROWTH, taken, growth, strict=True)
    ]


def _exponent(smaller: tuple[int, Rounds], larger: tuple[int, Rounds]) -> float:
    """P where seconds grow as rows to the power p."""
    return math.log(larger[1].median / smaller[1].median) / math.log(larger[0] / smaller[0])


def _beside(name: str, columns: int, algorithm: str, threads: int, rounds: int) -> Result:
    X = _rows(PEER_ROWS, columns)
    calls = [partial(_search, X, threads), partial(_peer_search, X, algorithm, threads)]
    _compare(*(call() for call in calls))
    ours, peer = interleave([partial(_rows_per_second, call) for call in calls], rounds)
    return rate(
        name,
        ours,
        "rows/s",
        peer=f"scikit-learn NearestNeighbors, {algorithm}",
        peer_value=peer,
        note=f"{PEER_ROWS} rows of {columns} columns, {threads} threads",
    )


def _rows_per_second(call: "partial[Matrix]") -> float:
    return PEER_ROWS / seconds(call)


def _search(X: Matrix, threads: int) -> Matrix:
    return k_nearest(X, X, NEIGHBOURS, threads=threads, exclude=np.arange(len(X)))[0]


def _peer_search(X: Matrix, algorithm: str, threads: int) -> Matrix:
    search = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm=algorithm, n_jobs=threads).fit(X)
    # Without rows of its own it leaves each row itself out.
    return np.asarray(search.kneighbors()[0])


def _compare(ours: Matrix, peer: Matrix) -> None:
    """Both must find the same distances, up to the peer's rounding."""
    if not np.allclose(ours, peer, rtol=1e-3, atol=1e-3):
        raise RuntimeError(f"the searches differ by up to {np.abs(ours - peer).max():.3g}")


def _rows(n: int, columns: int) -> Matrix:
    return np.random.default_rng(0).standard_normal((n, columns), dtype=np.float32)


if __name__ == "__main__":
    main()
