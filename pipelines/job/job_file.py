"""Job files: TOML in, a validated job out, with `--set key=value` on top."""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import Job, parse_job


def load_job(path: Path | str, overrides: Iterable[str] = ()) -> Job:
    """The job of a TOML file.

    Args:
        path: The file.
        overrides: `dotted.key=value` each; the value is TOML (`"text"`, `3`, `true`), or text if it is none.

    Raises:
        ConfigError: Naming file and key, if anything about it is wrong.
    """
    path = Path(path)
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: the job file cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected TOML: {error}") from error
    for override in overrides:
        _override(settings, override)
    return parse_job(settings, str(path))


def _override(settings: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set: expected key=value, got {override!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *path, last = key.split(".")
    inner = settings
    for name in path:
        inner = inner.setdefault(name, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {override}: {name!r} is a value, not a table")
    inner[last] = value
