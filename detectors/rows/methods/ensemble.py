"""The default: nearest rows at several scales, and how rare each value is, added up as evidence.

    S(x) = sum over scales s of -ln p_s(x)  -  ln p_h(x)

p_s is the p-value of the distance to the nearest row in samples of s rows, averaged over the samples: large where a row
is unlike all (Pang, Ting and Albrecht, "LeSiNN: Detecting Anomalies by Identifying Least Similar Nearest Neighbours",
ICDM workshops 2015; Sugiyama and Borgwardt, "Rapid Distance-Based Outlier Detection via Sampling", NIPS 2013, show why
a small sample is enough, and often better than all rows: a clump of outliers that are alike is missing from most
samples, so it cannot hide itself). The nearest of s among n rows is about the (n / s)-th neighbour: small samples see
what is far from all, large ones what is odd beside its own neighbours. All scales share one matrix product: samples of
8 are joined four by four to samples of 32, and so on.

p_h is the p-value of the histogram score (`histogram`). Under no anomaly each p-value is about uniform, and the sum of
their -ln is Fisher's statistic (Fisher, "Statistical Methods for Research Workers", 4th ed., 1932, section 21.1);
members are dependent: the sum ranks rows and is no test. Between the reference's scores -ln p is joined by lines. Above
the highest score a p-value would stand still, and all far outliers would tie: there it goes on as ln(1 + excess / mean
excess of the upper twentieth).

Both are fitted in milliseconds, have a bounded state, and are scored by one matrix product and a table. The method was
selected by its mean over one half of the public data sets and is reported on the other half (docs/rows-benchmark.md).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparsewatch.detectors.rows.methods.histogram import HistogramScorer, fit_histogram, read_histogram
from sparsewatch.detectors.rows.methods.scorer import Report, Rows, State, Tensors, in_chunks
from sparsewatch.detectors.torch_threads import torch_threads

#: Rows of all samples together; a scorer's state and cost are a matrix of so many rows.
REFERENCE_ROWS = 512
#: Rows of a sample: small samples find rows far from all others, large samples those that are odd among neighbours.
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
    #: How many of `SCALES` each stands for: with few rows several become the same.
    weights: tuple[int, ...]

    def distances(self, X: Rows) -> NDArray[np.float32]:
        """Mean distance to the nearest of a sample at each scale, shape (n, scales)."""
        return in_chunks(X, (len(self.scales),), self.distances_of_chunk(), unit=PART_ROWS)

    def distances_of_chunk(self) -> Callable[[Rows], NDArray[np.float32]]:
        """Function that gives the distances of a chunk of rows, for `in_chunks` with parts of `PART_ROWS`."""
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
        """As `distances`, for rows that are in the samples: no row is compared with itself.

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
    sizes = [scale if scale <= most else 1 << most.bit_length() - 1 for scale in SCALES]
    scales = tuple(sorted(set(sizes)))
    rounds = -(-REFERENCE_ROWS // n)
    drawn = np.concatenate([rng.permutation(n) for _ in range(min(rounds, REFERENCE_ROWS))])[:REFERENCE_ROWS]
    # Rows drawn one after the other make the smallest samples, so that these hold no row twice.
    own = drawn.reshape(-1, scales[0]).T.ravel()
    samples = NearestScales(np.ascontiguousarray(X[own]), scales, tuple(sizes.count(scale) for scale in scales))
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


#: Most knots of a score.
KNOTS = 256
#: Share of the reference's scores from which the scale above the highest is estimated.
_TAIL = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """How one score's values turn into evidence."""

    #: Scores, rising, and the evidence at each; float32 of shape (knots,).
    scores: NDArray[np.float32]
    nats: NDArray[np.float32]
    #: Mean excess of the tail.
    excess: float

    def __call__(self, scores: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """-ln p of each score, at least 0, shape (n,)."""
        nats: NDArray[np.float64] = np.interp(scores, self.scores, self.nats)
        above = np.flatnonzero(scores > self.scores[-1])
        nats[above] += np.log1p((scores[above] - self.scores[-1]) / self.excess)
        return nats


def fit_evidence(reference: NDArray[np.floating[Any]]) -> Evidence:
    """Fit to scores of ordinary rows that the scorer was not fitted on.

    Args:
        reference: Finite, of shape (m,), m >= 1.
    """
    rising = np.sort(reference.astype(np.float64))
    m = len(rising)
    scores, first = np.unique(rising, return_index=True)
    nats = -np.log((1 + m - first) / (m + 1))
    knots = _spread(nats)
    tail = rising[m - max(2, int(_TAIL * m)) :] if m > 1 else rising
    excess = float((tail - tail[0]).mean())
    scale = excess if excess > 0 else max(abs(float(rising[-1])), 1.0)
    return Evidence(scores[knots].astype(np.float32), nats[knots].astype(np.float32), scale)


def _spread(nats: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices of at most `KNOTS` rising values, first and last among them: half evenly by rank, half by value."""
    n = len(nats)
    if n <= KNOTS:
        return np.arange(n)
    by_rank = np.linspace(0, n - 1, KNOTS // 2).round().astype(np.int64)
    by_value = np.searchsorted(nats, np.linspace(nats[0], nats[-1], KNOTS // 2))
    return np.unique(np.concatenate([by_rank, by_value.clip(0, n - 1)]))


#: Rows whose scores are the baseline.
_REFERENCE_SCORES = 4_000
_HISTOGRAM, _SAMPLES, _EVIDENCE = "histogram.", "samples.", "evidence."


@dataclass(frozen=True, slots=True, eq=False)
class EnsembleScorer:
    """Samples, histograms, and the baseline of each; `make bench-row_speed` prints its speed."""

    samples: NearestScales
    histogram: HistogramScorer
    #: Of each scale, then of the histogram.
    evidence: tuple[Evidence, ...]

    @property
    def n_features(self) -> int:
        """Width of the rows."""
        return self.histogram.n_features

    def score(self, X: Rows) -> NDArray[np.float32]:
        """The evidence against each row being ordinary, in nats, at least 0, shape (n,)."""
        total: NDArray[np.float32] = self._evidence(X).sum(axis=1)
        return total

    def terms(self, X: Rows) -> NDArray[np.float32]:
        """The evidence divided among the features, shape (n, d); its sum is the score.

        Evidence of the distances is divided by squared difference from the nearest row of all samples, evidence of the
        histogram by surprise.
        """
        near, odd = self._evidence(X).T
        shares = _shares(np.square(X - self.samples.nearest(X))) * near[:, None]
        terms: NDArray[np.float32] = shares + _shares(self.histogram.terms(X)) * odd[:, None]
        return terms.astype(np.float32)

    def to_state(self) -> State:
        """See `RowScorer`."""
        tensors, _ = self.histogram.to_state()
        tensors = {_HISTOGRAM + name: tensor for name, tensor in tensors.items()}
        tensors[_SAMPLES + "rows"] = self.samples.rows
        for i, evidence in enumerate(self.evidence):
            tensors[f"{_EVIDENCE}{i}.scores"], tensors[f"{_EVIDENCE}{i}.nats"] = evidence.scores, evidence.nats
        meta = {"scales": self.samples.scales, "weights": self.samples.weights}
        return tensors, meta | {"excess": [evidence.excess for evidence in self.evidence]}

    def _evidence(self, X: Rows) -> NDArray[np.float32]:
        """Of the distances and of the histogram, shape (n, 2)."""
        distances = self.samples.distances_of_chunk()

        def scored(rows: Rows) -> NDArray[np.float64]:
            near = [
                weight * evidence(column)
                for column, weight, evidence in zip(
                    distances(rows).T, self.samples.weights, self.evidence[:-1], strict=True
                )
            ]
            odd = self.evidence[-1](self.histogram.surprises(rows).sum(axis=1))
            return np.stack([np.sum(near, axis=0), odd], axis=1)

        return in_chunks(X, (2,), scored, unit=PART_ROWS)


def fit_ensemble(X: Rows, seed: int, report: Report | None = None) -> EnsembleScorer:
    """Draw samples, count values, and fit the baselines; see `scorer.Fit`."""
    del report
    rng = np.random.default_rng(seed)
    samples, own = draw_samples(X, rng)
    histogram = fit_histogram(X)
    chosen = rng.permutation(len(X))[:_REFERENCE_SCORES]
    rows = np.ascontiguousarray(X[chosen])
    with torch_threads(1):
        distances = samples.distances_without_own(rows, chosen, own) if len(X) > 1 else samples.distances(rows)
    baselines = [*distances.T, histogram.score(rows)]
    return EnsembleScorer(samples, histogram, tuple(fit_evidence(scores) for scores in baselines))


def read_ensemble(tensors: Tensors, meta: dict[str, Any]) -> EnsembleScorer:
    """The scorer of `to_state`."""
    histogram = read_histogram({k.removeprefix(_HISTOGRAM): t for k, t in tensors.items()}, {})
    samples = read_samples({"rows": tensors[_SAMPLES + "rows"]}, meta)
    evidence = tuple(
        Evidence(tensors[f"{_EVIDENCE}{i}.scores"], tensors[f"{_EVIDENCE}{i}.nats"], float(excess))
        for i, excess in enumerate(meta["excess"])
    )
    return EnsembleScorer(samples, histogram, evidence)


def _shares(parts: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Each row's parts, not negative, as shares of their sum; equal shares if that is 0."""
    total = parts.sum(axis=1, keepdims=True, dtype=np.float64)
    return np.where(total > 0, parts / np.where(total > 0, total, 1), 1 / parts.shape[1])
