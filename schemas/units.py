"""Durations, sizes and moments as people write them, read into microseconds and bytes."""

import re
from datetime import UTC, datetime, timedelta

from sparsewatch.schemas.errors import ConfigError

US_PER_SECOND = 1_000_000
#: Longest duration: with it sums of times stay far inside 64 bits.
_LONGEST_US = 36_500 * 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DURATION_US = {
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
}
#: Microseconds of the units in which events count the time since 1970.
US_PER_EPOCH_UNIT = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
_SIZE = {"B": 1, "kB": 1_000, "MB": 1_000_000, "KiB": 1_024, "MiB": 1_048_576}


def parse_duration_us(text: str) -> int:
    """Microseconds of a duration such as `"5m"`.

    >>> parse_duration_us("1.5s")
    1500000

    Raises:
        ConfigError: If the text is no duration, or one of more than 100 years.
    """
    duration_us = round(_number_with_unit(text, _DURATION_US, "a duration such as '500ms', '10s', '5m', '2h' or '1d'"))
    if duration_us > _LONGEST_US:
        raise ConfigError(f"expected a duration of at most 100 years, got {text!r}")
    return duration_us


def parse_size(text: str) -> int:
    """Bytes of a size such as `"4MB"`.

    >>> parse_size("1MiB")
    1048576

    Raises:
        ConfigError: If the text is no size.
    """
    return round(_number_with_unit(text, _SIZE, "a size such as '64KiB' or '4MB'"))


def _number_with_unit(text: str, units: dict[str, int], expected: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text.strip())
    if found is None or found[2] not in units:
        raise ConfigError(f"expected {expected}, got {text!r}")
    return float(found[1]) * units[found[2]]


def parse_moment_us(text: str) -> int:
    """Microseconds of an ISO-8601 time; without an offset it is UTC.

    >>> parse_moment_us("1970-01-01T00:00:01")
    1000000

    Raises:
        ConfigError: If the text is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"expected a time such as 2026-01-31T12:00Z, got {text!r}") from error
    return moment_us(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def moment_us(moment: datetime) -> int:
    """Microseconds of a time that has a zone.

    >>> moment_us(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC))
    1000005
    """
    return (moment - _EPOCH) // _MICROSECOND
