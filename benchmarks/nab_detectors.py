"""Detectors of rows in a series of one number: a row model as the product trains it, and controls."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from scipy.special import ndtr

from benchmarks.nab_score import Floats, probation
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.training import train_row_model

COLUMN = "value"
#: Rows that the windowed Gaussian looks back on, and how many it takes in at a time.
_LOOK_BACK, _STEP = 6_400, 100
#: Deviation of rows that are all alike.
_LEAST_DEVIATION = 1e-6

#: From all values of a series, in their order, to the score of each: high is odd.
Scorer: TypeAlias = Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True)
class Detector:
    """A detector and how it is told of."""

    score: Scorer
    about: str


def row_model(values: Floats) -> RowModel:
    """As `sparsewatch train rows` makes it at its defaults, of the rows for learning."""
    return train_row_model(pa.table({COLUMN: values[: probation(len(values))]}))


def by_p_value(values: Floats) -> Floats:
    """1 - p of each row's conformal p-value."""
    model = row_model(values)
    return 1 - model.p_values(_row_scores(model, values))


def by_row_score(values: Floats) -> Floats:
    """The model's own score, which is not meant to be compared between models as one threshold compares it."""
    return _row_scores(row_model(values), values)


def _row_scores(model: RowModel, values: Floats) -> Floats:
    return model.score(pa.RecordBatch.from_pydict({COLUMN: values})).astype(np.float64)


def by_deviations(values: Floats) -> Floats:
    """How many standard deviations from the mean of the rows for learning."""
    learned = values[: probation(len(values))]
    deviations: Floats = np.abs(values - learned.mean()) / max(float(learned.std()), _LEAST_DEVIATION)
    return deviations


def by_moving_normal(values: Floats) -> Floats:
    """1 minus the normal tail probability by mean and deviation of the last rows: NAB's windowed Gaussian.

    The rows looked back on grow to their number one by one, then move on in steps.
    """
    scores = np.zeros(len(values))
    first = end = 0
    mean, deviation = 0.0, 1.0
    for at in range(1, len(values)):
        if at <= _LOOK_BACK or at - end == _STEP:
            first, end = max(0, at - _LOOK_BACK), at
            mean, deviation = float(values[first:end].mean()), float(values[first:end].std()) or _LEAST_DEVIATION
        scores[at] = ndtr(abs(values[at] - mean) / deviation)
    return scores


def at_random(seed: int) -> Scorer:
    """Uniform numbers; every series of a scorer gets others."""
    rng = np.random.default_rng(seed)
    return lambda values: rng.random(len(values))


#: Each a line of results.
DETECTORS: Mapping[str, Detector] = {
    "row model, p-values": Detector(by_p_value, "the default method, one column, learned from the first rows"),
    "row model, scores": Detector(by_row_score, "the same models' scores, which are not comparable between series"),
    "z-score": Detector(by_deviations, "mean and deviation of the first rows"),
    "windowed Gaussian": Detector(by_moving_normal, "of the last 6,400 rows, in steps of 100"),
}
