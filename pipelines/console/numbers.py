"""Numbers on the command line: in the ranges that settings have, and refused in the same words."""

from typing import Any, get_args

import click

from sparsewatch.schemas.settings import check_range, range_of


def ranged(kind: Any) -> "_Whole | _Real":
    """Type of an option: the help states its range, and what is outside it is refused by the option's name.

    Args:
        kind: A type annotated with a range, such as `schemas.ranges.Count`.
    """
    return _Whole(kind) if get_args(kind)[0] is int else _Real(kind)


def _bounds(kind: Any) -> dict[str, Any]:
    stated = range_of(kind)
    return {
        "min": stated.above if stated.at_least is None else stated.at_least,
        "max": stated.below if stated.at_most is None else stated.at_most,
        "min_open": stated.at_least is None and stated.above is not None,
        "max_open": stated.at_most is None and stated.below is not None,
    }


class _Whole(click.IntRange):
    def __init__(self, kind: Any) -> None:
        super().__init__(**_bounds(kind))
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        return int(_checked(self._kind, click.INT.convert(value, param, ctx), param))


class _Real(click.FloatRange):
    def __init__(self, kind: Any) -> None:
        super().__init__(**_bounds(kind))
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        return _checked(self._kind, click.FLOAT.convert(value, param, ctx), param)


def _checked(kind: Any, given: float, param: click.Parameter | None) -> float:
    """The number itself.

    Raises:
        SettingError: If it is outside its range. The command line shows it like any wrong setting.
    """
    check_range(kind, given, "number" if param is None else param.opts[0])
    return given
