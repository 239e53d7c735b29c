"""Columns of a table as codes: text, integers and few numbers by value, many numbers by quantile bins.

A column of measured numbers has as many values as rows, and counts of them are no help. Bins of equally many rows
keep what a ranking needs, and depend on the order of the numbers alone, not on their scale.
"""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparsewatch.detectors.counts.number_bins import binned, groups_of
from sparsewatch.detectors.outrank.columns.codes import Codes, encode, encode_as_text


class CodedColumn(NamedTuple):
    """A column of a table, and what its codes do not show."""

    codes: Codes
    #: Distinct values before binning, the missing one left out.
    cardinality: int
    #: Share of rows with a value, in [0, 1]; 0 without rows.
    coverage: float


def code_column(values: Any, bins: int, *, text_order: bool = False) -> CodedColumn:
    """Codes of a column; floats with more than `bins` distinct values are binned.

    Args:
        values: As for `codes.encode`. The missing value (null or NaN) has a code of its own.
        bins: Quantile bins, at least 1. Equal numbers share a bin, so there may be fewer.
        text_order: Whether values are numbered by their text, as for `encode_as_text`; bins ascend at any rate.
    """
    column = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, from_pandas=True)
    if pa.types.is_float16(column.type):
        column = column.cast(pa.float64())
    missing = pc.is_null(column, nan_is_null=True).to_numpy(zero_copy_only=False)
    codes = encode_as_text(column) if text_order else encode(column)
    cardinality = codes.n_values - bool(missing.any())
    if pa.types.is_floating(column.type) and cardinality > bins:
        codes = _binned(column.to_numpy(zero_copy_only=False), missing, bins)
    return CodedColumn(codes, cardinality, 1 - float(missing.mean()) if missing.size else 0.0)


def code_number(column: Any, bits: int) -> Codes:
    """Codes of a column of numbers as counts of bins are ranked: in groups of bins, ascending; the missing value first.

    Args:
        column: An Arrow array of integers or floats.
        bits: See `sparsewatch.detectors.counts.number_bins.bins_of`.
    """
    bins = binned(column, bits)
    held, places, rows = np.unique(
        bins.drop_null().to_numpy(zero_copy_only=False), return_inverse=True, return_counts=True
    )
    missing = bins.is_null().to_numpy(zero_copy_only=False)
    groups = groups_of(rows) + bool(missing.any())
    codes = np.zeros(missing.size, np.int32)
    codes[~missing] = groups[places]
    return Codes(codes, int(groups[-1]) + 1 if held.size else int(missing.any()))


def _binned(numbers: Any, missing: Any, bins: int) -> Codes:
    """Codes of bins, ascending; the missing value comes first."""
    held = np.asarray(numbers[~missing], np.float64)
    # The last row of each bin, in ascending order. Upper borders are values of the column, so no bin is empty.
    last = -(-np.arange(1, bins + 1) * held.size // bins) - 1
    borders = np.unique(np.partition(held, np.unique(last))[last])
    codes = np.zeros(missing.size, np.int32)
    codes[~missing] = np.searchsorted(borders, held) + bool(missing.any())
    return Codes(codes, int(borders.size) + bool(missing.any()))
