"""Row models as a scikit-learn outlier detector.

It lies in a module of its own since it needs scikit-learn.
"""

from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from sparsewatch.detectors.rows.cross_conformal import train_on_few_rows
from sparsewatch.detectors.rows.encoding.encode import EncoderConfig, one_batch
from sparsewatch.detectors.rows.methods.registry import DEFAULT, METHODS
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.training import train_row_model
from sparsewatch.schemas.errors import ConfigError, SchemaError

#: From so many rows on a fifth is held out for calibration; of fewer the model is fitted on all.
_HELD_OUT_FROM = 1000


class RowOutlierDetector(OutlierMixin, BaseEstimator):
    """Outliers among rows, by any method of `sparsewatch.detectors.rows.methods.registry`.

    `X` is an array of numbers, or a pandas or polars data frame, a pyarrow table or record batch, whose columns are
    numbers, text or booleans; the index of a pandas data frame is no column. A missing value (NaN, None) is allowed.
    If the column had missing values in the fit, it is encoded as the column's centre, with a feature that indicates it;
    if it had none, it is an extreme. An infinity is an extreme in `fit`, too.

    Below 1,000 rows the model is fitted on all, and calibrated by folds (`cross_conformal`); of more rows a fifth is
    held out (`training`), as for a job's models, so that p-values are valid.

    Args:
        method: A name in `METHODS`.
        contamination: Share of the rows fitted that `predict` calls outliers, in (0, 0.5]; "auto" for rows above
            Tukey's upper fence of the scores, third quartile + 1.5 interquartile ranges.
        scaling: "plain" or "robust", see `encode.EncoderConfig`; None for the method's own.
        random_state: Seed, as in scikit-learn.

    Attributes:
        model_: The `RowModel`.
        offset_: Threshold of `score_samples`: rows below are outliers.
        n_features_in_: Columns seen by `fit`.
        feature_names_in_: Their names, if `X` had names.

    Examples:
        >>> import numpy as np
        >>> X = np.random.default_rng(0).normal(size=(200, 3))
        >>> RowOutlierDetector(random_state=0).fit(X).predict([[0, 0, 0], [9, 9, 9]]).tolist()
        [1, -1]
    """

    def __init__(
        self,
        method: str = DEFAULT,
        *,
        contamination: float | Literal["auto"] = "auto",
        scaling: Literal["plain", "robust"] | None = None,
        random_state: Any = None,
    ) -> None:
        self.method = method
        self.contamination = contamination
        self.scaling = scaling
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit, calibrate and choose the threshold.

        Args:
            X: Shape (n_samples, n_features), at least 2 samples and 1 feature.
            y: Ignored.

        Raises:
            ConfigError: If a setting is out of range, or a column's type is not one of those above.
            SchemaError: If a data frame has too few rows, no column, or a duplicate name.
            ValueError: If scikit-learn rejects shapes or types.
        """
        del y
        self._check_settings()
        table = self._table(X, reset=True)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        encoder = EncoderConfig(scaling=self.scaling) if self.scaling else None
        train = train_on_few_rows if table.num_rows < _HELD_OUT_FROM else train_row_model
        self.model_ = train(table, method=self.method, encoder=encoder, seed=seed)
        self.offset_ = _offset(self.model_.score(one_batch(table)), self.contamination)
        return self

    @classmethod
    def of(cls, model: RowModel, *, contamination: float | Literal["auto"] = "auto") -> Self:
        """A detector that is fitted already, such as with `RowModel.load(path)`.

        Its threshold comes from the model's calibration scores, since the rows fitted are not at hand.

        Raises:
            ConfigError: If `contamination` is out of range.
        """
        detector = cls(model.method, contamination=contamination)
        detector._check_settings()
        names = list(model.encoder.names)
        detector.model_, detector.n_features_in_ = model, len(names)
        if names != _numbered(len(names)):
            detector.feature_names_in_ = np.array(names, dtype=np.object_)
        detector.offset_ = _offset(model.calibration, contamination)
        return detector

    @classmethod
    def load(cls, path: Path | str, *, contamination: float | Literal["auto"] = "auto") -> Self:
        """A detector from a folder that `save` or `sparsewatch train rows` wrote: a version's, or that of all versions.

        Raises:
            ModelError: If it is missing, damaged or of another kind.
            ConfigError: If `contamination` is out of range.
        """
        return cls.of(RowModel.load(path), contamination=contamination)

    def judge(self, X: Any) -> Any:
        """Columns `score`, `p_value` and `outlier` of each row, as a data frame of the kind of X.

        Pandas keeps its index; an array gives a pyarrow table.
        """
        model, batch = self._model(), self._batch(X)
        scores = model.score(batch)
        columns = {"score": scores, "p_value": model.p_values(scores), "outlier": -scores < self.offset_}
        if hasattr(X, "to_arrow") or _is_pandas(X):
            return type(X)(columns, index=X.index) if _is_pandas(X) else type(X)(columns)
        return pa.table(columns)

    def score_samples(self, X: Any) -> NDArray[np.float64]:
        """Negative score of each row by the model, shape (n_samples,): higher is more normal."""
        return -self._model().score(self._batch(X)).astype(np.float64)

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """`score_samples` relative to the threshold, shape (n_samples,): below 0 is an outlier."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> NDArray[np.int64]:
        """-1 for outliers, 1 for all others, shape (n_samples,)."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_values(self, X: Any) -> NDArray[np.float64]:
        """Share of calibration rows at least as anomalous as each row, shape (n_samples,)."""
        model = self._model()
        return model.p_values(model.score(self._batch(X)))

    def attribute(self, X: Any) -> NDArray[np.float64]:
        """How much each column contributes to the anomaly score of a row, shape (n_samples, n_features).

        High is anomalous, unlike for `score_samples`. The method's `terms` define the numbers and their sum.
        """
        return self._model().attribute(self._batch(X)).astype(np.float64)

    def save(self, folder: Path | str, *, about: dict[str, Any] | None = None, promote: bool = True) -> Path:
        """Store the model for a job; see `RowModel.save`."""
        return self._model().save(folder, about=about, promote=promote)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags

    def _check_settings(self) -> None:
        if self.method not in METHODS:
            raise ConfigError(f"method: expected one of {', '.join(METHODS)}, got {self.method!r}")
        share = self.contamination
        if share != "auto" and not (isinstance(share, int | float) and 0 < share <= 0.5):
            raise ConfigError(f"contamination: expected 'auto' or a share in (0, 0.5], got {share!r}")

    def _model(self) -> RowModel:
        check_is_fitted(self)
        model: RowModel = self.model_
        return model

    def _batch(self, X: Any) -> pa.RecordBatch:
        check_is_fitted(self)
        return one_batch(self._table(X, reset=False))

    def _table(self, X: Any, *, reset: bool) -> pa.Table:
        least = 2 if reset else 1
        if not hasattr(X, "__arrow_c_stream__"):
            X = validate_data(self, X, reset=reset, dtype=np.float64, ensure_all_finite=False, ensure_min_samples=least)
            names = getattr(self, "feature_names_in_", _numbered(X.shape[1]))
            return pa.table(list(X.T), names=list(names))
        # As a stream, polars gives text in views, which Arrow cannot filter, and pandas its index as a column.
        if _is_pandas(X):
            table = pa.Table.from_pandas(X, preserve_index=False)
        else:
            table = X.to_arrow() if hasattr(X, "to_arrow") else pa.table(X)
        if len(set(table.column_names)) < table.num_columns:
            raise SchemaError(f"X: expected columns of distinct names, got {table.column_names}")
        if table.num_rows < least or not table.num_columns:
            raise SchemaError(
                f"X: expected at least {least} rows and 1 column, got {table.num_rows} and {table.num_columns}"
            )
        validate_data(self, table, reset=reset, skip_check_array=True)
        return table


def _is_pandas(X: Any) -> bool:
    return hasattr(X, "index") and hasattr(X, "iloc")


def _numbered(n_columns: int) -> list[str]:
    """Names for columns without names."""
    return [f"x{i}" for i in range(n_columns)]


def _offset(scores: NDArray[np.float32], contamination: float | Literal["auto"]) -> float:
    """Negative of the score above which a row is an outlier."""
    if contamination != "auto":
        return float(np.quantile(-scores.astype(np.float64), contamination))
    low, high = np.quantile(scores.astype(np.float64), (0.25, 0.75))
    return -float(high + 1.5 * (high - low))
