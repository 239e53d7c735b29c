"""Settings that a person writes: checked whole when made, and refused in one style, `table.key: expected …, got …`."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from sparsewatch.schemas.errors import ConfigError, SettingError
from sparsewatch.schemas.ranges import check_ranges

T = TypeVar("T")

#: How msgspec ends its messages: with the place, from the root on.
_PLACE = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<key>.*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_MISSING = re.compile(r"Object missing required field `(.*)`")
_OWN = re.compile(r"(?P<key>[\w.]+): (?P<what>expected .*)", re.DOTALL)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of settings. Numbers are in the ranges their fields state."""

    def __post_init__(self) -> None:
        check_ranges(self)


def read_settings(given: Mapping[str, Any], kind: type[T], key: str = "") -> T:
    """Settings from what a file or a command line gives, the rest by default.

    Args:
        given: By name.
        kind: The struct they make.
        key: Where in the file they stand; empty for the whole of it.

    Raises:
        ConfigError: Naming the full key of what is unknown, missing, of the wrong type or out of range.
    """
    try:
        return msgspec.convert(given, kind)
    except (msgspec.ValidationError, SettingError) as error:
        raise ConfigError(_in_words(str(error), key)) from error


def _in_words(message: str, table: str) -> str:
    """The message with the full key first."""
    found = _PLACE.fullmatch(message)
    what, key = (message, "") if found is None else (found["what"], found["key"] or "")
    if own := _OWN.fullmatch(what):
        key, what = _joined(key, own["key"]), own["what"]
    what = _UNKNOWN.sub(r"unknown key '\1'", _MISSING.sub(r"expected the key '\1', it is missing", what))
    place = _joined(table, key)
    return f"{place}: {what[0].lower()}{what[1:]}" if place else what


def _joined(*keys: str) -> str:
    return ".".join(key for key in keys if key)
