"""The public tool's kernel, called directly in its own environment: seconds a call, or scores.

`python outrank_kernel.py seconds|orders|percent FOLDER NUMBER` reads `features.npy`, shape (n_features, n_rows), and
`label.npy`, shape (n_rows,), both int32 codes, and prints one line of JSON. The kernel is compiled before it is timed.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from outrank.algorithms.feature_ranking.ranking_mi_numba import mutual_info_estimator_numba

Codes = NDArray[np.int32]


def score(feature: Codes, label: Codes, ratio: float = 1.0) -> float:
    """Score of a feature by the default heuristic, in nats, at a ratio of stratified sampling."""
    return float(mutual_info_estimator_numba(feature, label, np.float32(ratio), True))


def seconds(features: Codes, label: Codes, calls: int) -> list[float]:
    """Median seconds of some calls, a feature."""
    return [float(np.median([_timed(feature, label) for _ in range(calls)])) for feature in features]


def orders(features: Codes, label: Codes, number: int) -> list[list[float]]:
    """Scores of each feature in `number` random row orders."""
    rng = np.random.default_rng(0)
    shuffled = [rng.permutation(label.size) for _ in range(number)]
    return [[score(feature[order], label[order]) for order in shuffled] for feature in features]


def percent(features: Codes, label: Codes, sampled: int) -> list[float]:
    """Scores in the row order given, from a stratified sample of so many percent of the rows."""
    return [score(feature, label, sampled / 100) for feature in features]


def _timed(feature: Codes, label: Codes) -> float:
    start = time.perf_counter()
    score(feature, label)
    return time.perf_counter() - start


def main() -> None:
    """Print what was asked for."""
    what, folder, number = sys.argv[1:]
    features, label = (np.load(Path(folder) / f"{name}.npy") for name in ("features", "label"))
    score(features[0, :64], label[:64])
    print(json.dumps({"seconds": seconds, "orders": orders, "percent": percent}[what](features, label, int(number))))


if __name__ == "__main__":
    main()
