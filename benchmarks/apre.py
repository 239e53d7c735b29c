"""Rows of 32 floats scored per second by APRE, beside the bare matrix products of the same layers.

The products are the least any such network needs; what remains is the softplus, the logarithm and the division of
the score. Both run on one thread and are timed in turn, so that a busy machine slows both. `measure_block` times
what a job pays: encoding of 39 columns and summary included.
"""

import functools
import statistics
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pyarrow as pa
import torch

from detectors.apre.net import layer_widths
from detectors.apre.scorer import fit_apre
from detectors.apre.train import TrainConfig
from detectors.rows.summary import score_block
from detectors.rows.training import train_row_model
from detectors.torch_threads import torch_threads
from schemas.block import META

FEATURES = 32
ROWS = 524_288
CHUNK = 4096
ROUNDS = 7
TARGET_ROWS_PER_SECOND = 1_000_000.0
BLOCK_ROWS = 16_384
#: Speed does not hang on the weights.
_BRIEF = functools.partial(fit_apre, training=TrainConfig(steps=20))


def measure() -> dict[str, float]:
    """Median rates of interleaved rounds, in rows per second, and their ratio."""
    X = np.random.default_rng(0).standard_normal((ROWS, FEATURES), dtype=np.float32)
    table = pa.table({f"x{j}": X[:20_000, j] for j in range(FEATURES)})
    model = train_row_model(table, method="apre", fit=_BRIEF)
    scored, bound = _interleaved(lambda: model.score_matrix(X), _bare_products(X))
    return {
        "rows_per_second": ROWS / scored,
        "target": TARGET_ROWS_PER_SECOND,
        "bare_products_rows_per_second": ROWS / bound,
        "ratio": bound / scored,
    }


def measure_block() -> dict[str, float]:
    """Rates of scoring and of summarising blocks of 39 columns, 13 numbers and 26 categories."""
    rows = _clicks(BLOCK_ROWS, 1)
    model = train_row_model(_clicks(50_000, 0), method="apre", fit=_BRIEF)
    encoder = model.encoder
    batch = rows.combine_chunks().to_batches()[0]
    encoded, scored = _interleaved(lambda: encoder.transform(batch), lambda: model.score(batch))
    summed, _ = _interleaved(lambda: score_block(model, batch, 0.01), lambda: None)
    return {
        "encoded_rows_per_second": BLOCK_ROWS / encoded,
        "scored_rows_per_second": BLOCK_ROWS / scored,
        "summarised_rows_per_second": BLOCK_ROWS / summed,
    }


def _bare_products(X: np.ndarray) -> Callable[[], None]:
    """The layers' matrix products on the same rows, chunk by chunk, and nothing else."""
    rng = torch.Generator().manual_seed(0)
    weights = [torch.randn(a, b, generator=rng) for a, b in pairwise(layer_widths(FEATURES))]
    rows = torch.from_numpy(X)

    def run() -> None:
        with torch_threads(1), torch.inference_mode():
            for start in range(0, ROWS, CHUNK):
                hidden = rows[start : start + CHUNK]
                for weight in weights:
                    hidden = hidden @ weight

    return run


def _interleaved(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """Median seconds of each, after one round to warm up."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS + 1):
        for call, taken in zip((first, second), seconds, strict=True):
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
    return statistics.median(seconds[0][1:]), statistics.median(seconds[1][1:])


def _clicks(n: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    columns = {f"number{j}": rng.normal(size=n) for j in range(13)}
    for j in range(26):
        values = (rng.zipf(1.2 + j / 20, n) % 100_000).astype(np.int64)
        columns[f"word{j}"] = pa.array(values).cast(pa.string())
    places = {field.name: pa.array(np.arange(n), field.type) for field in META}
    return pa.table(columns | places if seed else columns)


def main() -> None:
    """Print both measurements."""
    for measured in (measure(), measure_block()):
        for name, value in measured.items():
            print(f"{name:<32}{value:>16,.2f}")


if __name__ == "__main__":
    main()
