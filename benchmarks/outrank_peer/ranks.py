"""Ranks of real features beside the public kernel's: ours once, its own as the median over random row orders.

Both get the same integer codes of all rows. Compared are the features whose score stands out of chance: the others'
order is noise on both sides. The public score depends on the order of rows, so that even medians of 20 orders rank
differently from one another; that difference is measured too, and so is the median of all orders drawn.
"""

import tempfile
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import spearmanr

from benchmarks.harness import Result, Rounds
from benchmarks.outrank_peer.environment import NAME, ask_peer
from sparsewatch.detectors.outrank.columns.codes import Codes, encode
from sparsewatch.detectors.outrank.ranking import rank_codes

#: Row orders drawn of each data set: more where they are cheap and scores lie close together.
DATA_SETS = {"talkingdata": 40, "avazu": 120, "criteo": 200, "census_income": 40}
#: Orders of one median.
ORDERS = 20
TARGET = 0.99
SIGNIFICANCE = 0.01
LABEL = "label"

Floats = NDArray[np.float64]


def bench_ranks(data: Path) -> Iterator[Result]:
    """`ranks_<data set>`: Spearman correlation with the public ranking."""
    for name, orders in DATA_SETS.items():
        rows = pl.read_parquet(data / "ctr" / f"{name}.parquet")
        label = encode(rows[LABEL])
        features = {column: encode(rows[column]) for column in rows.columns if column != LABEL}
        yield from compare(name, features, label, public_scores(features, label, orders))


def public_scores(features: dict[str, Codes], label: Codes, orders: int) -> Floats:
    """The public kernel's scores, shape (n_features, orders)."""
    with tempfile.TemporaryDirectory(prefix="sparsewatch-bench-") as folder:
        np.save(Path(folder, "features.npy"), np.stack([column.codes for column in features.values()]))
        np.save(Path(folder, "label.npy"), label.codes)
        return np.array(ask_peer("outrank_kernel.py", "orders", folder, orders))


def compare(name: str, features: dict[str, Codes], label: Codes, public: Floats) -> Iterator[Result]:
    """Ours beside medians of 20 orders, those beside one another, and ours beside the median of all orders."""
    ranked = {found.feature: found for found in rank_codes(features, label)}
    stands_out = np.array([ranked[feature].p_value < SIGNIFICANCE for feature in features])
    ours = np.array([ranked[feature].score for feature in features])[stands_out]
    public = public[stands_out]
    medians = [np.median(public[:, i : i + ORDERS], axis=1) for i in range(0, public.shape[1], ORDERS)]
    each = Rounds([correlation(ours, median) for median in medians])
    themselves = float(np.mean([correlation(a, b) for a, b in combinations(medians, 2)]))
    note = f"{ours.size} of {len(features)} features stand out of chance, {label.codes.size:,} rows"
    yield _result(
        f"ranks_{name}",
        each,
        themselves,
        f"{note}; {len(medians)} medians of {ORDERS} row orders of the public kernel, and beside, in peer's, how those "
        "medians correlate with one another.",
    )
    whole = Rounds([correlation(ours, np.median(public, axis=1))])
    yield _result(f"ranks_{name}_all_orders", whole, None, f"{note}; the median of {public.shape[1]} row orders.")


def correlation(a: Floats, b: Floats) -> float:
    """Spearman's, of ranks."""
    return float(spearmanr(a, b).statistic)


def _result(name: str, ours: Rounds, peer: float | None, note: str) -> Result:
    return Result(
        name=name,
        value=ours.median,
        unit="Spearman correlation",
        peer=None if peer is None else f"{NAME} with itself",
        peer_value=peer,
        target=TARGET,
        met=ours.median >= TARGET,
        spread=ours.spread if len(ours.values) > 1 else None,
        note=note,
    )
