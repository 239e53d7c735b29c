"""Files and folders that a reader finds whole or not at all: written aside, then renamed into place.

A process that is killed leaves what was there before, and at worst a hidden file `.new-…` beside it. Nothing is flushed
to disk: what a power cut leaves is up to the file system.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = ".new-"


def write_file(path: Path, content: bytes, *, mode: int | None = None) -> os.stat_result:
    """Write a file, or replace it in one step. A link stays, and its target is replaced.

    Args:
        path: In a folder that exists. What is there and is not a regular file, such as `/dev/stdout`, is written to in
            place.
        content: The whole content.
        mode: Permissions; those of any new file if None.

    Returns:
        Status of the file as it was written.

    Raises:
        OSError: If it cannot be written; what was there before stays.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        target.write_bytes(content)
        return target.stat()
    with new_file(target) as aside:
        with aside.open("xb") as stream:
            stream.write(content)
        if mode is not None:
            aside.chmod(mode)
        return aside.stat()


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """The path of a file to write, which becomes `target` when the block ends; if the block raises, it is deleted.

    A link stays, and its target is replaced.

    Raises:
        OSError: If it cannot be moved into place; what was there before stays.
    """
    target = target.resolve()
    aside = target.with_name(f"{_PREFIX}{secrets.token_hex(8)}")
    try:
        yield aside
        aside.replace(target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """An empty folder that becomes `target`, readable by all, when the block ends; if the block raises, it is deleted.

    Raises:
        OSError: If it cannot be made, or there is a `target` that is not empty.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=target.parent))
    try:
        yield aside
        aside.chmod(0o755)
        aside.rename(target)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
