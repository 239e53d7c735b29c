"""Thresholds that a job file states by name, as the checks take them."""

from typing import Any, TypeVar

from sparsewatch.schemas.settings import read_settings

T = TypeVar("T")


def thresholds_of(key: str, given: dict[str, Any], settings: type[T]) -> T:
    """What is given, the rest by default.

    Args:
        key: Where in the job file they stand.
        given: By name.
        settings: A struct that checks their range.

    Raises:
        ConfigError: If one is unknown, of the wrong type or out of range.
    """
    return read_settings(given, settings, key)
