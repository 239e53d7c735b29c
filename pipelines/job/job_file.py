"""Job files: TOML in, a validated job out, with `--set key=value` on top."""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sparsewatch.pipelines.job.kind import Job
from sparsewatch.pipelines.job.kinds import J, expect_kind, parse_job
from sparsewatch.schemas.errors import ConfigError


def load_job(path: Path | str, overrides: Iterable[str] = ()) -> Job:
    """The job of a TOML file.

    Args:
        path: The file.
        overrides: `dotted.key=value` each; the value is TOML (`"text"`, `3`, `true`), else it is taken as text.

    Raises:
        ConfigError: Naming file and key, if anything about it is wrong.
    """
    path = Path(path)
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: the job file cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: expected TOML: {error}") from error
    for override in overrides:
        _override(settings, override)
    return parse_job(settings, str(path))


def load_job_of(kind: type[J], path: Path | str, overrides: Iterable[str] = (), *, why: str) -> J:
    """The job of a TOML file that must be of a kind, for commands of that kind.

    Args:
        kind: Struct of the kind.
        path: The file.
        overrides: See `load_job`.
        why: What only this kind has, for the message.

    Raises:
        ConfigError: As `load_job`, or if the job is of another kind.
    """
    return expect_kind(load_job(path, overrides), kind, str(path), why)


def _override(settings: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set: expected key=value, got {key!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        value = text
    *path, last = key.split(".")
    inner = settings
    for name in path:
        inner = inner.setdefault(name, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {key}: {name!r} is a value, not a table")
    inner[last] = value
