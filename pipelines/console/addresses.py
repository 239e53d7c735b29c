"""Addresses on the command line: ports that are listened on, and pages that are linked."""

from typing import Annotated
from urllib.parse import urlsplit

from sparsewatch.pipelines.console.numbers import ranged
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.settings import Range

#: Type of an option: a port, 0 for a free one.
PORT = ranged(Annotated[int, Range(at_least=0, at_most=65_535)])


def page_address(option: str, url: str) -> str:
    """An address below which pages lie, for links; empty if none is given.

    Args:
        option: Names it in messages.
        url: As it was given.

    Raises:
        ConfigError: If no page can lie below it, or it holds a password, which all who are told would see.
    """
    try:
        address = urlsplit(url)
    except ValueError as error:
        raise ConfigError(f"{option}: {url!r}: {error}") from None
    if url and (address.scheme not in ("http", "https") or not address.hostname or address.query or address.fragment):
        raise ConfigError(f"{option}: expected http://HOST:PORT or https://…, got {url!r}")
    if address.password:
        raise ConfigError(f"{option}: the address holds a password, which all who are told would see")
    return url
