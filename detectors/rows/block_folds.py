"""How far the rows of a model's training data vary from stretch to stretch: what its windows may vary by, too.

A score is measured on rows of a stretch that no model has seen: each of four parts of the training data, in their own
order, is scored by a model of the other three. Were single rows left out (`cross_conformal`), their neighbours in time
would vouch for them. Methods that take long to fit score by the model itself, which has seen most rows; autoencoders
hardly know single rows.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sparsewatch.detectors.conformal import cuts
from sparsewatch.detectors.rows.encoding.encode import one_batch
from sparsewatch.detectors.rows.methods.registry import METHODS
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.windows.blocks import BlockSpread, block_size, block_sums, spread_between
from sparsewatch.detectors.rows.windows.column_drift import CUTS
from sparsewatch.detectors.rows.windows.links import ColumnLinks, spread_of_links

#: Parts of the training data, each of which is left out in turn.
_FOLDS = 4
#: Features that are counted at once.
_AT_ONCE = 64


def with_spread(
    model: RowModel, table: pa.Table, refit: Callable[[pa.Table], RowModel], rows_each: float = 1.0
) -> RowModel:
    """The model with the spread between blocks of its training data; without, if there are too few rows.

    Args:
        model: Calibrated.
        table: Its training data in their own order, calibration rows among them.
        refit: Fits a model of the same method on some of the rows.
        rows_each: Rows of the stream that each of them stands for, at least 1.
    """
    size = block_size(table.num_rows)
    X = model.encoder.transform(one_batch(table))
    hits = _scores(model, table, refit)[:, None] > cuts(model.calibration)
    return replace(
        model,
        column_blocks=_spread_of_columns(X, model.spread.cuts, size, rows_each),
        score_blocks=spread_between(block_sums(hits), size, rows_each),
        links=_links_with_spread(model, X, rows_each),
    )


def _links_with_spread(model: RowModel, X: NDArray[np.float32], rows_each: float) -> ColumnLinks | None:
    if model.links is None:
        return None
    return replace(model.links, blocks=spread_of_links(model.links, model.groups(X), rows_each))


def _scores(model: RowModel, table: pa.Table, refit: Callable[[pa.Table], RowModel]) -> NDArray[np.float32]:
    """Score of each row of the table, by models of other stretches."""
    if not METHODS[model.method].is_quick:
        own: NDArray[np.float32] = model.score(one_batch(table))
        return own
    fold = np.arange(table.num_rows) * _FOLDS // table.num_rows
    scores = np.zeros(table.num_rows, dtype=np.float32)
    for k in range(_FOLDS):
        others = refit(table.filter(pa.array(fold != k)))
        scores[fold == k] = others.score(one_batch(table.filter(pa.array(fold == k))))
    return scores


def _spread_of_columns(
    X: NDArray[np.float32], cuts_of: NDArray[np.float32], size: int, rows_each: float
) -> BlockSpread | None:
    """Of the shares below each cut, then up to it; shares of shape (2, d, CUTS) as of `ColumnSpread`."""
    counts = np.zeros((len(X) // size, 2, X.shape[1], CUTS), dtype=np.int64)
    for first in range(0, X.shape[1], _AT_ONCE):
        own = slice(first, first + _AT_ONCE)
        for i, cut in enumerate(cuts_of[own].T):
            counts[:, 0, own, i] = block_sums(X[:, own] < cut)
            counts[:, 1, own, i] = block_sums(X[:, own] <= cut)
    return spread_between(counts, size, rows_each)
