"""Feature selection for scikit-learn by any heuristic of `sparsewatch.detectors.outrank`.

In a module of its own since it needs scikit-learn; `from sparsewatch.detectors.outrank import OutRankSelector`
loads it.
"""

import warnings
from collections.abc import Sequence
from numbers import Integral
from typing import Any, NamedTuple, Self

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from scipy.stats import false_discovery_control
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.utils import assert_all_finite, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.validation import check_is_fitted, validate_data

from sparsewatch.detectors.outrank import heuristics
from sparsewatch.detectors.outrank.columns.codes import Codes
from sparsewatch.detectors.outrank.columns.quantile_bins import CodedColumn, code_column
from sparsewatch.detectors.outrank.ranking import RankedFeature, ScoredFeature, rank_codes
from sparsewatch.schemas.errors import ConfigError, SchemaError
from sparsewatch.schemas.settings import Level, check_range


class OutRankSelector(SelectorMixin, BaseEstimator):
    """Selects the features with most information on the label.

    `X` is an array, a sparse matrix (ranked a column at a time), a polars data frame or a pyarrow table or record
    batch, whose selection is of the same type. Values are text, integers, booleans or floats; the missing value (None
    or NaN) is a value. The label has any number of classes.

    Args:
        heuristic: A name of `sparsewatch.detectors.outrank.heuristics.HEURISTICS`.
        k: Features to keep at most, by score, ties by name; None for any number.
        alpha: Of those, features to keep at a false discovery rate (Benjamini and Hochberg, J. R. Stat. Soc. B 57,
            1995), in (0, 1), with the p-values of "MI-EMI"; None for no test.
        bins: Quantile bins of a column of floats, or a label of floats, with more distinct values than that; at least
            2. All other values are taken as they are.
        reference: Names of columns that a surrogate sees beside each feature ("x0", "x1" … where `X` has no names). A
            feature among them has the score of the reference alone.
        random_state: Seed of the heuristics that draw at random, as in scikit-learn.

    Attributes:
        scores_: Score of each feature, shape (n_features,); more is better.
        p_values_: Of each feature, shape (n_features,), not corrected; None but for "MI-EMI".
        ranking_: `RankedFeature` of "MI-EMI", `ScoredFeature` of others, best first.
        n_features_in_: Features seen by `fit`.
        feature_names_in_: Their names, where `X` had some.

    Examples:
        >>> import polars as pl
        >>> clicks = pl.DataFrame({"ad": ["a", "b"] * 50, "hour": list(range(20)) * 5, "site": ["x"] * 100})
        >>> selector = OutRankSelector(k=1).fit(clicks, [1, 0] * 50)
        >>> selector.get_feature_names_out().tolist()
        ['ad']
    """

    def __init__(
        self,
        heuristic: str = heuristics.DEFAULT_HEURISTIC,
        *,
        k: int | None = 10,
        alpha: float | None = None,
        bins: int = 16,
        reference: Sequence[str] = (),
        random_state: Any = None,
    ) -> None:
        self.heuristic = heuristic
        self.k = k
        self.alpha = alpha
        self.bins = bins
        self.reference = reference
        self.random_state = random_state

    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Rank the features and choose.

        Args:
            X: Shape (n_samples, n_features), at least 2 samples and 1 feature.
            y: Label of each sample, shape (n_samples,), of at least 2 classes, none missing.

        Raises:
            ConfigError: If a setting is out of range, or the heuristic does not work with the others.
            SchemaError: If a column mixes types, a name comes twice or the label has one class.
            ValueError: If scikit-learn finds shapes or types at fault.
        """
        self._check_settings()
        X, y = self._validated(X, y)
        known = heuristics.heuristic(self.heuristic)
        label = self._coded_label(y, known.text_order)
        columns = _Columns(X, self._names(), self.bins, known.text_order)
        self.ranking_ = self._ranked(columns, label)
        self._choose(columns.names)
        return self

    def transform(self, X: Any) -> Any:
        """The selected columns of `X`.

        Args:
            X: Shape (n_samples, n_features), with the names seen by `fit`.

        Returns:
            Shape (n_samples, n_selected): a data frame or table like `X`, else an array or sparse matrix.
        """
        if not _has_select(X):
            return super().transform(X)
        check_is_fitted(self)
        validate_data(self, _named(X), skip_check_array=True, reset=False)
        if not self.support_.any():
            warnings.warn("expected features to select, found none: see k and alpha", UserWarning, stacklevel=2)
        names = X.columns if isinstance(X, pl.DataFrame) else X.schema.names
        return X.select([names[i] for i in np.flatnonzero(self.support_)])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.input_tags.sparse = True
        return tags

    def _get_support_mask(self) -> NDArray[np.bool_]:
        check_is_fitted(self)
        return self.support_

    def _check_settings(self) -> None:
        for name, value, least in (("k", 1 if self.k is None else self.k, 1), ("bins", self.bins, 2)):
            if not isinstance(value, Integral) or value < least:
                raise ConfigError(f"{name}: expected an integer of at least {least}, got {value!r}")
        if self.alpha is None:
            return
        check_range(Level, self.alpha, "alpha")
        if self.heuristic != heuristics.DEFAULT_HEURISTIC:
            raise ConfigError(
                f"alpha: expected heuristic {heuristics.DEFAULT_HEURISTIC!r}, which has p-values, got "
                f"{self.heuristic!r}: set k instead"
            )

    def _validated(self, X: Any, y: Any) -> tuple[Any, Any]:
        if not _is_table(X):
            return validate_data(  # type: ignore[no-any-return]
                self, X, y, dtype=None, accept_sparse="csc", ensure_all_finite=False, ensure_min_samples=2
            )
        names = pa.table(X).schema.names
        if len(set(names)) < len(names):
            raise SchemaError(f"X: expected columns of distinct names, got {names}")
        X, y = validate_data(self, _named(X), y, skip_check_array=True)
        y = column_or_1d(y, warn=True)
        check_consistent_length(X, y)
        assert_all_finite(y, input_name="y")
        if min(X.shape[0] - 1, X.shape[1]) < 1:
            raise SchemaError(f"X: expected at least 2 rows and 1 column, got {X.shape[0]} and {X.shape[1]}")
        return pa.table(X), y

    def _coded_label(self, y: Any, text_order: bool) -> Codes:
        label = _coded("y", y, self.bins, text_order)
        if label.coverage < 1:
            raise SchemaError(f"y: expected a class for each row, got {1 - label.coverage:.1%} rows without")
        if label.codes.n_values < 2:
            raise SchemaError("y: expected at least two classes, got one class")
        return label.codes

    def _names(self) -> list[str]:
        names = list(getattr(self, "feature_names_in_", [f"x{i}" for i in range(self.n_features_in_)]))
        if unknown := [name for name in self.reference if name not in names]:
            raise ConfigError(f"reference: expected names of columns, got {unknown}")
        return names

    def _ranked(self, columns: "_Columns", label: Codes) -> list[ScoredFeature]:
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        reference = [columns.coded(columns.names.index(name)).codes for name in self.reference]
        scored = [
            self._scored(name, columns.coded(place), label, reference, seed) for place, name in enumerate(columns.names)
        ]
        scored.sort(key=lambda feature: (-feature.score, feature.feature))
        return [msgspec.structs.replace(feature, rank=rank) for rank, feature in enumerate(scored, start=1)]

    def _scored(self, name: str, column: CodedColumn, label: Codes, reference: list[Codes], seed: int) -> ScoredFeature:
        # With a reference, `score` says that this heuristic takes none.
        if self.heuristic == heuristics.DEFAULT_HEURISTIC and not reference:
            (ranked,) = rank_codes({name: column.codes}, label)
            return msgspec.structs.replace(ranked, cardinality=column.cardinality, coverage=column.coverage)
        score = heuristics.score(self.heuristic, column.codes, label, reference=reference, seed=seed)
        return ScoredFeature(
            feature=name, rank=1, score=score, cardinality=column.cardinality, coverage=column.coverage
        )

    def _choose(self, names: list[str]) -> None:
        ranked = {feature.feature: feature for feature in self.ranking_}
        in_order = [ranked[name] for name in names]
        self.scores_ = np.array([feature.score for feature in in_order])
        tested = [feature.p_value for feature in in_order if isinstance(feature, RankedFeature)]
        self.p_values_ = np.array(tested) if tested else None
        self.support_ = np.array([self.k is None or feature.rank <= self.k for feature in in_order])
        if self.alpha is not None:
            self.support_ &= false_discovery_control(self.p_values_, method="bh") <= self.alpha


class _Columns(NamedTuple):
    """Columns that are coded when they are asked for: those of a wide sparse matrix do not fit in memory at once."""

    #: An array, a sparse matrix by columns, or an Arrow table.
    X: Any
    names: list[str]
    bins: int
    text_order: bool

    def coded(self, place: int) -> CodedColumn:
        """Codes of the column at a place.

        Raises:
            SchemaError: If its values are not of one type that can be compared.
        """
        if issparse(self.X):
            values = self.X[:, [place]].toarray().ravel()
        else:
            values = self.X.column(place) if isinstance(self.X, pa.Table) else self.X[:, place]
        return _coded(self.names[place], values, self.bins, self.text_order)


def _coded(name: str, values: Any, bins: int, text_order: bool) -> CodedColumn:
    try:
        return code_column(values, bins, text_order=text_order)
    except pa.ArrowException as error:
        raise SchemaError(f"{name}: expected values of one type, text or numbers, got others: {error}") from error


def _is_table(X: Any) -> bool:
    """Whether X has columns of their own types: a data frame or an Arrow table."""
    return hasattr(X, "__arrow_c_stream__") and len(getattr(X, "shape", ())) == 2


def _named(X: Any) -> Any:
    """X, of a type whose names scikit-learn reads."""
    return pa.table(X) if isinstance(X, pa.RecordBatch) else X


def _has_select(X: Any) -> bool:
    """Whether the selection of X is of X's own type."""
    return isinstance(X, pl.DataFrame | pa.Table | pa.RecordBatch)
