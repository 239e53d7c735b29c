"""Where a job stands before a run: compared with its topic as it is now, told, and committed.

The first run of a job commits where it begins, so that a job that starts at the newest records has a place to go on
from though it has read none. A later run finds a topic that was made anew, cut short or trimmed here, before its
readers do, and an alert does not wait for a window.
"""

from collections.abc import Sequence
from contextlib import closing

import msgspec

from sparsewatch.pipelines.job.ready import Ready
from sparsewatch.schemas.accounts import Account, Notice, Progress, ReaderState, ResumePoint
from sparsewatch.schemas.alerts import raise_alert
from sparsewatch.transforms.kafka.client import Writer
from sparsewatch.transforms.kafka.instances import no_progress, remove_older, write_standing
from sparsewatch.transforms.kafka.open import open_reader, open_writer
from sparsewatch.transforms.kafka.progress import load_progress
from sparsewatch.transforms.kafka.reader_start import log_notices, standing
from sparsewatch.transforms.kafka.resume import resume_point
from sparsewatch.transforms.kafka.source_findings import findings_of
from sparsewatch.transforms.window.alerts_file import AlertsFile
from sparsewatch.transforms.window.job_metrics import lost_metric


def begin(made: Ready, partitions: Sequence[int]) -> None:
    """Commit where a run of a job begins, and raise what happened to its topic since it was last read.

    Args:
        made: The job, claimed by this process; its topics exist.
        partitions: Of its source topic.

    Raises:
        StateError: If the job's progress was written with other settings.
        SourceError: If the broker does not answer.
        SinkError: If the broker refuses a record.
    """
    own = made.identity
    before = load_progress(own.kafka, own.topics.progress, own.job, own.settings_digest)
    with closing(open_reader(own.kafka, own.topics.source, made.events.max_record_bytes)) as reader:
        state = standing(reader, before, partitions, made.job.source.start, closely=True)
    log_notices(own.topics.source, state.notices)
    now = _moved(before or no_progress(own), state)
    with closing(open_writer(own.kafka)) as writer:
        _write_alerts(writer, made, now, state.notices)
        if state.lost:
            sample = lost_metric(now).of_job(own.job)
            writer.send(own.topics.metrics, sample.key.encode(), msgspec.json.encode(sample))
        # The progress last: a run that dies before finds the same again.
        writer.flush()
        write_standing(writer, own, now)
        writer.flush()
        remove_older(own, writer)


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


def _write_alerts(writer: Writer, made: Ready, now: Progress, notices: Sequence[Notice]) -> None:
    start_us = now.closed_end_us
    alerts = [
        raise_alert(finding, made.identity.job, start_us, start_us + made.windows.length_us)
        for finding in findings_of(made.topics.source, notices)
    ]
    for alert in alerts:
        writer.send(made.topics.alerts, alert.id.encode(), msgspec.json.encode(alert))
    AlertsFile(made.job.output.alerts_file).add(alerts)
