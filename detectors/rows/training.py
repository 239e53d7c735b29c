"""Fitting a row model: encoder and scorer on one part of the rows, calibration on the rest."""

from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa

from sparsewatch.detectors.rows.block_folds import with_spread
from sparsewatch.detectors.rows.encoding.encode import EncoderConfig, fit_encoder, one_batch
from sparsewatch.detectors.rows.methods.registry import DEFAULT, METHODS
from sparsewatch.detectors.rows.methods.scorer import Fit, Report
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.windows.column_drift import CUTS, no_spread, spread_of
from sparsewatch.detectors.rows.windows.copies import fit_copies
from sparsewatch.detectors.rows.windows.links import fit_links
from sparsewatch.detectors.rows.windows.tails import fit_tails
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import CountOrNone, Range, check_range, nearest

#: Fewest rows a model is fitted on.
MIN_ROWS = 20


def train_row_model(
    table: pa.Table,
    *,
    method: str = DEFAULT,
    fit: Fit | None = None,
    encoder: EncoderConfig | None = None,
    seed: int = 0,
    calibration_share: float = 0.2,
    report: Report | None = None,
    rows_each: float = 1.0,
) -> RowModel:
    """Fit and calibrate a model on all columns of `table`.

    Rows are permuted by the seed; encoder and scorer see the first part, the rest calibrates. How far stretches of the
    rows differ is measured in their own order, see `sparsewatch.detectors.rows.block_folds`.

    Args:
        table: Rows to call normal, in the order of the stream; some contamination is tolerated.
        method: Name in `registry.METHODS`.
        fit: The method's fit with other settings; with its defaults if None.
        encoder: Categories and scaling; the method's own scaling if None.
        seed: Source of all randomness, from 0.
        calibration_share: Share of the rows held out, between 0 and 1.
        report: Progress callback.
        rows_each: Rows of the stream that each row stands for, where they are a sample.

    Raises:
        ConfigError: If the method is unknown, there are too few rows, or a column cannot be encoded.

    Example:
        >>> table = pa.table({"x": np.random.default_rng(0).normal(size=500)})
        >>> model = train_row_model(table)
        >>> rows = pa.RecordBatch.from_pydict({"x": [0.1, 99.0]})
        >>> (model.p_values(model.score(rows)) < 0.02).tolist()
        [False, True]
    """
    if method not in METHODS:
        raise ConfigError(f"method: expected one of {', '.join(METHODS)}, got {method!r}{nearest(method, METHODS)}")
    if table.num_rows < MIN_ROWS:
        raise ConfigError(f"expected at least {MIN_ROWS} rows to train on, got {table.num_rows}")
    check_range(Range(above=0, below=1), calibration_share, "calibration_share")
    check_range(CountOrNone, seed, "seed")
    check_range(Range(at_least=1), rows_each, "rows_each")
    order = np.random.default_rng(seed).permutation(table.num_rows)
    n_held_out = max(1, round(calibration_share * table.num_rows))
    held_out = one_batch(table.take(np.sort(order[:n_held_out])))
    rows = table.take(np.sort(order[n_held_out:]))
    model = fit_row_model(rows, method=method, fit=fit, encoder=encoder, seed=seed, report=report)
    X = model.encoder.transform(held_out)
    whole = calibrated(model, model.score_matrix(X), model.attribute_matrix(X), X)
    fitted = whole.groups(model.encoder.transform(one_batch(rows)))
    whole = replace(
        whole,
        links=fit_links(fitted, whole.groups(X), CUTS + 1),
        copies=fit_copies(one_batch(table), model.encoder.names, rows_each),
        tails=fit_tails(model.encoder.numbers(one_batch(table))),
    )
    refit = partial(fit_row_model, method=method, fit=fit, encoder=encoder, seed=seed)
    return with_spread(whole, table, refit, rows_each)


def fit_row_model(
    rows: pa.Table,
    *,
    method: str,
    fit: Fit | None = None,
    encoder: EncoderConfig | None = None,
    seed: int = 0,
    report: Report | None = None,
) -> RowModel:
    """Encoder and scorer of all `rows`, without calibration: p-values are 1. Arguments as of `train_row_model`."""
    fitted = fit_encoder(rows, encoder or EncoderConfig(scaling=METHODS[method].scaling))
    return RowModel(
        encoder=fitted,
        method=method,
        scorer=(fit or METHODS[method].fit)(fitted.transform(one_batch(rows)), seed, report),
        calibration=np.empty(0, dtype=np.float32),
        baseline=np.zeros(len(fitted.columns), dtype=np.float32),
        spread=no_spread(fitted.n_features),
    )


def calibrated(model: RowModel, scores: np.ndarray, contributions: np.ndarray, X: np.ndarray) -> RowModel:
    """The model with a calibration sample.

    Args:
        model: As fitted.
        scores: Of rows that were held out, shape (m,).
        contributions: Of each column to these scores, shape (m, columns).
        X: These rows as the model encodes them, shape (m, d).

    Raises:
        ConfigError: If a score is not finite, such as after a training that diverged.
    """
    if not np.isfinite(scores).all():
        raise ConfigError(
            f"the fit of {model.method!r} failed: it scores held-out rows with numbers that are not finite"
        )
    return replace(model, calibration=np.sort(scores), baseline=np.median(contributions, axis=0), spread=spread_of(X))
