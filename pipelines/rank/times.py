"""Event times of a table without a declared format: whole numbers by their size, text by its form."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import US_PER_SECOND

#: Least number that is read in this many units per second: seconds of the year 5138 are milliseconds of 1973.
_SIZES = ((1e17, 1_000 * US_PER_SECOND), (1e14, US_PER_SECOND), (1e11, 1_000), (0.0, 1))


def times_us(column: Any, name: str) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Microseconds since the epoch, and which rows have a time.

    Args:
        column: Arrow integers or floats (seconds, milli-, micro- or nanoseconds, recognised by their size) or text in
            ISO 8601 or a similar form, such as "2017-11-09 14:23:39".
        name: Of the column, for the error.

    Raises:
        ConfigError: If it is of another type, or no row has a time.
    """
    series = pl.Series(column)
    if series.dtype.is_numeric():
        times = _from_numbers(series)
    elif series.dtype == pl.String or series.dtype == pl.Categorical:
        times = _from_text(series.cast(pl.String))
    else:
        raise ConfigError(f"--time-column {name!r}: expected numbers or text, got {column.type}")
    known = times.is_not_null().to_numpy()
    if len(series) and not known.any():
        raise ConfigError(
            f"--time-column {name!r}: expected times, got values such as {series.drop_nulls().head(1).to_list()}"
        )
    return times.fill_null(0).to_numpy(), known


def _from_numbers(series: pl.Series) -> pl.Series:
    typical = series.abs().median()
    size = float(typical) if isinstance(typical, int | float) else 0.0
    units = next(units for least, units in _SIZES if size >= least)
    # Whole numbers must not go through floats, which would round nanoseconds.
    if units > US_PER_SECOND and series.dtype.is_integer():
        return series.cast(pl.Int64) // (units // US_PER_SECOND)
    if series.dtype.is_integer():
        return series.cast(pl.Int64) * (US_PER_SECOND // units)
    return (series.cast(pl.Float64) * (US_PER_SECOND / units)).round().cast(pl.Int64, strict=False)


def _from_text(series: pl.Series) -> pl.Series:
    numbers = series.cast(pl.Int64, strict=False)
    if numbers.null_count() == series.null_count() and len(series):
        return _from_numbers(numbers)
    try:
        moments = series.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
    except pl.exceptions.PolarsError:
        return pl.repeat(None, len(series), dtype=pl.Int64, eager=True)
    return moments.dt.epoch("us")
