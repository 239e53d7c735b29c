"""Moments as people and files write them, in microseconds since the epoch."""

from datetime import UTC, datetime, timedelta

from sparsewatch.schemas.errors import ConfigError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: Microseconds of an hour and of a day.
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
#: Microseconds of the units in which events count the time since 1970.
US_PER_EPOCH_UNIT = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}


def parse_moment_us(text: str) -> int:
    """Microseconds of an ISO-8601 time; without an offset it is UTC.

    >>> parse_moment_us("1970-01-01T00:00:01")
    1000000

    Raises:
        ConfigError: If the text is no such time.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"expected a time such as 2026-01-31T12:00Z, got {text!r}") from error
    return moment_us(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def moment_text(time_us: int) -> str:
    """A moment in UTC as people read it, to the second.

    >>> moment_text(1_767_225_600_000_000)
    '2026-01-01 00:00:00'
    """
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def moment_us(moment: datetime) -> int:
    """Microseconds of a time that has a zone.

    >>> moment_us(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC))
    1000005
    """
    return (moment - _EPOCH) // _MICROSECOND
