"""Where a job stands: one record in a compacted topic, written only behind durable results.

One record holds all partitions, so a crash can never leave them disagreeing on which windows are closed.
"""

import msgspec

from sparsewatch.schemas.accounts import PROGRESS, Account, Marker, Progress
from sparsewatch.schemas.errors import StateError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.transforms.kafka.client import Writer
from sparsewatch.transforms.kafka.compacted import Compacted

_MAX_RECORD_BYTES = 4 << 20


def load_progress(settings: KafkaSettings, topic: str, job: str, digest: str) -> Progress | None:
    """The newest progress of a job, None if it never committed.

    Raises:
        StateError: If the record cannot be read, or was written with other settings that shape windows.
        SourceError: If the broker does not answer.
    """
    with Compacted(settings, topic, _MAX_RECORD_BYTES, prefix=job.encode()) as records:
        newest = records.newest().get(job.encode())
    return None if newest is None else _checked(newest, topic, job, digest)


def _checked(value: bytes, topic: str, job: str, digest: str) -> Progress:
    try:
        progress = PROGRESS.parse(value, Progress)
    except StateError as error:
        raise StateError(f"topic {topic!r}: the progress of job {job!r} cannot be read: {error}") from error
    if progress.settings != digest:
        raise StateError(
            f"job {job!r} was run with another topic, time column, window length or disorder: its open windows do not "
            f"fit. Go back to those settings, or begin anew under another name (or with topic {topic!r} deleted)."
        )
    return progress


class ProgressLog:
    """Commits markers in the order they were emitted, each only when its results are durable."""

    def __init__(self, job: str, source_topic: str, digest: str, topic: str, start: Progress | None) -> None:
        self._topic = topic
        self._ready: dict[tuple[int, int], tuple[Marker, ...]] = {}
        self.progress = start or Progress(
            job=job,
            topic=source_topic,
            settings=digest,
            closed_end_us=0,
            partitions={},
            sequences={},
            totals=Account(),
        )

    def done(self, markers: tuple[Marker, ...], writer: Writer) -> bool:
        """A window's results are durable: commit it, and those that waited for it.

        Args:
            markers: All markers of the window, one a reader.
            writer: Where the progress record goes; flushed here.

        Returns:
            Whether something was committed.
        """
        self._ready.update({(m.reader, m.sequence): markers for m in markers})
        before = self.progress
        while (step := self._next()) is not None:
            self.progress = advance(self.progress, step)
        if self.progress is before:
            return False
        writer.send(self._topic, self.progress.job.encode(), msgspec.json.encode(self.progress))
        writer.flush()
        return True

    def _next(self) -> tuple[Marker, ...] | None:
        sequences = self.progress.sequences
        for key in [k for k in self._ready if k[1] <= sequences.get(k[0], 0)]:
            del self._ready[key]
        for markers in self._ready.values():
            if all(m.sequence == sequences.get(m.reader, 0) + 1 for m in markers):
                return markers
        return None


def advance(progress: Progress, markers: tuple[Marker, ...]) -> Progress:
    """The progress after a window whose markers these are."""
    account = sum((m.account for m in markers), Account())
    return msgspec.structs.replace(
        progress,
        closed_end_us=max(progress.closed_end_us, *(m.window_end_us for m in markers)),
        partitions=progress.partitions | {p: point for m in markers for p, point in m.resume.items()},
        sequences=progress.sequences | {m.reader: m.sequence for m in markers},
        totals=progress.totals + account,
        windows=progress.windows + 1,
    )
