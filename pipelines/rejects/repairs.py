"""Repaired values of rejects: made by a shell command, or read from a file of JSON lines."""

import base64
import binascii
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec

from sparsewatch.schemas.errors import NOT_JSON, ConfigError, SchemaError

#: Makes the repaired value from id and original value; raises SchemaError where it cannot.
Repair = Callable[[str, bytes | None], bytes]


class RepairLine(msgspec.Struct):
    """One line of a repair file; lines of `rejects list --json` are of this form, too."""

    id: str
    value: str | None = None
    value_base64: str | None = None


def shell_repair(command: str) -> Repair:
    """A repair by a shell command: original bytes on its standard input, repaired bytes on its standard output."""

    def repair(_id: str, value: bytes | None) -> bytes:
        done = subprocess.run(command, shell=True, input=value or b"", capture_output=True, check=False)
        if done.returncode:
            last_line = done.stderr.decode(errors="backslashreplace").strip().splitlines()[-1:]
            raise SchemaError(": ".join([f"the repair ended with exit code {done.returncode}", *last_line]))
        if not done.stdout:
            raise SchemaError("the repair printed nothing")
        return done.stdout

    return repair


def read_repairs(path: Path) -> dict[str, bytes]:
    """Repaired values by id, from JSON lines; a line without a value is skipped.

    Raises:
        ConfigError: Naming the line that is wrong.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigError(f"--repair-file {path}: {error.strerror}") from error
    values: dict[str, bytes] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            repair = msgspec.json.decode(line, type=RepairLine)
            value = _repaired(repair)
        except (*NOT_JSON, binascii.Error, ConfigError) as error:
            raise ConfigError(f"--repair-file {path}, line {number}: {error}") from error
        if value is None:
            continue
        if repair.id in values:
            raise ConfigError(f"--repair-file {path}, line {number}: id {repair.id!r} is listed twice")
        values[repair.id] = value
    return values


def _repaired(repair: RepairLine) -> bytes | None:
    if repair.value is not None and repair.value_base64 is not None:
        raise ConfigError("expected `value` (text) or `value_base64`, got both")
    if repair.value_base64 is not None:
        return base64.b64decode(repair.value_base64, validate=True)
    return None if repair.value is None else repair.value.encode()
