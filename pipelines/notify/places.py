"""Where the command line says that addresses and tokens are: secrets stand in the environment or in a file."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from sparsewatch.pipelines.notify.http import Remote
from sparsewatch.pipelines.notify.webhooks import Webhook
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.secrets import Secret

#: Names of receivers: they are part of keys and of labels.
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


def named_webhooks(addresses: Iterable[str], tokens: Iterable[str], ca_file: str | None) -> list[Webhook]:
    """Webhooks of `--webhook` and `--webhook-token`.

    Args:
        addresses: `NAME=URL`, or a place instead of a URL that is secret.
        tokens: `NAME=PLACE`.
        ca_file: See `Remote`.

    Raises:
        ConfigError: If one cannot be read, or names nothing.
    """
    urls = _by_name("--webhook", addresses)
    places = _by_name("--webhook-token", tokens)
    if unknown := places.keys() - urls.keys():
        raise ConfigError(f"--webhook-token: expected the name of a --webhook, got {min(unknown)!r}")
    return [Webhook(name, _remote(name, where, places.get(name), ca_file)) for name, where in urls.items()]


def _remote(name: str, where: str, token: str | None, ca_file: str | None) -> Remote:
    url = _placed("--webhook", where)
    address = urlsplit(url or where)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ConfigError(f"--webhook: expected {name}=http://HOST/…, https://…, env:VARIABLE or file:PATH")
    if url is None and address.password:
        raise ConfigError(f"--webhook: the address of {name!r} holds a password: give it as env:VARIABLE or file:PATH")
    secret = None if token is None else _placed("--webhook-token", token)
    if token is not None and secret is None:
        # What was given may be the token itself, so it is not shown.
        raise ConfigError(f"--webhook-token: expected {name}=env:VARIABLE or {name}=file:PATH")
    return Remote(f"webhook {name!r}", where if url is None else url.reveal(), secret, ca_file)


def _by_name(option: str, given: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, _, value = text.partition("=")
        if not _NAME.fullmatch(name) or not value:
            raise ConfigError(f"{option}: expected NAME=…, a name of a-z, 0-9, '-' and '_'")
        if name in found:
            raise ConfigError(f"{option}: {name!r} is given twice")
        found[name] = value
    return found


def _placed(option: str, where: str) -> Secret | None:
    """The secret of a place; None if it is none."""
    kind, _, place = where.partition(":")
    if kind == "env":
        return secret_of((option, place), (option, None))
    return secret_of((option, None), (option, Path(place))) if kind == "file" else None


def secret_of(variable: tuple[str, str | None], file: tuple[str, Path | None]) -> Secret | None:
    """The secret that a variable of the environment or a file holds; None if neither is named.

    Args:
        variable: The option that names it, and its name.
        file: The option that names it, and its path.

    Raises:
        ConfigError: If both are named, or what is named cannot be read.
    """
    if variable[1] is not None and file[1] is not None:
        raise ConfigError(f"expected one of {variable[0]} and {file[0]}, got both")
    if variable[1] is not None:
        if not (found := os.environ.get(variable[1])):
            raise ConfigError(f"{variable[0]}: the environment has no variable of that name, or it is empty")
        return Secret(found)
    if file[1] is None:
        return None
    try:
        return Secret(file[1].read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file[0]}: {file[1]} cannot be read: {error}") from None
