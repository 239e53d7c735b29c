"""The options that commands which read tables share."""

import functools
from collections.abc import Callable
from typing import Any

import click

from sparsewatch.pipelines.tables.encodings import check_encoding
from sparsewatch.pipelines.tables.settings import Reading


def names_of(text: str) -> tuple[str, ...]:
    """Names separated by commas, without the blanks around them."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def split_texts(_ctx: click.Context, _option: click.Parameter, text: str) -> tuple[str, ...]:
    """Texts separated by commas, unchanged."""
    return tuple(text.split(",")) if text else ()


def _encoding(_ctx: click.Context, _option: click.Parameter, name: str | None) -> str | None:
    return None if name is None else check_encoding(name)


ENCODING_OPTION: Any = click.option(
    "--encoding",
    callback=_encoding,
    metavar="NAME",
    help="Encoding of text without a byte order mark, such as cp1252 or utf-16-le.  [default: utf-8]",
)
_MISSING_OPTION: Any = click.option(
    "--missing",
    default="",
    callback=split_texts,
    metavar="A,B",
    help="Texts that stand for a missing value, besides the empty field of a CSV.",
)


INPUT_TIME_FORMAT_OPTION: Any = click.option(
    "--input-time-format",
    metavar="FMT",
    help="How files write event times: epoch_s, epoch_ms, epoch_us, epoch_ns, iso8601, or a strptime pattern such as "
    "%y%m%d%H.  [default: found from the values]",
)


def reading_options(command: Callable[..., Any]) -> Any:
    """Give a command `--missing` and `--encoding`, which it takes as one argument, `reading`."""

    @_MISSING_OPTION
    @ENCODING_OPTION
    @functools.wraps(command)
    def wrapped(*arguments: Any, missing: tuple[str, ...], encoding: str | None, **options: Any) -> Any:
        return command(*arguments, reading=Reading(missing=missing, encoding=encoding), **options)

    return wrapped
