"""Golden files: bytes that an earlier version stored, with which those of this version are compared.

A format that is stored somewhere (a topic, a model, a checkpoint) is read by later versions. Its golden file holds it
as it was once written: a change of the format then cannot pass unnoticed.
"""

import os
from pathlib import Path

#: Set to 1 to rewrite golden files after an intended change; review them before the commit.
REWRITE = "SPARSEWATCH_GOLDEN"
_SHOWN_BYTES = 24


def golden(path: Path | str, made: bytes, *, rewrite: bool | None = None) -> bytes:
    """Compare `made` with the golden file at `path`.

    Args:
        path: The file.
        made: What this version writes.
        rewrite: Whether to write the file instead of comparing; if absent, whether the environment variable
            `SPARSEWATCH_GOLDEN` is 1.

    Returns:
        The content of the file, to be decoded: an older version's bytes must still be read.

    Raises:
        AssertionError: If there is no such file, or its bytes differ; with the first place where they do.
    """
    path = Path(path)
    if os.environ.get(REWRITE) == "1" if rewrite is None else rewrite:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made)
    if not path.is_file():
        raise AssertionError(f"{path}: no such golden file; {REWRITE}=1 writes it")
    stored = path.read_bytes()
    if stored != made:
        raise AssertionError(f"{path}: {_difference(stored, made)}; {REWRITE}=1 rewrites it, if the change is intended")
    return stored


def _difference(stored: bytes, made: bytes) -> str:
    shorter = min(len(stored), len(made))
    at = next((i for i in range(shorter) if stored[i] != made[i]), shorter)
    there, here = stored[at : at + _SHOWN_BYTES], made[at : at + _SHOWN_BYTES]
    return f"expected {len(stored)} bytes, got {len(made)}; from byte {at} on: expected {there!r}, got {here!r}"
