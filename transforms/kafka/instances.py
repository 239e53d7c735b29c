"""One job, one writer: an instance claims its job in the progress topic, and older ones find that and stop.

Whatever an older instance still writes there lies under its own key and counts for nobody: readers of the progress take
that of the newest instance. Records of older instances are removed with each claim, so the topic stays small.
"""

import logging
import os
import secrets
import socket
import time
from collections.abc import Mapping

import msgspec

from sparsewatch.schemas.accounts import Account, Progress
from sparsewatch.schemas.errors import FencedError
from sparsewatch.schemas.instances import STANDING, Instance, Standing
from sparsewatch.schemas.jobs import JobIdentity
from sparsewatch.transforms.kafka.client import Writer
from sparsewatch.transforms.kafka.compacted import Compacted, TopicRecreatedError

_logger = logging.getLogger(__name__)
#: Largest record of a progress topic.
MAX_RECORD_BYTES = 4 << 20


def standings(records: Mapping[bytes, bytes], job: str) -> list[Standing]:
    """Where the instances of a job stand, oldest first.

    Args:
        records: Newest values of the keys of a progress topic.
        job: Name of the job.

    Raises:
        StateError: If a record cannot be read.
    """
    found = [STANDING.parse(value, Standing) for key, value in records.items() if key.startswith(f"{job}/".encode())]
    return sorted(found, key=lambda standing: standing.instance.rank)


def write_standing(writer: Writer, job: JobIdentity, progress: Progress | None) -> None:
    """Send how far the instance of a job has committed; the caller flushes.

    Raises:
        ValueError: If the job was not claimed.
    """
    if job.instance is None:
        raise ValueError(f"job {job.job!r} was not claimed: nothing can be committed")
    fields = msgspec.structs.asdict(no_progress(job) if progress is None else progress)
    value = msgspec.json.encode(Standing(**fields, instance=job.instance, is_claim=progress is None))
    writer.send(job.topics.progress, _key(job.job, job.instance), value)
    if progress is not None:
        # For other readers, and for an earlier release that is started again.
        writer.send(job.topics.progress, job.job.encode(), value)


def no_progress(job: JobIdentity) -> Progress:
    """The progress of a job that has not committed yet."""
    return Progress(
        job=job.job,
        topic=job.topics.source,
        settings=job.settings_digest,
        closed_end_us=0,
        partitions={},
        sequences={},
        totals=Account(),
    )


def _key(job: str, instance: Instance) -> bytes:
    return f"{job}/{instance.generation}/{instance.id}".encode()


def progress_records(job: JobIdentity) -> Compacted:
    """The records of a job in its progress topic."""
    return Compacted(job.kafka, job.topics.progress, MAX_RECORD_BYTES, prefix=job.job.encode())


def claim(job: JobIdentity, records: Compacted, writer: Writer) -> JobIdentity:
    """Claim a job for this process; from now on older instances stop.

    Args:
        job: The job.
        records: See `progress_records`.
        writer: Writes the claim.

    Returns:
        The job with the instance that has claimed it.

    Raises:
        StateError: If the progress topic cannot be read.
        SourceError: If no broker answers.
        SinkError: If the broker refuses the claim.
    """
    before = standings(records.now(), job.job)
    instance = Instance(
        generation=1 + max((s.instance.generation for s in before), default=0),
        id=secrets.token_hex(8),
        host=socket.gethostname(),
        pid=os.getpid(),
        started_us=time.time_ns() // 1000,
    )
    claimed = msgspec.structs.replace(job, instance=instance)
    write_standing(writer, claimed, None)
    writer.flush()
    return claimed


def remove_older(job: JobIdentity, records: Compacted, writer: Writer) -> None:
    """Send the removal of what older instances wrote, once the progress of this one is durable; the caller flushes."""
    for standing in standings(records.now(), job.job):
        if job.instance is not None and standing.instance.rank < job.instance.rank:
            writer.send(job.topics.progress, _key(job.job, standing.instance), None)


class Watch:
    """Looks whether a newer instance has claimed the job; a reader of its own follows the progress topic.

    Args:
        job: Claimed by the instance that looks.
    """

    def __init__(self, job: JobIdentity) -> None:
        self._job = job
        #: What the instance itself has committed last, in whichever of its threads; None before its first commit.
        self.own: Progress | None = None
        self._records = Compacted(job.kafka, job.topics.progress, MAX_RECORD_BYTES, prefix=f"{job.job}/".encode())

    def check(self) -> None:
        """Look once.

        Raises:
            FencedError: If a newer instance runs the job.
            SourceError: If the broker does not answer.
        """
        own = self._job.instance
        if own is None:
            return
        for standing in standings(self._changes(), self._job.job):
            if standing.instance == own:
                self.own = standing.progress
            if standing.instance.rank > own.rank:
                raise FencedError(
                    f"job {self._job.job!r} was taken over by {standing.instance}: this run writes nothing more, and "
                    "what it has not committed is read by the other. A job runs once; give a second one another name."
                )

    def _changes(self) -> dict[bytes, bytes]:
        try:
            changes = dict(self._records.changes())
        except TopicRecreatedError:
            changes = dict(self._records.newest())
        return {key: value for key, value in changes.items() if value is not None}

    def close(self) -> None:
        """Close the connection."""
        self._records.close()
