"""Durations on the command line, such as `30s`, `5m`, `2h` or `7d`."""

from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import parse_duration_us


def duration_us(option: str, text: str) -> int:
    """Microseconds of what an option was given.

    Raises:
        ConfigError: Naming the option, if it is no duration.
    """
    try:
        return parse_duration_us(text)
    except ConfigError as error:
        raise ConfigError(f"{option}: {error}") from error
