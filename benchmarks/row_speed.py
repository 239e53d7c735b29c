"""How fast rows are scored and methods fitted: 32 floats a row, on all cores, beside the bare product and PyOD.

Scoring: `score_rows_per_s` is the default method, encoded rows in, scores out, as many threads as cores; its peer is
the matrix product that its distances need, on the same rows and threads. The other methods follow, and what a job
pays for a block of 39 columns, encoding and summary included, on one thread.

Training: `train_speedup` is the time of PyOD's AutoEncoder at its defaults over that of our autoencoder's, both on one
thread and on the same z-scored rows of public sets, with the areas under the ROC curve of both; medians of the sets.
"""

import functools
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from benchmarks.harness import Result, Rounds, interleave, rate, seconds, write_results
from benchmarks.rows_peers import the_peer
from benchmarks.rows_protocol import encoded, judged, split_set
from sparsewatch.detectors.rows.encoding.encode import one_batch
from sparsewatch.detectors.rows.methods.ensemble import REFERENCE_ROWS
from sparsewatch.detectors.rows.methods.registry import DEFAULT, METHODS
from sparsewatch.detectors.rows.methods.scorer import Rows, scoring_threads
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.training import train_row_model
from sparsewatch.detectors.rows.windows.summary import positions_of, score_encoded
from sparsewatch.detectors.torch_threads import torch_threads
from sparsewatch.schemas.block import META

FEATURES = 32
ROWS = 524_288
FITTED_ROWS = 20_000
BLOCK_ROWS = 16_384
ROUNDS = 5
TARGET_ROWS_PER_S = 1_000_000.0
TARGET_SPEEDUP = 3.0
#: Slower methods are timed on fewer rows.
_FEW_ROWS = 16_384
_SLOW = ("knn", "lof", "isolation_forest", "apre_mss", "autoencoder_mss")
_SETS = ("2_annthyroid", "28_pendigits", "31_satimage-2", "24_mnist")
_OURS = "autoencoder"
_CORES = len(os.sched_getaffinity(0))
_CHUNK = 512


def score_rates() -> list[Result]:
    """Rows a second of every method on encoded rows."""
    X = _rows(ROWS)
    scorer = METHODS[DEFAULT].fit(X[:FITTED_ROWS], 0)
    ours, bound = _rates(ROWS, functools.partial(scorer.score, X), _bare_products(X))
    first = rate(
        "score_rows_per_s",
        ours,
        "rows/s",
        peer="its bare matrix product",
        peer_value=bound,
        target=TARGET_ROWS_PER_S,
        note=f"the default method, {_CORES} threads",
    )
    others = [method for method in METHODS if method != DEFAULT]
    rates = [method_rate(method, _FEW_ROWS if method in _SLOW else ROWS) for method in others]
    return [first, *(rate(f"score_rows_per_s {m}", r, "rows/s") for m, r in zip(others, rates, strict=True))]


def method_rate(method: str, rows: int = ROWS) -> Rounds:
    """Rows a second of a method on encoded rows, all cores."""
    X = _rows(max(rows, FITTED_ROWS))
    scorer = METHODS[method].fit(X[:FITTED_ROWS], 0)
    (rounds,) = _rates(rows, functools.partial(scorer.score, X[:rows]))
    return rounds


def _rows(number: int) -> Rows:
    return np.random.default_rng(0).standard_normal((number, FEATURES), dtype=np.float32)


def _rates(rows: int, *calls: Callable[[], object]) -> list[Rounds]:
    """Rows a second of each call, in turn, after one round to warm up."""
    with scoring_threads(_CORES):
        timed: list[Callable[[], float]] = [functools.partial(_rate, rows, call) for call in calls]
        interleave(timed, 1)
        return interleave(timed, ROUNDS)


def _rate(rows: int, call: Callable[[], object]) -> float:
    return rows / seconds(call)


def _bare_products(X: Rows) -> Callable[[], None]:
    """Products of all rows with a reference as large as the default's, chunk by chunk, and nothing else."""
    reference = torch.randn(REFERENCE_ROWS, FEATURES + 1, generator=torch.Generator().manual_seed(0))
    rows = torch.nn.functional.pad(torch.from_numpy(X), (0, 1), value=1.0)

    def product(start: int) -> None:
        with torch.inference_mode():
            reference @ rows[start : start + _CHUNK].T

    def run() -> None:
        with torch_threads(1), ThreadPoolExecutor(_CORES) as pool:
            list(pool.map(product, range(0, ROWS, _CHUNK)))

    return run


def block_rates() -> list[Result]:
    """What a job pays for a block of 39 columns, 13 numbers and 26 categories, on one thread."""
    model = train_row_model(_clicks(50_000, 0))
    batch = one_batch(_clicks(BLOCK_ROWS, 1))
    with scoring_threads(1):
        parts: dict[str, Callable[[], object]] = {
            "block_encoded_rows_per_s": lambda: model.encoder.transform(batch),
            "block_scored_rows_per_s": lambda: model.score(batch),
            "block_summarised_rows_per_s": lambda: _summarised(model, batch),
        }
        measured = interleave([functools.partial(_rate, BLOCK_ROWS, call) for call in parts.values()], ROUNDS)
    return [rate(name, rounds, "rows/s") for name, rounds in zip(parts, measured, strict=True)]


def _summarised(model: RowModel, batch: pa.RecordBatch) -> object:
    return score_encoded(model, model.encoder.transform(batch), positions_of(batch), 0.01)


def _clicks(n: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    columns = {f"number{j}": rng.normal(size=n) for j in range(13)}
    for j in range(26):
        values = (rng.zipf(1.2 + j / 20, n) % 100_000).astype(np.int64)
        columns[f"word{j}"] = pa.array(values).cast(pa.string())
    places = {field.name: pa.array(np.arange(n), field.type) for field in META}
    return pa.table(columns | places if seed else columns)


def train_rates() -> list[Result]:
    """Training beside PyOD's AutoEncoder, set by set, and the default's fit."""
    measured = [_trained_on(name) for name in _SETS]
    speedups = [theirs["fit_seconds"] / ours["fit_seconds"] for ours, theirs, _ in measured]
    ours_auc = statistics.mean(ours["auc"] for ours, _, _ in measured)
    theirs_auc = statistics.mean(theirs["auc"] for _, theirs, _ in measured)
    by_set = "; ".join(
        f"{name} {ours['fit_seconds']:.2f} s, AUC {ours['auc']:.3f}"
        f" (theirs {theirs['fit_seconds']:.2f} s, {theirs['auc']:.3f})"
        for name, (ours, theirs, _) in zip(_SETS, measured, strict=True)
    )
    return [
        rate(
            "train_speedup",
            Rounds(speedups),
            "times",
            peer="PyOD AutoEncoder",
            peer_value=1.0,
            target=TARGET_SPEEDUP,
            note=by_set,
        ),
        rate("train_auc", ours_auc, "mean AUC", peer="PyOD AutoEncoder", peer_value=theirs_auc, target=theirs_auc),
        rate(
            "train_speedup default",
            Rounds([theirs["fit_seconds"] / default["fit_seconds"] for _, theirs, default in measured]),
            "times",
            peer="PyOD AutoEncoder",
            peer_value=1.0,
            note=f"the default method, {DEFAULT}",
        ),
        rate(
            "train_auc default",
            statistics.mean(default["auc"] for _, _, default in measured),
            "mean AUC",
            peer="PyOD AutoEncoder",
            peer_value=theirs_auc,
        ),
    ]


def _trained_on(name: str) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """Figures of our autoencoder, of PyOD's, and of the default, in turn: medians of seconds, means of areas."""
    parts = split_set(name, 0)
    fit, test = encoded("plain", parts.fit.X, parts.test.X)
    robust_fit, robust_test = encoded("robust", parts.fit.X, parts.test.X)
    runs = [
        (_ours(_OURS, fit, test, seed), _theirs(fit, test, seed), _ours(DEFAULT, robust_fit, robust_test, seed))
        for seed in range(3)
    ]
    figures = []
    for scores_and_seconds in zip(*runs, strict=True):
        aucs = [judged(scores, parts.test.outlier)["auc"] for scores, _ in scores_and_seconds]
        taken = statistics.median(took for _, took in scores_and_seconds)
        figures.append({"auc": statistics.mean(aucs), "fit_seconds": taken})
    return figures[0], figures[1], figures[2]


def _ours(method: str, fit: Rows, test: Rows, seed: int) -> tuple[np.ndarray, float]:
    started = time.perf_counter()
    scorer = METHODS[method].fit(fit, seed)
    took = time.perf_counter() - started
    return scorer.score(test), took


def _theirs(fit: Rows, test: Rows, seed: int) -> tuple[np.ndarray, float]:
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "fit.npy", fit.astype(np.float64))
        np.save(Path(folder) / "test.npy", test.astype(np.float64))
        took = the_peer().ask("AutoEncoder", seed, Path(folder))
        return np.load(Path(folder) / "scores.npy", allow_pickle=False), took["fit_seconds"]


def main() -> None:
    """Measure and write all of it."""
    write_results("row_speed", [*score_rates(), *block_rates(), *train_rates()])


if __name__ == "__main__":
    main()
