"""What a job compares its windows with, and how far it has learned that itself, in words."""

from collections.abc import Iterator

import msgspec

from sparsewatch.detectors.artefacts.artefact import read_manifest
from sparsewatch.detectors.artefacts.versions import resolve_version
from sparsewatch.detectors.clicks.timely import told
from sparsewatch.detectors.learned_windows import STREAM, suspects
from sparsewatch.pipelines.job.kind import Job, Learned
from sparsewatch.pipelines.job.ready import Ready
from sparsewatch.pipelines.records.reading import MAX_BYTES, newest_records
from sparsewatch.schemas.accounts import Progress
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import ModelError
from sparsewatch.schemas.incidents import incident_id
from sparsewatch.schemas.units import moment_text
from sparsewatch.transforms.kafka.compacted import Compacted


class OwnBaseline(msgspec.Struct, frozen=True, kw_only=True):
    """What a job has learned of its own windows, as its newest window was compared."""

    #: Start of that window, microseconds since the epoch.
    window_start_us: int
    #: Windows that the baseline is learned of, and windows that it needs before one is checked.
    windows: int
    needed: int
    #: Start of the oldest of them, None while too few are learned.
    since_us: int | None = None
    #: Features that are not checked yet: too few windows are learned of them.
    learning: list[str] = []
    #: Features whose values are not checked, since they follow the time.
    timely: list[str] = []
    #: What a model found in that window and is as usual, where it learns beside one: rule and subject.
    usual: list[str] | None = None
    #: Incidents that fire, and the subjects that are not learned meanwhile; `stream` for all.
    held: dict[str, list[str]] = {}


def own_baseline(made: Ready, progress: Progress | None) -> OwnBaseline | None:
    """What a job has learned so far, None if it learns nothing or has closed no window.

    Raises:
        SourceError: If the broker does not answer.
        ConfigError: If its windows cannot be read.
    """
    if progress is None or not made.job.learns:
        return None
    own = made.identity
    with Compacted(own.kafka, own.topics.windows, MAX_BYTES, prefix=f"{own.job}/".encode()) as topic:
        newest = next(iter(newest_records(topic, 1, lambda record: "baseline" in record)), None)
    if newest is None:
        return None
    told = {
        key: newest["baseline"].get(key) for key in ("windows", "needed", "since_us", "learning", "timely", "usual")
    }
    return OwnBaseline(
        window_start_us=newest["window_start_us"],
        held=_held(progress, own.job),
        **{key: value for key, value in told.items() if value is not None},
    )


def _held(progress: Progress, job: str) -> dict[str, list[str]]:
    firing = [incident for incident in progress.incidents.known if not incident.is_resolved]
    held = {incident_id(job, incident.number): sorted(suspects(incident.members)) for incident in firing}
    return {incident: subjects for incident, subjects in held.items() if subjects}


def own_lines(own: OwnBaseline) -> Iterator[str]:
    """What a job has learned so far, a line each."""
    if own.usual is not None:
        yield f"{counted(own.windows, 'window')} learned beside the model; what {own.needed} of them show is usual"
        if own.usual:
            yield f"as usual, and not told: {', '.join(own.usual)}"
    elif own.since_us is None:
        yield f"it is learning: {own.windows} of {counted(own.needed, 'window')} so far; none is checked before"
    else:
        since = moment_text(own.since_us)
        yield f"the last window was compared with {counted(own.windows, 'window')}, the oldest of {since} UTC"
    if own.learning:
        yield f"not checked yet, with fewer than {counted(own.needed, 'window')} learned: {', '.join(own.learning)}"
    if own.timely:
        yield told(own.timely)
    for incident, subjects in own.held.items():
        named = "nothing" if STREAM in subjects else f"nothing of {', '.join(subjects)}"
        yield f"{named} is learned while {incident} fires"


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
