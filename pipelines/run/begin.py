"""Where a job stands before a run: compared with its topic as it is now, told, and committed.

The first run of a job commits where it begins, so that a job that starts at the newest records has a place to go on
from though it has read none. A later run finds a topic that was made anew, cut short or trimmed here, before its
readers do, and an alert does not wait for a window.
"""

import dataclasses
from collections.abc import Sequence
from contextlib import closing

import msgspec

from sparsewatch.detectors.incidents.lifecycle import Seen
from sparsewatch.pipelines.job.ready import Ready
from sparsewatch.schemas.accounts import Account, Notice, Progress, ReaderState, ResumePoint
from sparsewatch.schemas.jobs import JobIdentity
from sparsewatch.schemas.metrics import RECORDS_LOST
from sparsewatch.schemas.orders import in_force
from sparsewatch.transforms.kafka.client import Writer
from sparsewatch.transforms.kafka.compacted import Compacted
from sparsewatch.transforms.kafka.instances import claim, no_progress, progress_records, remove_older, write_standing
from sparsewatch.transforms.kafka.open import open_quick_reader
from sparsewatch.transforms.kafka.orders import read_orders
from sparsewatch.transforms.kafka.progress import progress_of
from sparsewatch.transforms.kafka.reader_start import log_notices, standing
from sparsewatch.transforms.kafka.resume import resume_point
from sparsewatch.transforms.kafka.source_findings import findings_of
from sparsewatch.transforms.window.alerts_file import AlertsFile
from sparsewatch.transforms.window.raise_alerts import raise_alerts, send_raised


def take_over(made: Ready, partitions: Sequence[int], writer: Writer) -> tuple[Ready, Progress]:
    """Claim a job for this process and begin its run, see `begin`; older instances stop.

    Args:
        made: The job; its topics exist.
        partitions: Of its source topic.
        writer: Of its broker.

    Returns:
        The job with the instance that has claimed it, and where its run begins.

    Raises:
        StateError: If the job's progress was written with other settings; it is not claimed then.
        SourceError: If the broker does not answer.
        SinkError: If the broker refuses a record.
    """
    own = made.identity
    with progress_records(own) as records:
        # Before the claim: a run that cannot go on from there must not stop the one that does.
        _progress(records, own)
        made = dataclasses.replace(made, identity=claim(own, records, writer))
        return made, _begin(made, partitions, records, writer)


def begin(made: Ready, partitions: Sequence[int], writer: Writer) -> None:
    """Commit where a run of a job begins, and raise what happened to its topic since it was last read.

    Args:
        made: The job, claimed by this process; its topics exist.
        partitions: Of its source topic.
        writer: Of its broker.

    Raises:
        StateError: If the job's progress was written with other settings.
        SourceError: If the broker does not answer.
        SinkError: If the broker refuses a record.
    """
    with progress_records(made.identity) as records:
        _begin(made, partitions, records, writer)


def _begin(made: Ready, partitions: Sequence[int], records: Compacted, writer: Writer) -> Progress:
    own = made.identity
    before = _progress(records, own)
    with closing(open_quick_reader(own.kafka, own.topics.source, made.events.max_record_bytes)) as reader:
        state = standing(reader, before, partitions, made.job.source.start, closely=True)
    log_notices(own.topics.source, state.notices)
    now = _moved(before or no_progress(own), state)
    now = _told(writer, made, now, state.notices)
    if state.lost:
        sample = RECORDS_LOST.sample(now.totals.lost).of_job(own.job)
        writer.send(own.topics.metrics, sample.key.encode(), msgspec.json.encode(sample))
    # The progress last: a run that dies before finds the same again.
    writer.flush()
    write_standing(writer, own, now)
    writer.flush()
    remove_older(own, records, writer)
    return now


def _progress(records: Compacted, own: JobIdentity) -> Progress | None:
    return progress_of(records.now(), own.topics.progress, own.job, own.settings_digest)


def _moved(progress: Progress, state: ReaderState) -> Progress:
    """The progress with its resume points as the state has them; partitions that are gone are forgotten."""
    points = {part.partition: resume_point(part) for part in state.partitions}
    gone = sum(_unread(point) for p, point in progress.partitions.items() if p not in points)
    return msgspec.structs.replace(
        progress, partitions=points, totals=progress.totals + Account(lost=state.lost + gone)
    )


def _unread(point: ResumePoint) -> int:
    """Offsets of windows that had not closed."""
    return max(0, point.high - point.offset) + point.gone


def _told(writer: Writer, made: Ready, now: Progress, notices: Sequence[Notice]) -> Progress:
    """The progress behind alerts on what happened to the source topic since."""
    next_window = Seen(now.closed_end_us, now.closed_end_us + made.windows.length_us, is_judged=False)
    findings = findings_of(made.topics.source, notices)
    orders = in_force(read_orders(made.identity), next_window.start_us, made.identity.compares)
    raised = raise_alerts(made.identity.job, next_window, findings, now.incidents, made.job.incidents, orders)
    send_raised(raised, made.topics, writer)
    AlertsFile(made.job.output.alerts_file).add(raised.alerts)
    return msgspec.structs.replace(now, incidents=raised.known)
