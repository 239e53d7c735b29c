"""The default: nearest rows at several scales, and how rare each value is, added up as evidence.

    S(x) = sum over scales s of -ln p_s(x)  -  ln p_h(x)

p_s is the p-value of the distance to the nearest row in samples of s rows (`nearest_scales`), p_h that of the histogram
score (`histogram`). Under no anomaly each p-value is about uniform, and the sum of their -ln is Fisher's statistic
(Fisher, "Statistical Methods for Research Workers", 4th ed., 1932, section 21.1); members are dependent: the sum ranks
rows and is no test. Between the reference's scores -ln p is joined by lines. Above the highest score a p-value would
stand still, and all far outliers would tie: there it goes on as ln(1 + excess / mean excess of the upper twentieth).

Both are fitted in milliseconds, kept in a bounded state, and scored by one matrix product and a
table. It was chosen by its mean over one half of the public data sets and is reported on the other
(docs/rows-benchmark.md).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.rows.methods.histogram import HistogramScorer, fit_histogram, read_histogram
from sparsewatch.detectors.rows.methods.nearest_scales import PART_ROWS, NearestScales, draw_samples, read_samples
from sparsewatch.detectors.rows.methods.scorer import Report, Rows, State, Tensors, in_chunks
from sparsewatch.detectors.torch_threads import torch_threads

#: Most knots of a score.
KNOTS = 256
#: Share of the reference's scores that scale what lies beyond.
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
        beyond = np.flatnonzero(scores > self.scores[-1])
        nats[beyond] += np.log1p((scores[beyond] - self.scores[-1]) / self.excess)
        return nats


def fit_evidence(reference: NDArray[np.floating[Any]]) -> Evidence:
    """From scores of ordinary rows that the scorer has not learned from.

    Args:
        reference: Finite, of shape (m,), m >= 1.
    """
    rising = np.sort(reference.astype(np.float64))
    m = len(rising)
    scores, first = np.unique(rising, return_index=True)
    nats = -np.log((1 + m - first) / (m + 1))
    kept = _spread(nats)
    tail = rising[m - max(2, int(_TAIL * m)) :] if m > 1 else rising
    excess = float((tail - tail[0]).mean())
    scale = excess if excess > 0 else max(abs(float(rising[-1])), 1.0)
    return Evidence(scores[kept].astype(np.float32), nats[kept].astype(np.float32), scale)


def _spread(nats: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices of at most `KNOTS` rising values, first and last among them: half evenly by rank, half by value."""
    n = len(nats)
    if n <= KNOTS:
        return np.arange(n)
    by_rank = np.linspace(0, n - 1, KNOTS // 2).round().astype(np.int64)
    by_value = np.searchsorted(nats, np.linspace(nats[0], nats[-1], KNOTS // 2))
    return np.unique(np.concatenate([by_rank, by_value.clip(0, n - 1)]))


#: Rows whose scores say what is usual.
_REFERENCE_SCORES = 4_000
_HISTOGRAM, _SAMPLES, _EVIDENCE = "histogram.", "samples.", "evidence."


@dataclass(frozen=True, slots=True, eq=False)
class EnsembleScorer:
    """Samples, histograms, and what is usual of each; about 1.5 µs a row of 32 features and core."""

    samples: NearestScales
    histogram: HistogramScorer
    #: Of each scale, then of the histogram.
    evidence: tuple[Evidence, ...]

    @property
    def n_features(self) -> int:
        """Width of the rows."""
        return self.histogram.n_features

    def score(self, X: Rows) -> NDArray[np.float32]:
        """The evidence that each row is no ordinary one in nats, at least 0, shape (n,)."""
        total: NDArray[np.float32] = self._evidence(X).sum(axis=1)
        return total

    def terms(self, X: Rows) -> NDArray[np.float32]:
        """The evidence dealt out to the features, shape (n, d); its sum is the score.

        That of the distances by squared difference from the nearest row of all samples, that of the histogram by
        surprise.
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
        for i, one in enumerate(self.evidence):
            tensors[f"{_EVIDENCE}{i}.scores"], tensors[f"{_EVIDENCE}{i}.nats"] = one.scores, one.nats
        meta = {"scales": self.samples.scales, "weights": self.samples.weights}
        return tensors, meta | {"excess": [one.excess for one in self.evidence]}

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
    """Draw samples, count values, and learn what is usual; see `scorer.Fit`."""
    del report
    rng = np.random.default_rng(seed)
    samples, own = draw_samples(X, rng)
    histogram = fit_histogram(X)
    chosen = rng.permutation(len(X))[:_REFERENCE_SCORES]
    rows = np.ascontiguousarray(X[chosen])
    with torch_threads(1):
        distances = samples.distances_without_own(rows, chosen, own) if len(X) > 1 else samples.distances(rows)
    usual = [*distances.T, histogram.score(rows)]
    return EnsembleScorer(samples, histogram, tuple(fit_evidence(scores) for scores in usual))


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
    """Each row's parts, not negative, as shares of their sum; equal ones where that is 0."""
    total = parts.sum(axis=1, keepdims=True, dtype=np.float64)
    return np.where(total > 0, parts / np.where(total > 0, total, 1), 1 / parts.shape[1])
