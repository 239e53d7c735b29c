"""Features scored by a model that predicts the target from them: the surrogates of the public `outrank`.

Values are one-hot encoded, a model is cross-validated, and the score is 1 plus the median of the folds' mean
log-likelihoods. A score is comparable only with scores of the same rows, model, folds and seed.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.outrank.columns.codes import Codes, marginal
from sparsewatch.schemas.errors import ConfigError, SchemaError
from sparsewatch.schemas.settings import Range, check_range

FOLDS = 2
#: Most passes of a fit; it ends when it has converged.
MAX_ITER = 100_000
#: Dimensions of a random projection and of a singular value decomposition; fewer are left as they are.
PROJECTED = 1_024
DECOMPOSED = 2
#: Folds within a training fold that turn distances of the support vector machine into probabilities.
CALIBRATION_FOLDS = 5


def surrogate_score(
    model: str, features: Sequence[Codes], target: Codes, *, folds: int = FOLDS, seed: int = 0
) -> float:
    """How well a model predicts the target from the features.

    Each fold has its share of every target value. Rows of a value with fewer rows than folds cannot be both learnt and
    tested, and are left out.

    Args:
        model: A key of `MODELS`. The support vector machine takes time with the square of the rows.
        features: Columns the model sees, each of shape (n_rows,): the feature, or a reference set and the feature.
        target: Shape (n_rows,), of any number of values.
        folds: At least 2.
        seed: Of folds, models and projections.

    Returns:
        1 plus the median over folds of the mean log-likelihood: at most 1; 1 - ln 2 for a guess between two.

    Raises:
        ConfigError: If the model is unknown or `folds` is out of range.
        SchemaError: If fewer than two target values have rows enough.
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    if model not in MODELS:
        raise ConfigError(f"surrogate: expected one of {list(MODELS)}, got {model!r}")
    check_range(Range(at_least=2), folds, "folds")
    # Calibration splits a training fold again.
    rows = _learnable(target, folds * 2 if MODELS[model] is _svm else folds)
    encoded = _one_hot([Codes(column.codes[rows], column.n_values) for column in features])
    splits = StratifiedKFold(folds, shuffle=True, random_state=seed)
    smallest = int(np.unique(target.codes[rows], return_counts=True)[1].min())
    estimator = MODELS[model](encoded.shape[1], smallest - -(-smallest // folds), seed)
    with warnings.catch_warnings():
        _ignore_unconverged()
        scores = cross_val_score(estimator, encoded, target.codes[rows], scoring="neg_log_loss", cv=splits)
    return 1.0 + float(np.median(scores))


def _learnable(target: Codes, least: int) -> NDArray[np.int64]:
    """Positions of the rows whose target value has `least` rows or more."""
    sizes = marginal(target)
    enough = sizes >= least
    if np.count_nonzero(enough) < 2:
        counts = np.sort(sizes[sizes > 0])[::-1][:5].tolist()
        raise SchemaError(
            f"target of a surrogate: expected at least two values with {least} rows or more each, got values with "
            f"{counts or 'no'} rows"
        )
    return np.flatnonzero(enough[target.codes])


def _one_hot(columns: Sequence[Codes]) -> Any:
    """Sparse matrix with a 1 for the value of each column, shape (n_rows, sum of n_values)."""
    from scipy.sparse import csr_matrix

    offsets = np.cumsum([0, *(column.n_values for column in columns)])
    held = np.stack([column.codes + offset for column, offset in zip(columns, offsets, strict=False)], axis=1)
    starts = np.arange(0, held.size + 1, len(columns))
    return csr_matrix((np.ones(held.size), held.ravel(), starts), shape=(held.shape[0], int(offsets[-1])))


def _sgd(_dimensions: int, _smallest: int, seed: int) -> Any:
    from sklearn.linear_model import SGDClassifier

    return SGDClassifier(loss="log_loss", max_iter=MAX_ITER, random_state=seed)


def _lr(_dimensions: int, _smallest: int, _seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=MAX_ITER)


def _svm(_dimensions: int, smallest: int, seed: int) -> Any:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.svm import SVC

    machine = SVC(gamma="auto", random_state=seed)
    return CalibratedClassifierCV(machine, ensemble=False, cv=min(CALIBRATION_FOLDS, smallest))


def _projected_sgd(dimensions: int, smallest: int, seed: int) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.random_projection import SparseRandomProjection

    # Projected to as many dimensions as it has, a column would only lose values.
    if dimensions <= PROJECTED:
        return _sgd(dimensions, smallest, seed)
    return make_pipeline(SparseRandomProjection(PROJECTED, random_state=seed), _sgd(dimensions, smallest, seed))


def _decomposed_sgd(dimensions: int, smallest: int, seed: int) -> Any:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.pipeline import make_pipeline

    if dimensions <= DECOMPOSED:
        return _sgd(dimensions, smallest, seed)
    return make_pipeline(TruncatedSVD(DECOMPOSED, random_state=seed), _sgd(dimensions, smallest, seed))


def _ignore_unconverged() -> None:
    from sklearn.exceptions import ConvergenceWarning

    warnings.simplefilter("ignore", ConvergenceWarning)


#: Models by name, each made from the dimensions of its input, the fewest rows of a target value in a training fold and
#: a seed. What is fitted to data (projection, decomposition) is part of the model, so it never sees the tested fold.
MODELS: Mapping[str, Callable[[int, int, int], Any]] = {
    "SGD": _sgd,
    "LR": _lr,
    "SVM": _svm,
    "SGD-RP": _projected_sgd,
    "SGD-SVD": _decomposed_sgd,
}
