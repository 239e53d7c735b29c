"""Distance to the nearest of a few ordinary rows, at several scales.

A row is compared with many small random samples of s rows each; its distance to the nearest of a sample, averaged over
the samples, is large where it is unlike all (Pang, Ting and Albrecht, "LeSiNN: Detecting Anomalies by Identifying Least
Similar Nearest Neighbours", ICDM workshops 2015; Sugiyama and Borgwardt, "Rapid Distance-Based Outlier Detection via
Sampling", NIPS 2013, show why a small sample is enough, and often better than all rows: a clump of outliers that are
alike is missing from most samples, so it cannot hide itself). The nearest of s among n rows is about the (n / s)-th
neighbour: small samples see what is far from all, large ones what is odd beside its own neighbours.

All scales share one matrix product: samples of 8 are joined four by four to samples of 32, and so on.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparsewatch.detectors.rows.methods.scorer import Rows, Tensors, in_chunks

#: Rows of all samples together; a scorer's state and cost are a matrix of so many rows.
REFERENCE_ROWS = 512
#: Rows of a sample, from what is far from all to what is odd among its own.
SCALES = (8, 32, 128, 512)
#: A sample holds at most a tenth of the rows: with more, the nearest would be nearer than the tenth neighbour, and a
#: handful of outliers that are alike would hide each other.
_LEAST_NEIGHBOUR = 10
#: Rows compared at once: their distances stay in a core's cache.
PART_ROWS = 512


@dataclass(frozen=True, slots=True, eq=False)
class NearestScales:
    """The samples: 2 KiB a feature."""

    #: float32 of shape (REFERENCE_ROWS, d), so ordered that the samples of every scale lie at equal strides.
    rows: NDArray[np.float32]
    #: Rows of a sample, rising powers of 2.
    scales: tuple[int, ...]
    #: How many of `SCALES` each stands for: with few rows several become one.
    weights: tuple[int, ...]

    def distances(self, X: Rows) -> NDArray[np.float32]:
        """Mean distance to the nearest of a sample at each scale, shape (n, scales)."""
        return in_chunks(X, (len(self.scales),), self.distances_of_chunk(), unit=PART_ROWS)

    def distances_of_chunk(self) -> Callable[[Rows], NDArray[np.float32]]:
        """What gives the distances of a chunk of rows, for `in_chunks` with parts of `PART_ROWS`."""
        form = self._form()

        def scored(rows: Rows) -> NDArray[np.float32]:
            out = np.empty((len(rows), len(self.scales)), dtype=np.float32)
            for start in range(0, len(rows), PART_ROWS):
                part = slice(start, start + PART_ROWS)
                nearest = self._nearest(form, torch.from_numpy(rows[part]))
                out[part] = torch.stack([least.mean(dim=0) for least in nearest], dim=1).numpy()
            return out

        return scored

    def distances_without_own(
        self, X: Rows, positions: NDArray[np.int64], own: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """As `distances`, for rows that are in the samples themselves: no row is compared with itself.

        Args:
            X: Rows fitted on.
            positions: Index of each among all rows fitted on, shape (n,).
            own: Index of each row of the samples among these, shape (REFERENCE_ROWS,).
        """
        form, out = self._form(), np.empty((len(X), len(self.scales)), dtype=np.float32)
        for start in range(0, len(X), PART_ROWS):
            part = slice(start, start + PART_ROWS)
            same = torch.from_numpy(own[:, None] == positions[part])
            nearest = self._nearest(form, torch.from_numpy(X[part]), same)
            out[part] = torch.stack([_finite_mean(least) for least in nearest], dim=1).numpy()
        return out

    def nearest(self, X: Rows) -> NDArray[np.float32]:
        """The nearest row of all samples, shape (n, d)."""
        form = self._form()

        def nearest_of(rows: Rows) -> NDArray[np.float32]:
            found: NDArray[np.float32] = self.rows[_products(form, torch.from_numpy(rows)).argmin(dim=0).numpy()]
            return found

        return in_chunks(X, (X.shape[1],), nearest_of, step=PART_ROWS)

    def _form(self) -> Tensor:
        """(-2 r, r . r) of each row r of the samples: its product with (x, 1) is |r - x|^2 - x . x."""
        rows = torch.from_numpy(self.rows)
        return torch.cat([-2 * rows, rows.square().sum(dim=1, keepdim=True)], dim=1)

    def _nearest(self, form: Tensor, rows: Tensor, same: Tensor | None = None) -> Iterator[Tensor]:
        """For each scale the distance to the nearest of every sample, shape (samples, n)."""
        least, squares, size = _products(form, rows), rows.square().sum(dim=1), 1
        if same is not None:
            least[same] = torch.inf
        for scale in self.scales:
            # Over the first axis, a row of all chunk's rows at a time: whole vectors are compared.
            least = least.view(scale // size, -1, len(rows)).amin(dim=0)
            size = scale
            yield (least + squares).clamp_(min=0).sqrt_()


def draw_samples(X: Rows, rng: np.random.Generator) -> tuple[NearestScales, NDArray[np.int64]]:
    """Samples of rows, and the index of each of their rows among `X`.

    Args:
        X: Rows of shape (n, d).
        rng: Draws them.
    """
    n = len(X)
    most = max(2, n // _LEAST_NEIGHBOUR)
    kept = [scale if scale <= most else 1 << most.bit_length() - 1 for scale in SCALES]
    scales = tuple(sorted(set(kept)))
    rounds = -(-REFERENCE_ROWS // n)
    drawn = np.concatenate([rng.permutation(n) for _ in range(min(rounds, REFERENCE_ROWS))])[:REFERENCE_ROWS]
    # Rows drawn one after the other make the smallest samples, so that these hold no row twice.
    own = drawn.reshape(-1, scales[0]).T.ravel()
    samples = NearestScales(np.ascontiguousarray(X[own]), scales, tuple(kept.count(scale) for scale in scales))
    return samples, own


def read_samples(tensors: Tensors, meta: dict[str, Any]) -> NearestScales:
    """The samples from an artefact's `rows`, `scales` and `weights`."""
    return NearestScales(tensors["rows"], tuple(meta["scales"]), tuple(meta["weights"]))


def _products(form: Tensor, rows: Tensor) -> Tensor:
    """Squared distances less each row's own square, shape (REFERENCE_ROWS, n)."""
    return form @ torch.cat([rows, rows.new_ones(len(rows), 1)], dim=1).T


def _finite_mean(distances: Tensor) -> Tensor:
    """Mean over the first axis, without what is infinite; 0 where nothing is left."""
    finite = torch.isfinite(distances)
    return torch.where(finite, distances, distances.new_zeros(())).sum(dim=0) / finite.sum(dim=0).clamp(min=1)
