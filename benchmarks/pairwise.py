"""All pairs of 500 features: how long their redundancy takes, and how that grows with features and rows.

Cardinalities are spread evenly in the logarithm from 2 to 50,000, as in wide click logs; every second feature has a
long tail. The peer is scikit-learn's `mutual_info_score` on pairs drawn at random, times the number of pairs: it
computes plain mutual information, where ours also computes the chance level of every pair.
"""

import numpy as np
from sklearn.metrics import mutual_info_score

from benchmarks.harness import Result, Rounds, interleave, seconds, write_results
from sparsewatch.detectors.outrank.columns.codes import Codes, encode, marginal
from sparsewatch.detectors.outrank.information.expected_pairs import expected_pairs
from sparsewatch.detectors.outrank.pairs.pairwise import pairwise_scores

FEATURES = (125, 250, 500)
ROWS = (25_000, 50_000, 100_000)
CARDINALITY = (2, 50_000)
PEER_PAIRS = 100
ROUNDS = 3


def wide_columns(features: int, rows: int, seed: int) -> dict[str, Codes]:
    """Columns of 2 to 50,000 values, in no order of cardinality; every second column long-tailed."""
    rng = np.random.default_rng(seed)
    values = np.rint(np.geomspace(*CARDINALITY, features)).astype(np.int64)
    columns = {}
    for i, k in enumerate(rng.permutation(values)):
        drawn = np.minimum(rng.zipf(1.2 + 0.5 * rng.random(), rows), k) if i % 2 else rng.integers(0, k, rows)
        columns[f"f{i}"] = encode(drawn)
    return columns


def measure(features: int, rows: int) -> Result:
    """Seconds for all pairs beside the peer's."""
    columns = wide_columns(features, rows, seed=0)
    names, pairs = list(columns), features * (features - 1) // 2
    drawn = np.random.default_rng(1).choice(len(names), (PEER_PAIRS, 2))

    def peer() -> list[float]:
        return [mutual_info_score(columns[names[i]].codes, columns[names[j]].codes) for i, j in drawn]

    ours, theirs = interleave(
        [lambda: seconds(lambda: pairwise_scores(columns)), lambda: seconds(peer) * pairs / PEER_PAIRS], ROUNDS
    )
    matrix = pairwise_scores(columns, measure="mutual_information").matrix
    off = float(np.abs(matrix[drawn[:, 0], drawn[:, 1]] - peer()).max())
    return Result(
        name=f"redundancy_{features}x{rows // 1000}k",
        value=ours.median,
        unit="s",
        peer=f"scikit-learn mutual_info_score, {PEER_PAIRS} pairs extrapolated",
        peer_value=theirs.median,
        ratio=ours.median / theirs.median,
        spread=ours.spread,
        note=f"{pairs} pairs, {1e6 * ours.median / pairs:.0f} µs each; mutual information differs by at most {off:.0e}",
    )


def main() -> None:
    """Measure, print and write."""
    shapes = [(features, ROWS[-1]) for features in FEATURES] + [(FEATURES[-1], rows) for rows in ROWS[:-1]]
    results = [measure(features, rows) for features, rows in shapes]
    counts = [marginal(column) for column in wide_columns(FEATURES[-1], ROWS[-1], seed=0).values()]
    chance = Rounds([seconds(lambda: expected_pairs(counts)) for _ in range(ROUNDS)])
    results.append(
        Result(
            name="chance_level_500x100k",
            value=chance.median,
            unit="s",
            spread=chance.spread,
            note="expected mutual information of all pairs, a part of the redundancy above",
        )
    )
    write_results("pairwise", results)


if __name__ == "__main__":
    main()
