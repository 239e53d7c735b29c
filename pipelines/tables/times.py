"""How a column of files writes event times: found from its values, refused where two readings are possible.

Time stamps need nothing; numbers count the time since 1970 in the unit expected; texts are such numbers, ISO 8601, or
of the one pattern below that all values of the column follow. Where numbers lie decades off and another reading does
not, the command asks, since a wrong unit is worse than none.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import polars as pl
import pyarrow as pa

from sparsewatch.pipelines.tables.rejects import shown
from sparsewatch.pipelines.tables.table import Table
from sparsewatch.pipelines.tables.text import is_text
from sparsewatch.schemas.errors import ConfigError, SchemaError
from sparsewatch.schemas.jobs import TimeFormat
from sparsewatch.schemas.settings import nearest
from sparsewatch.schemas.units import US_PER_EPOCH_UNIT
from sparsewatch.transforms.codecs.events import file_times_us

OPTION = "--input-time-format"
_FORMATS = get_args(TimeFormat)
_NS = "epoch_ns"
_NAMED = (*_FORMATS, _NS)
#: Event times of streams lie between these years.
_FIRST_US, _LAST_US = 946_684_800_000_000, 4_102_444_800_000_000
_DAYS = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%d %b %Y", "%d-%b-%Y", "%b %d, %Y")
_CLOCKS = ("", " %H:%M", " %H:%M:%S%.f", " %I:%M %p", " %I:%M:%S %p")
#: Dates in the orders of several countries.
_ORDERS = tuple(day + clock for day in _DAYS for clock in _CLOCKS)
#: Digits that are no count of units, by their number.
_PACKED = {
    6: ("%y%m%d",),
    8: ("%Y%m%d", "%y%m%d%H"),
    10: ("%Y%m%d%H", "%y%m%d%H%M"),
    12: ("%Y%m%d%H%M", "%y%m%d%H%M%S"),
    14: ("%Y%m%d%H%M%S",),
}
_FEW = 8


@dataclass(frozen=True, slots=True)
class Written:
    """How the times of a column are written."""

    column: str
    #: One of `TimeFormat`, `epoch_ns`, or a strptime pattern; for texts of ISO 8601 any of `TimeFormat`.
    form: str
    #: What was found without being asked for, for the user.
    remarks: tuple[str, ...] = ()

    def read(self, column: Any) -> tuple[np.ndarray, np.ndarray]:
        """Event times in microseconds since the epoch, and which of them are usable, each of shape (n,).

        Raises:
            SchemaError: If none of the values is a time.
        """
        if _is_moment(column.type):
            return file_times_us(column, "epoch_us")
        if self.form in US_PER_EPOCH_UNIT:
            return _counted(column, self.form)  # type: ignore[arg-type]
        if self.form in _FORMATS:
            return file_times_us(column, self.form)  # type: ignore[arg-type]
        texts = pl.Series(column)
        return _usable(texts.cast(pl.Int64) // 1_000 if self.form == _NS else _parsed(texts.cast(pl.String), self.form))

    def every(self, column: Any, name: str) -> pl.Series:
        """Event times in microseconds since the epoch; null stays null.

        Args:
            column: The column.
            name: The files, for the error.

        Raises:
            SchemaError: If a value is no time.
        """
        times, usable = self.read(column)
        wrong = column.filter(pa.array(~usable)).drop_null()
        if len(wrong):
            raise SchemaError(
                f"{name}: column {self.column!r}: expected times as {self.form}, got {shown(str(wrong[0].as_py()))}; "
                f"{OPTION} takes another format"
            )
        return pl.Series(self.column, times).set(pl.Series(~usable), None)


def find_written(
    name: str, columns: Iterable[Any], column: str, expected: TimeFormat, asked: str | None = None
) -> Written:
    """How times are written.

    Args:
        name: The files, for errors.
        columns: The values, piece by piece; read no further than needed.
        column: Name of the column.
        expected: Format that numbers have.
        asked: Format that the user says; it rules.

    Raises:
        ConfigError: If values have two readings, or the format expected reads numbers as times decades off.
        SchemaError: If values have no reading.
    """
    if asked is not None:
        if asked not in _NAMED and "%" not in asked:
            raise ConfigError(
                f"--input-time-format: expected one of {', '.join(_NAMED)} or a pattern such as %y%m%d%H, got "
                f"{asked!r}{nearest(asked, _NAMED)}"
            )
        return Written(column, asked)
    pieces = (values for values in columns if values.null_count < len(values))
    first = next(pieces, None)
    where = f"{name}: column {column!r}"
    written = Written(column, expected)
    if first is None:
        return written
    numbers = _numbers(first)
    try:
        times, usable = written.read(first)
    except SchemaError:
        if not is_text(first.type):
            raise
        if numbers is None:
            return _in_an_order(where, first, pieces, column)
        times, usable = np.zeros(0), np.zeros(0, bool)
    if text := doubt(first, times[usable], expected, f"with {OPTION}"):
        insist = f"; if {expected} is right, add {OPTION} {expected}" if usable.any() else ""
        raise ConfigError(f"{where}: {text}{insist}")
    if _plausible(times[usable]) or (numbers is None and not usable.any()):
        return written
    if numbers is not None and not usable.any():
        raise SchemaError(f"{where}: expected event times as {expected}, got numbers such as {numbers[0]}")
    return Written(column, expected, (_far_off(where, expected, times[usable]),))


def times_of(table: Table, column: str) -> Iterator[Any]:
    """The values of a table's column, piece by piece."""
    return (piece.column(column) for piece in table.unread().pieces())


def readings(numbers: np.ndarray) -> dict[str, int]:
    """Formats in which all numbers lie in this century, and the first time of each in microseconds since the epoch.

    Args:
        numbers: Whole numbers, at least one, shape (n,).

    Returns:
        By one of the epoch formats, `epoch_ns`, or a strptime pattern of packed digits; at most one of the former.
    """
    found = {}
    for form, unit in US_PER_EPOCH_UNIT.items():
        if numbers.min() >= _FIRST_US // unit and numbers.max() < _LAST_US // unit:
            found[form] = int(numbers[0]) * unit
    if numbers.min() >= _FIRST_US * 1_000 and numbers.max() < _LAST_US * 1_000:
        found[_NS] = int(numbers[0]) // 1_000
    texts = pl.Series(numbers).cast(pl.String)
    for pattern in _PACKED.get(len(texts[0]), ()):
        times = _parsed(texts, pattern)
        if not times.null_count() and times.is_between(_FIRST_US, _LAST_US).all():
            found[pattern] = int(times[0])
    return found


def _is_moment(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _counted(column: Any, form: TimeFormat) -> tuple[np.ndarray, np.ndarray]:
    """Times counted in a unit, fractions of it among them; texts may be ISO 8601 as well."""
    if pa.types.is_floating(column.type):
        return _fractions(pl.Series(column), form)
    try:
        times, usable = file_times_us(column, form)
    except SchemaError:
        times, usable = _fractions(pl.Series(column).cast(pl.Float64, strict=False), form)
        if not usable.any():
            raise
        return times, usable
    if usable.all() or not is_text(column.type):
        return times, usable
    others, fractions = _fractions(pl.Series(column).cast(pl.Float64, strict=False), form)
    return np.where(usable, times, others), usable | fractions


def _fractions(numbers: pl.Series, form: TimeFormat) -> tuple[np.ndarray, np.ndarray]:
    us = numbers.cast(pl.Float64) * US_PER_EPOCH_UNIT[form]
    return _usable(us.set(~us.is_finite() | (us.abs() >= float(1 << 62)), None).round().cast(pl.Int64))


def _usable(times_us: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    return times_us.fill_null(-1).to_numpy(), (times_us >= 0).fill_null(False).to_numpy()


def _in_an_order(where: str, first: Any, rest: Iterable[Any], column: str) -> Written:
    """The one pattern that all values follow."""
    left: Sequence[str] = _ORDERS
    for values in (first, *rest):
        texts = pl.Series(values).drop_nulls()
        fitting = [p for p in left if _follows(texts.head(_FEW), p) and _follows(texts, p)]
        if not fitting:
            wrong = dict.fromkeys(texts.filter(~_follow(texts, p))[0] for p in left)
            raise SchemaError(
                f"{where}: expected event times as numbers, ISO 8601 or dates of one order, got "
                f"{' and '.join(map(shown, list(wrong)[:2]))}; {OPTION} names their format"
            )
        left = fitting
    if len(left) > 1:
        both = " or ".join(f"{OPTION} '{p}'" for p in left)
        raise ConfigError(f"{where}: {shown(first.drop_null()[0].as_py())} has two readings; add {both}")
    return Written(column, left[0], (f"{where}: all of its times follow {left[0]}",))


def _follows(texts: pl.Series, pattern: str) -> bool:
    return bool(_follow(texts, pattern).all())


def _follow(texts: pl.Series, pattern: str) -> pl.Series:
    # A year of two digits is no year.
    return (_parsed(texts, pattern) >= 0).fill_null(False)


def _parsed(texts: pl.Series, pattern: str) -> pl.Series:
    """Microseconds of texts that follow a pattern, null for the others."""
    if "%H" in pattern and "%M" not in pattern:
        # polars takes an hour only together with a minute.
        texts, pattern = texts + ":00", pattern + ":%M"
    return texts.str.to_datetime(pattern, time_unit="us", strict=False).dt.epoch("us")


def doubt(column: Any, times_us: np.ndarray, expected: TimeFormat, way: str = "as") -> str | None:
    """What numbers may be that lie decades off, for a person; None if they do not, or nothing else fits.

    Args:
        column: The values.
        times_us: Those that are times as `expected`, in microseconds since the epoch.
        expected: One of the formats.
        way: What another reading is introduced by.
    """
    numbers = _numbers(column)
    if numbers is None or _plausible(times_us) or not (others := readings(numbers)):
        return None
    ways = " or ".join(f"{_day(time)} {way} '{form}'" for form, time in others.items())
    return f"{numbers[0]} is {_day(int(times_us[0])) if len(times_us) else 'no time'} as {expected}, but {ways}"


def _numbers(column: Any) -> np.ndarray | None:
    """Whole numbers of a column, or of its texts; None if it holds none."""
    if _is_moment(column.type):
        return None
    series = pl.Series(column).drop_nulls()
    numbers = series.cast(pl.Int64, strict=False)
    return (
        None if numbers.null_count() or not (series.dtype.is_numeric() or is_text(column.type)) else numbers.to_numpy()
    )


def _plausible(times_us: np.ndarray) -> bool:
    return bool(((times_us >= _FIRST_US) & (times_us < _LAST_US)).any())


def _far_off(where: str, expected: str, times_us: np.ndarray) -> str:
    return (
        f"{where}: event times lie in {_day(int(times_us[0]))[:4]}: is the column written as {expected}? "
        f"{OPTION} takes another format"
    )


def _day(time_us: int) -> str:
    if not 0 <= time_us < 253_402_300_800_000_000:
        return "beyond the year 9999"
    return str(pl.Series([time_us]).cast(pl.Datetime("us"))[0].date())
