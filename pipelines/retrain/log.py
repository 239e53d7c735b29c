"""The outcome of each retraining: `<root>/<name>/retraining.jsonl`, beside the versions, which never change."""

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from sparsewatch.schemas.errors import ModelError

LOG = "retraining.jsonl"

What = Literal["candidate", "promoted", "refused", "stays", "rolled back", "stopped"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line: what was done with a version, and why."""

    #: By the clock of the machine that retrained.
    at: datetime
    version: str
    #: Version that was the latest when the candidate was trained.
    present: str
    what: What
    reasons: tuple[str, ...] = ()
    #: Evidence: rows and windows of the training, or the figures of a shadow run.
    figures: dict[str, Any] = {}


def note(folder: Path, entry: Entry) -> None:
    """Add a line to the log of a model.

    Raises:
        ModelError: The file cannot be written.
    """
    path = folder / LOG
    try:
        with path.open("ab") as file:
            file.write(msgspec.json.encode(entry) + b"\n")
    except OSError as error:
        raise ModelError(f"cannot write {path}: {error.strerror}") from error
