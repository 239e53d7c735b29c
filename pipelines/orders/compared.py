"""What a job compares its windows with, in words."""

from collections.abc import Iterator

from sparsewatch.detectors.artefacts.artefact import read_manifest
from sparsewatch.detectors.artefacts.versions import resolve_version
from sparsewatch.pipelines.job.kind import Job, Learned
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import ModelError


def compared_lines(job: Job) -> Iterator[str]:
    """What a job compares its windows with, a line each."""
    if job.learns:
        yield "learned from the job's own windows, less those with an incident and those that are excluded"
    for learned in job.learned():
        yield _fixed(learned)
    if not job.learns and not job.learned():
        yield "only its volume with its own earlier windows: it names no reference and no model"


def _fixed(learned: Learned) -> str:
    try:
        version = resolve_version(learned.path)
        windows = read_manifest(version)[0].meta.get("windows")
    except ModelError as error:
        return f"fixed: the {learned.what} of {learned.key}, which is not here: {error}"
    fitted = f", fitted to {counted(windows, 'window')}" if isinstance(windows, int) else ""
    return f"fixed: the {learned.what} of {learned.key}, {learned.path!r}, version {version.name}{fitted}"
