"""Event times, as events and files write them, in microseconds since the epoch: a whole column at once."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparsewatch.schemas.errors import SchemaError
from sparsewatch.schemas.jobs import TimeFormat
from sparsewatch.schemas.units import US_PER_EPOCH_UNIT

#: ISO 8601 by name: a format guessed from a batch would let neighbours decide what becomes of a time.
_ISO_FORMATS = (
    "%+",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M%#z",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
)
_DIGITS = r"^\s*-?\d{1,18}(\.0*)?\s*$"


def event_times_us(times: pa.Array, time_format: TimeFormat) -> tuple[np.ndarray, np.ndarray]:
    """Event times in microseconds since the epoch, and which of them are usable.

    Args:
        times: Integers in the format's unit, or ISO-8601 strings; strings without an offset are UTC.
        time_format: As in the job's settings.

    Returns:
        int64 array of shape (n,) and bool array of shape (n,): False where a time is null, cannot be
        parsed or lies before 1970.
    """
    if time_format == "iso8601":
        return _iso_times_us(times)
    unit = US_PER_EPOCH_UNIT[time_format]
    raw = pc.fill_null(times, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    good = (raw >= 0) & (raw <= np.iinfo(np.int64).max // unit // 2)
    return np.where(good, raw, 0) * unit, good


def file_times_us(times: pa.Array, time_format: TimeFormat) -> tuple[np.ndarray, np.ndarray]:
    """As `event_times_us`, for a column as files hold it.

    Args:
        times: Timestamps or dates, which need no format; numbers in the format's unit; texts of such numbers or of
            ISO 8601, as CSV has them.
        time_format: As in the job's settings.

    Raises:
        SchemaError: If the column is of another type, or holds texts none of which is a time.
    """
    if pa.types.is_timestamp(times.type) or pa.types.is_date(times.type):
        return event_times_us(times.cast(pa.timestamp("us"), safe=False).cast(pa.int64()), "epoch_us")
    try:
        if time_format == "iso8601":
            return event_times_us(times.cast(pa.string()), time_format)
        if pa.types.is_string(times.type) or pa.types.is_large_string(times.type):
            return _texts_us(times.cast(pa.string()), time_format)
        return event_times_us(times.cast(pa.int64()), time_format)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaError(f"expected event times in the format {time_format}, got {times.type}: {error}") from error


def _texts_us(texts: Any, time_format: TimeFormat) -> tuple[np.ndarray, np.ndarray]:
    numbers = pc.replace_substring_regex(texts, r"\.0*\s*$", "")
    numbers = pc.if_else(pc.match_substring_regex(texts, _DIGITS), pc.utf8_trim_whitespace(numbers), None)
    if numbers.null_count < len(texts) or texts.null_count == len(texts):
        return event_times_us(numbers.cast(pa.int64()), time_format)
    times, good = _iso_times_us(texts)
    if not good.any():
        shown = texts.drop_null()[0].as_py()
        raise SchemaError(f"expected event times in the format {time_format}, got {shown!r}")
    return times, good


def _iso_times_us(times: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    import polars as pl

    text = pl.Series(values=times, dtype=pl.String)
    parsed = pl.Series([None], dtype=pl.Datetime("us", "UTC")).new_from_index(0, len(text))
    for form in _ISO_FORMATS:
        left = parsed.is_null() & text.is_not_null()
        if not left.any():
            break
        parsed = parsed.zip_with(~left, text.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False))
    raw = parsed.cast(pl.Int64).fill_null(-1).to_numpy()
    return raw, raw >= 0
