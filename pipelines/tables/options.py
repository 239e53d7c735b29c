"""The option that commands which read tables share."""

from typing import Any

import click


def split_texts(_ctx: click.Context, _option: click.Parameter, text: str) -> tuple[str, ...]:
    """Texts separated by commas, unchanged."""
    return tuple(text.split(",")) if text else ()


MISSING_OPTION: Any = click.option(
    "--missing",
    default="",
    callback=split_texts,
    metavar="A,B",
    help="Texts that stand for a missing value, besides the empty field of a CSV.",
)
