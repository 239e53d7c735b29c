"""Models and references that a job compares with: their versions, and what was latest before."""

from pathlib import Path
from typing import Any, NamedTuple

from sparsewatch.detectors.artefacts.versions import Move, history
from sparsewatch.pipelines.job.kind import Learned
from sparsewatch.pipelines.models.listing import about
from sparsewatch.pipelines.orders.compared import compared_lines
from sparsewatch.pipelines.web_console.asked import Asked, Shown
from sparsewatch.schemas.errors import ModelError

_MOVES = 10


class Versions(NamedTuple):
    """What was learned, and its versions; or why they cannot be read here."""

    learned: Learned
    versions: list[dict[str, Any]]
    moves: list[Move]
    fault: str


def models_page(asked: Asked) -> Shown:
    """Versions of all that the job names."""
    job = asked.job.job
    values = {"models": [_versions(one) for one in job.learned()], "compared": _compared(asked)}
    return Shown("models.html", {**values, "done": asked.is_done})


def _versions(learned: Learned) -> Versions:
    folder = Path(learned.path)
    try:
        return Versions(learned, about(folder)[::-1], history(folder)[-_MOVES:][::-1], "")
    except (ModelError, OSError) as error:
        return Versions(learned, [], [], f"it cannot be read on this machine: {error}")


def _compared(asked: Asked) -> list[str]:
    try:
        return list(compared_lines(asked.job.job))
    except (ModelError, OSError):
        return []
