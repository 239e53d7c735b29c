"""Every score a feature can be ranked by, under the names of the public `outrank`.

`HEURISTICS` is the only list. Names that its release 0.97.5 knows but no longer computes work here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from sparsewatch.detectors.outrank.columns.codes import Codes, joint_counts
from sparsewatch.detectors.outrank.information.adjusted_mi import (
    adjusted_mutual_information,
    codes_mutual_information,
    net_mutual_information,
)
from sparsewatch.detectors.outrank.information.shifted_mi import shifted_mutual_information, stratified_rows
from sparsewatch.detectors.outrank.surrogates import surrogate_score
from sparsewatch.schemas.errors import ConfigError, SchemaError
from sparsewatch.schemas.settings import nearest

DEFAULT_HEURISTIC = "MI-EMI"


class Sample(NamedTuple):
    """What a heuristic looks at: columns of the same rows."""

    feature: Codes
    target: Codes
    #: Columns a model sees beside the feature.
    reference: Sequence[Codes]
    #: Of whatever is drawn at random.
    seed: int


class Heuristic(NamedTuple):
    """A way to score one feature; more is better."""

    #: One line of help.
    summary: str
    compute: Callable[[Sample], float]
    #: What a pass over more rows than fit in memory computes it from: counts of all of them, batches in their order
    #: (the median of these, as the public tool does), or a sample.
    basis: Literal["counts", "batches", "sample"] = "sample"
    #: Whether the contingency table suffices. If not, the rows themselves are needed.
    from_counts: bool = True
    #: Whether codes must be in the order of the values' text (`encode_as_text`).
    text_order: bool = False
    #: Whether the score depends on the order of rows.
    row_order: bool = False
    #: Whether the score builds on reference features.
    reference: Literal["no", "may", "must"] = "no"


def heuristic(name: str) -> Heuristic:
    """The heuristic with a name.

    Raises:
        ConfigError: If there is none.
    """
    if name not in HEURISTICS:
        raise ConfigError(
            f"heuristic: expected one of {', '.join(HEURISTICS)}, got {name!r}{nearest(name, HEURISTICS)}"
        )
    return HEURISTICS[name]


def score(
    name: str,
    feature: Codes,
    target: Codes,
    *,
    reference: Sequence[Codes] = (),
    ratio: float = 1.0,
    seed: int = 0,
) -> float:
    """Score of one feature.

    Args:
        name: A key of `HEURISTICS`.
        feature: Shape (n_rows,).
        target: Shape (n_rows,): the label, or another feature.
        reference: Columns of shape (n_rows,) that a surrogate sees beside the feature.
        ratio: Share of each target value's rows to score, in (0, 1].
        seed: Of sampling, folds and models. Scores are comparable at the same seed only.

    Returns:
        In the unit of the heuristic, always finite.

    Raises:
        ConfigError: If the name is unknown, or needs reference features and got none, or the other way round.
        SchemaError: If lengths differ, or if a surrogate cannot learn the target.
    """
    known = heuristic(name)
    if (known.reference == "must" and not reference) or (known.reference == "no" and reference):
        wanted = "at least one" if known.reference == "must" else "no"
        raise ConfigError(f"heuristic {name}: expected {wanted} reference feature, got {len(reference)}")
    sample = Sample(feature, target, reference, seed)
    _check_lengths(sample)
    return known.compute(sample if ratio == 1 else _part(sample, ratio))


def _check_lengths(sample: Sample) -> None:
    rows = sample.target.codes.size
    for column in (sample.feature, *sample.reference):
        if column.codes.size != rows:
            raise SchemaError(f"feature: expected {rows} rows as of the target, got {column.codes.size}")


def _part(sample: Sample, ratio: float) -> Sample:
    rows = stratified_rows(sample.target, ratio, sample.seed)
    feature, target, *reference = (
        Codes(column.codes[rows], column.n_values) for column in (sample.feature, sample.target, *sample.reference)
    )
    return Sample(feature, target, reference, sample.seed)


def _mutual_information(sample: Sample) -> float:
    return codes_mutual_information(sample.feature, sample.target)


def _correlation(sample: Sample) -> float:
    """Pearson's correlation of the codes, in [-1, 1]; 0 if a column is constant, where it is not defined."""
    if not sample.feature.codes.size:
        return 0.0
    x, y = (column.codes - column.codes.mean() for column in (sample.feature, sample.target))
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(np.clip(x @ y / scale, -1.0, 1.0)) if scale else 0.0


def _value_coverage(sample: Sample) -> float:
    """Share of rows with the most frequent pair of values, in [0, 1]."""
    rows = sample.target.codes.size
    return float(joint_counts(sample.feature, sample.target).rows.max()) / rows if rows else 0.0


def _surrogate(model: str) -> Callable[[Sample], float]:
    def compute(sample: Sample) -> float:
        return surrogate_score(model, [*sample.reference, sample.feature], sample.target, seed=sample.seed)

    return compute


def _model(summary: str, model: str, reference: Literal["may", "must"] = "may") -> Heuristic:
    return Heuristic(summary, _surrogate(model), from_counts=False, reference=reference)


#: Heuristics by name, the default first.
HEURISTICS: Mapping[str, Heuristic] = {
    DEFAULT_HEURISTIC: Heuristic(
        "mutual information less its exact mean under permutation, nats",
        lambda sample: net_mutual_information(sample.feature, sample.target),
        basis="counts",
    ),
    "MI": Heuristic("mutual information as counted, nats", _mutual_information, basis="counts"),
    "MI-numba": Heuristic("the same as MI", _mutual_information, basis="counts"),
    "AMI": Heuristic(
        "MI-EMI as a share of the most it could be, as scikit-learn's adjusted_mutual_info_score",
        lambda sample: adjusted_mutual_information(sample.feature, sample.target),
        basis="counts",
    ),
    "MI-numba-randomized": Heuristic(
        "mutual information less that of the feature rotated, nats; depends on the order of rows",
        lambda sample: shifted_mutual_information(sample.feature, sample.target),
        basis="batches",
        from_counts=False,
        row_order=True,
    ),
    "MI-numba-3mr": Heuristic(
        "MI less redundancy plus relation, feature by feature (3MR); alone the same as MI", _mutual_information
    ),
    "correlation-Pearson": Heuristic(
        "correlation of the values' places in text order, signed; 0 for constants",
        _correlation,
        basis="batches",
        text_order=True,
    ),
    "max-value-coverage": Heuristic(
        "share of rows with the most frequent pair of values", _value_coverage, basis="batches"
    ),
    "surrogate-SGD": _model("1 + log-likelihood of a linear model fitted by gradient descent", "SGD"),
    "surrogate-SGD-prior": _model("surrogate-SGD on top of reference features", "SGD", reference="must"),
    "surrogate-SGD-RP": _model("surrogate-SGD on a sparse random projection", "SGD-RP"),
    "surrogate-SGD-SVD": _model("surrogate-SGD on two singular vectors", "SGD-SVD"),
    "surrogate-LR": _model("1 + log-likelihood of a logistic regression", "LR"),
    "surrogate-SVM": _model("1 + log-likelihood of a support vector machine; slow above 10,000 rows", "SVM"),
    "Constant": Heuristic("0 for every feature, where only statistics are wanted", lambda _: 0.0, basis="counts"),
}
