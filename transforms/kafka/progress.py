"""Progress of a job, as committed.

It is one record in a compacted topic, written only behind durable results. One record holds all partitions, so a crash
can never leave them disagreeing on which windows are closed.
"""

from collections.abc import Mapping, Sequence

import msgspec

from sparsewatch.schemas.accounts import PROGRESS, Account, Marker, Progress
from sparsewatch.schemas.errors import StateError
from sparsewatch.schemas.instances import Copy
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.transforms.kafka.compacted import Compacted
from sparsewatch.transforms.kafka.instances import MAX_RECORD_BYTES, standings


def load_progress(settings: KafkaSettings, topic: str, job: str, digest: str) -> Progress | None:
    """The progress of the newest instance of a job that has one, None if there is none.

    Raises:
        StateError: If the record cannot be read, or was written with other settings that shape windows.
        SourceError: If the broker does not answer.
    """
    with Compacted(settings, topic, MAX_RECORD_BYTES, prefix=job.encode()) as records:
        return progress_of(records.newest(), topic, job, digest)


def progress_of(records: Mapping[bytes, bytes], topic: str, job: str, digest: str) -> Progress | None:
    """As `load_progress`, of the newest values of the keys of a progress topic.

    Raises:
        StateError: As `load_progress`.
    """
    progress = _parsed(records, topic, job)
    return None if progress is None else _checked(progress, topic, job, digest)


def _parsed(newest: Mapping[bytes, bytes], topic: str, job: str) -> Progress | None:
    try:
        copy = newest.get(job.encode())
        # Without an instance it is of an earlier release, which has run since: a commit would have replaced it.
        if copy is not None and PROGRESS.parse(copy, Copy).instance is None:
            return PROGRESS.parse(copy, Progress)
        found = [s.progress for s in standings(newest, job) if s.progress is not None]
        return found[-1] if found else None
    except StateError as error:
        raise StateError(f"topic {topic!r}: the progress of job {job!r} cannot be read: {error}") from error


def _checked(progress: Progress, topic: str, job: str, digest: str) -> Progress:
    if progress.settings != digest:
        raise StateError(
            f"job {job!r} was run with another topic, time column, window length or disorder: its open windows "
            f"cannot be resumed. Go back to those settings, or start again under another name (or with topic {topic!r} "
            "deleted)."
        )
    return progress


def is_next(progress: Progress, markers: Sequence[Marker]) -> bool:
    """Whether a window may be committed now: each of its markers follows the last one of its reader."""
    return all(m.sequence == progress.sequences.get(m.reader, 0) + 1 for m in markers)


def is_committed(progress: Progress, markers: Sequence[Marker]) -> bool:
    """Whether a window was committed before."""
    return all(m.sequence <= progress.sequences.get(m.reader, 0) for m in markers)


def advance(progress: Progress, markers: Sequence[Marker]) -> Progress:
    """The progress after the window of these markers."""
    account = sum((m.account for m in markers), Account())
    in_order = [m.window_end_us for m in markers if m.window_us not in m.ahead_us]
    closed_end_us = max([progress.closed_end_us, *in_order])
    ahead = {window for m in markers for window in m.ahead_us} | set(progress.ahead_us)
    return msgspec.structs.replace(
        progress,
        closed_end_us=closed_end_us,
        ahead_us=tuple(sorted(window for window in ahead if window >= closed_end_us)),
        partitions=progress.partitions | {p: point for m in markers for p, point in m.resume.items()},
        sequences=progress.sequences | {m.reader: m.sequence for m in markers},
        totals=progress.totals + account,
        windows=progress.windows + (not all(m.is_preface for m in markers)),
    )
