"""The contract of every method that scores rows.

A scorer is fitted on encoded rows (`encode`), gives each row a score, higher for more anomalous rows, and attributes it
to the features. Scoring changes nothing, and a row's score does not depend on the rows it comes with, to the bit: a
replay cuts a stream into other blocks.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from sparsewatch.detectors.torch_threads import torch_threads

Rows: TypeAlias = NDArray[np.float32]
Tensors: TypeAlias = Mapping[str, NDArray[Any]]
#: Tensors and JSON of a scorer.
State: TypeAlias = tuple[dict[str, NDArray[Any]], dict[str, Any]]
#: Progress callback: steps done, steps in all, and a text on the progress.
Report: TypeAlias = Callable[[int, int, str], None]

#: Most floats and rows of one chunk in scoring: its arrays stay in a core's cache.
_CHUNK_FLOATS = 131_072
_CHUNK_ROWS = 4096

_THREADS = ContextVar("threads", default=1)


class RowScorer(Protocol):
    """A fitted method."""

    @property
    def n_features(self) -> int:
        """Width of the rows, d."""

    def score(self, X: Rows) -> NDArray[np.float32]:
        """Score of each row, shape (n, d) to (n,); finite for finite rows."""

    def terms(self, X: Rows) -> NDArray[np.float32]:
        """How much each feature contributes to a row's score, shape (n, d) to (n, d).

        If the score is a sum over the features, these are its terms; else the method's docstring defines them.
        """

    def to_state(self) -> State:
        """State that an artefact stores; the method's `read` makes the same scorer of it."""


class Fit(Protocol):
    """Fits a method."""

    def __call__(self, X: Rows, seed: int, report: Report | None = None) -> RowScorer:
        """Learn from encoded rows.

        Args:
            X: Finite float32 of shape (n, d), n >= 1, d >= 1; duplicates and constant features are allowed.
            seed: Source of all randomness.
            report: Progress callback, called if a fit takes long.
        """


@contextmanager
def scoring_threads(threads: int) -> Iterator[None]:
    """Within the block rows are scored by so many threads, each on chunks of its own; the scores are the same bits.

    Jobs score on one thread: their runner has several of its own.
    """
    token = _THREADS.set(threads)
    try:
        yield
    finally:
        _THREADS.reset(token)


def in_chunks(
    X: Rows, shape: tuple[int, ...], scored: Callable[[Rows], NDArray[Any]], *, step: int = 0, unit: int = 0
) -> NDArray[np.float32]:
    """`scored(rows)` for all rows, chunk by chunk, as float32 of shape (n, *shape).

    Every chunk has the same size, the last is padded with zeros: matrix products of another size may round
    differently. Torch works on one thread and stores no gradients meanwhile.

    Args:
        X: Rows of shape (n, d).
        shape: Of the result of `scored` for a row.
        scored: Chunk of shape (step, d) to (step, *shape); called by several threads within `scoring_threads`.
        step: Rows of a chunk; 0 for `chunk_rows`.
        unit: If `scored` itself works in parts of so many rows, the last chunk is padded to whole parts only, and a
            chunk holds whole parts; 0 if it does not.
    """
    step = step or chunk_rows(X.shape[1])
    step = max(unit, step // unit * unit) if unit else step
    out = np.empty((len(X), *shape), dtype=np.float32)

    def work(start: int) -> None:
        part = X[start : start + step]
        if missing := -len(part) % (unit or step):
            part = np.concatenate([part, np.zeros((missing, X.shape[1]), dtype=np.float32)])
        with torch.inference_mode():
            out[start : start + step] = scored(np.ascontiguousarray(part))[: len(X) - start]

    starts = range(0, len(X), step)
    with torch_threads(1):
        if _THREADS.get() == 1 or len(starts) < 2:
            for start in starts:
                work(start)
        else:
            with ThreadPoolExecutor(_THREADS.get()) as pool:
                list(pool.map(work, starts))
    return out


def chunk_rows(n_features: int) -> int:
    """Rows of a chunk: a multiple of 64, so that vector code has no remainder; at least 256, which products need."""
    return max(256, min(_CHUNK_ROWS, _CHUNK_FLOATS // n_features // 64 * 64))
