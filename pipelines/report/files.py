"""A report as a file."""

from pathlib import Path

from sparsewatch.detectors.artefacts.atomic import write_file
from sparsewatch.schemas.errors import SinkError


def save(path: Path, data: bytes) -> None:
    """Write a file, or replace it in one step; its folder is made if it is missing.

    Raises:
        SinkError: If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, data)
    except OSError as error:
        raise SinkError(f"{path}: expected to write a report there, got {error}") from error
