"""Settings that a person writes: checked whole when made, and refused in one style, `table.key: expected …, got …`."""

import re
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from sparsewatch.schemas.errors import ConfigError, SettingError
from sparsewatch.schemas.ranges import check_ranges

T = TypeVar("T")

#: How msgspec ends its messages: with the place, from the root on.
_PLACE = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<key>.*)`)?", re.DOTALL)
#: Stands for some entry of a dictionary.
_ENTRY = "[*]"
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
        raise ConfigError(_in_words(str(error), key, kind, given)) from error


def _in_words(message: str, table: str, kind: Any, given: Any) -> str:
    """The message with the full key first."""
    found = _PLACE.fullmatch(message)
    what, key = (message, "") if found is None else (found["what"], (found["key"] or "").replace("[...]", _ENTRY))
    if own := _OWN.fullmatch(what):
        key, what = _joined(key, own["key"]), own["what"]
    elif key and (choice := _choice(key.split("."), kind, given)):
        key, what = choice
    what = _UNKNOWN.sub(r"unknown key '\1'", _MISSING.sub(r"expected the key '\1', it is missing", what))
    place = _joined(table, key)
    return f"{place}: {what[0].lower()}{what[1:]}" if place else what


def _choice(path: list[str], kind: Any, given: Any) -> tuple[str, str] | None:
    """The full key of a word that is none of those it may be, and what is wrong; None for other keys."""
    *tables, last = path
    name = last.removesuffix(_ENTRY)
    for table in (*tables, name):
        if not isinstance(given, Mapping) or table not in given:
            return None
        kind, given = _field(kind, table), given[table]
    full = ".".join([*tables, name])
    if name != last:
        kind = get_args(kind)[1]
    if get_origin(kind) is not Literal:
        return None
    if name != last:
        # msgspec does not say which entry of a dictionary is wrong: the first is named that is.
        full, given = next((f"{full}.{key}", entry) for key, entry in given.items() if entry not in get_args(kind))
    return full, f"expected one of {', '.join(repr(word) for word in get_args(kind))}, got {given!r}"


def _field(kind: Any, name: str) -> Any:
    """Type of a field, without None."""
    stated = get_type_hints(kind)[name]
    parts = [part for part in get_args(stated) if part is not NoneType]
    return parts[0] if get_origin(stated) in (Union, UnionType) and len(parts) == 1 else stated


def _joined(*keys: str) -> str:
    return ".".join(key for key in keys if key)
