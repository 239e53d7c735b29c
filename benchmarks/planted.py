"""Planted signals among noise, after the public tool's own benchmarks: a needle, a sum of two, a sum of three.

100 features of integers from 10 to 99 hold the signal; to them come 300 % more without information, of 2 values to
nearly as many as rows. The labels have many values: the needle's feature itself, or the sum of two or three of them, in
each case with values below 20 set to 0. Sums show little in single features and all in the right combination.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Result, seconds
from sparsewatch.detectors.outrank.columns.codes import Codes, combine, encode
from sparsewatch.detectors.outrank.ranking import RankedFeature, rank_codes

FEATURES = 100
#: Extra features, as a multiple of these.
NOISE = 3
ROWS = 10_000
#: Combinations coded at a time.
_CHUNK = 2_000
#: Best single features of which triples are made: all triples of 400 features are ten million.
_BEST = 30
_BELOW = 20

Columns = dict[str, Codes]
Table = NDArray[np.int64]


def bench_planted() -> Iterator[Result]:
    """Ranks of what was planted: 1 is best."""
    table = signal_table(seed=9)
    columns = noisy_columns(table, seed=10)
    yield from needle(table, columns)
    yield from second_order(table, columns)
    yield from third_order(table, columns)


def signal_table(seed: int) -> Table:
    """Shape (FEATURES, ROWS), each in [10, 100)."""
    return np.random.default_rng(seed).integers(10, 100, (FEATURES, ROWS))


def noisy_columns(table: Table, seed: int) -> Columns:
    """The features and those without information, every second of the latter with a long tail."""
    rng = np.random.default_rng(seed)
    columns = {f"f{i}": encode(values) for i, values in enumerate(table)}
    for i, values in enumerate(np.rint(np.geomspace(2, 10 * ROWS, NOISE * FEATURES)).astype(np.int64)):
        drawn = rng.zipf(1.3, ROWS) % values if i % 2 else rng.integers(0, values, ROWS)
        columns[f"noise{i}"] = encode(drawn)
    return columns


def needle(table: Table, columns: Columns) -> Iterator[Result]:
    """The label is f30; f31 is 19 times f30, with the same information."""
    columns = {**columns, "f31": encode(19 * table[30])}
    yield _placed("needle", rank_codes(columns, label(table[30])), ["f30", "f31"])


def second_order(table: Table, columns: Columns) -> Iterator[Result]:
    """The label is f30 + f50, sought among all features and then among all pairs of them."""
    target = label(table[30] + table[50])
    yield _placed("second_order_single", rank_codes(columns, target), ["f30", "f50"])
    yield from _combined("second_order_pair", columns, 2, target, "f30 AND f50")


def third_order(table: Table, columns: Columns) -> Iterator[Result]:
    """The label is f20 + f30 + f50, sought among all features and then among triples of the best."""
    target = label(table[20] + table[30] + table[50])
    ranking = rank_codes(columns, target)
    yield _placed("third_order_single", ranking, ["f20", "f30", "f50"])
    names = {found.feature for found in ranking[:_BEST]}
    best = {name: column for name, column in columns.items() if name in names}
    yield from _combined("third_order_triple", best, 3, target, "f20 AND f30 AND f50")


def label(values: Table) -> Codes:
    """Values below 20 become 0."""
    return encode(np.where(values < _BELOW, 0, values))


def rank_combinations(columns: Mapping[str, Codes], order: int, target: Codes) -> list[RankedFeature]:
    """All combinations of a number of columns, best first."""
    names = combinations(columns, order)
    found: list[RankedFeature] = []
    while chunk := list(islice(names, _CHUNK)):
        combined = {" AND ".join(chosen): combine([columns[name] for name in chosen]) for chosen in chunk}
        found += rank_codes(combined, target)
    return sorted(found, key=lambda each: (-each.score, each.feature))


def _combined(name: str, columns: Columns, order: int, target: Codes, planted: str) -> Iterator[Result]:
    ranking: list[RankedFeature] = []
    taken = seconds(lambda: ranking.extend(rank_combinations(columns, order, target)))
    yield _placed(name, ranking, [planted])
    yield Result(
        name=f"planted_{name}_seconds", value=taken, unit="s", note=f"{len(ranking):,} combinations, {ROWS:,} rows."
    )


def _placed(name: str, ranking: Sequence[RankedFeature], planted: Sequence[str]) -> Result:
    """Ranks of the planted signals: the worst, which is at best their number."""
    places = {found.feature: place for place, found in enumerate(ranking, start=1)}
    worst = max(places[feature] for feature in planted)
    last, following = (ranking[i] for i in (worst - 1, worst))
    return Result(
        name=f"planted_{name}",
        value=worst,
        unit=f"worst rank of {len(planted)} planted",
        target=len(planted),
        met=worst == len(planted),
        note=f"{', '.join(planted)} among {len(ranking):,}; score {last.score:.4f} nats, that of the next "
        f"({following.feature}) {following.score:.4f}, noise {following.noise:.4f}.",
    )
