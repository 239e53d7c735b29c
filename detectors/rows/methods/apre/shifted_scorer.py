"""Autoencoders that compare their reconstruction of a row with the row after mean shift.

The score is that of the network for the target x^MS in place of x, arXiv 2304.00709; see `mean_shift` and `score`. The
reference that rows are shifted to is a random sample of the rows fitted on. Where the guard refuses (`shift_guard`),
rows are scored without shift; the scorer's `guard` and its stored meta say why.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.rows.methods.apre.mean_shift import (
    ShiftReference,
    check_shift,
    shift_members,
    shift_reference,
)
from sparsewatch.detectors.rows.methods.apre.score import ScoreConfig
from sparsewatch.detectors.rows.methods.apre.scorer import (
    AutoencoderScorer,
    fit_apre,
    fit_autoencoder,
    read_autoencoder,
)
from sparsewatch.detectors.rows.methods.apre.shift_guard import LabelledRows, ShiftGuard, judged
from sparsewatch.detectors.rows.methods.apre.train import TrainConfig
from sparsewatch.detectors.rows.methods.scorer import Report, Rows, State, Tensors
from sparsewatch.schemas.settings import Count, check_ranges

#: How names of tensors begin.
_NET, _LEVEL = "net.", "level."


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftConfig:
    """How far rows are shifted."""

    #: Rows that are averaged, the row itself included; fewer where the reference has fewer. 1 shifts nothing.
    k: int = 10
    #: Number of shifts; 0 shifts nothing.
    shifts: int = 1
    #: Most rows of the reference: a scored row costs a search among them for each shift.
    reference_rows: Count = 5000

    def __post_init__(self) -> None:
        check_ranges(self)
        check_shift(self.k, self.shifts, self.reference_rows)


#: Without labels the plain autoencoder did best with three shifts, after 500 to 2,000 steps (mean of 12 public sets).
_PLAIN_SHIFT = ShiftConfig(shifts=3)
_PLAIN_TRAINING = TrainConfig(steps=1000)


@dataclass(frozen=True, slots=True, eq=False)
class ShiftedScorer:
    """A scorer, and what rows are shifted to before they are compared."""

    plain: AutoencoderScorer
    #: Without levels, so that nothing is shifted, where the guard refuses.
    reference: ShiftReference
    guard: ShiftGuard

    @property
    def n_features(self) -> int:
        """Width of the rows."""
        return self.plain.n_features

    def score(self, X: Rows) -> NDArray[np.float32]:
        """Score of each row's reconstruction beside the shifted row."""
        return self.plain.score(X, self.reference.shift)

    def terms(self, X: Rows) -> NDArray[np.float32]:
        """Terms of the score, whose sum it is."""
        return self.plain.terms(X, self.reference.shift)

    def to_state(self) -> State:
        """See `RowScorer`."""
        weights, scoring = self.plain.to_state()
        tensors = {_NET + name: weight for name, weight in weights.items()}
        tensors |= {f"{_LEVEL}{i}": level for i, level in enumerate(self.reference.levels)}
        guard = asdict(self.guard) | {"refusal": self.guard.refusal}
        shifts = len(self.reference.levels)
        return tensors, {"scoring": scoring, "k": self.reference.k, "shifts": shifts, "guard": guard}


def fit_apre_mss(
    X: Rows,
    seed: int,
    report: Report | None = None,
    *,
    training: TrainConfig | None = None,
    scoring: ScoreConfig | None = None,
    shift: ShiftConfig | None = None,
    labelled: LabelledRows | None = None,
) -> ShiftedScorer:
    """Train the probabilistic autoencoder and shift a reference; see `sparsewatch.detectors.rows.methods.scorer.Fit`.

    Args:
        X: Encoded rows.
        seed: Of the weights, the batches and the reference.
        report: Progress callback, called at each step.
        training: Length, step size, batches.
        scoring: Weights of the score.
        shift: How far rows are shifted.
        labelled: Rows on which the guard measures whether shifting helps.
    """
    plain = fit_apre(X, seed, report, training=training, scoring=scoring)
    return _shifted(plain, X, seed, shift or ShiftConfig(), labelled)


def fit_autoencoder_mss(
    X: Rows,
    seed: int,
    report: Report | None = None,
    *,
    training: TrainConfig | None = None,
    shift: ShiftConfig | None = None,
    labelled: LabelledRows | None = None,
) -> ShiftedScorer:
    """Train the plain autoencoder and shift a reference; arguments as of `fit_apre_mss`."""
    plain = fit_autoencoder(X, seed, report, training=training or _PLAIN_TRAINING)
    return _shifted(plain, X, seed, shift or _PLAIN_SHIFT, labelled)


def _shifted(
    plain: AutoencoderScorer, X: Rows, seed: int, config: ShiftConfig, labelled: LabelledRows | None
) -> ShiftedScorer:
    chosen = np.sort(np.random.default_rng(seed).permutation(len(X))[: config.reference_rows])
    rows = np.ascontiguousarray(X[chosen])
    k = min(config.k, len(rows))
    reference = shift_reference(rows, k, config.shifts)
    # Members are shifted as members: as other rows they would count twice.
    moved = shift_members(reference.levels[-1], k) if reference.levels else rows
    known = None if labelled is None else (labelled, reference.shift(labelled.X))
    guard = judged(plain.net, plain.config, rows, moved, known)
    return ShiftedScorer(plain, ShiftReference.of_levels([], k) if guard.refusal else reference, guard)


def read_shifted(tensors: Tensors, meta: dict[str, Any]) -> ShiftedScorer:
    """The scorer of `ShiftedScorer.to_state`; raises KeyError, TypeError or RuntimeError where something is missing."""
    weights = {name.removeprefix(_NET): tensor for name, tensor in tensors.items() if name.startswith(_NET)}
    levels = [tensors[f"{_LEVEL}{i}"] for i in range(meta["shifts"])]
    guard = {name: value for name, value in meta["guard"].items() if name != "refusal"}
    reference = ShiftReference.of_levels(levels, meta["k"])
    return ShiftedScorer(read_autoencoder(weights, meta["scoring"]), reference, ShiftGuard(**guard))
