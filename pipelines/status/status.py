"""How a job stands: its incidents, its accounts, how far it is behind, and who runs it; read from its progress."""

from collections.abc import Mapping
from contextlib import closing

import msgspec

from sparsewatch.pipelines.job.ready import Ready, state_topics
from sparsewatch.pipelines.orders.compared import own_baseline
from sparsewatch.pipelines.orders.desk import silencing
from sparsewatch.pipelines.orders.wording import held_until
from sparsewatch.schemas.accounts import PREFACE_US, Account, Progress
from sparsewatch.schemas.alerts import SAMPLE, MetricSample, Severity
from sparsewatch.schemas.incidents import SEVERITIES, Incident, incident_id
from sparsewatch.schemas.metrics import BASELINE_NEEDED, BASELINE_WINDOWS
from sparsewatch.schemas.orders import Named, Order
from sparsewatch.transforms.kafka.compacted import Compacted
from sparsewatch.transforms.kafka.instances import progress_records, standings
from sparsewatch.transforms.kafka.open import open_quick_reader
from sparsewatch.transforms.kafka.orders import read_orders
from sparsewatch.transforms.kafka.progress import progress_of

_MAX_RECORD_BYTES = 1 << 20


class Firing(msgspec.Struct, frozen=True, kw_only=True):
    """An incident that is not over."""

    id: str
    severity: Severity
    #: The root suspect.
    rule: str
    subject: str
    message: str
    #: Start of its first window, end of the last one with a finding; microseconds since the epoch.
    started_us: int
    until_us: int
    #: Windows with a finding, and findings on different subjects or by different rules.
    windows: int
    findings: int
    #: Who looks after it, empty if nobody said so.
    acked_by: str = ""


class Muted(msgspec.Struct, frozen=True, kw_only=True):
    """Findings that are silent by order of a person."""

    #: The incident that they belong to.
    incident: str | None
    by: str
    why: str
    #: How long, in words; empty until another order.
    until: str
    #: Rule and subject of each.
    findings: tuple[Named, ...]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How a job stands now."""

    job: str
    topic: str
    #: Who claimed the job last, None if nobody has.
    instance: str | None
    #: Windows that are closed and committed, and the end of the last one, microseconds since the epoch.
    windows: int
    closed_end_us: int | None
    #: Of all records since the job began.
    counted: int
    rejected: int
    late: int
    lost: int
    #: Records that the job has not read or not committed yet, by partition, at most.
    lag: dict[int, int]
    #: Event time since the last event, up to the end of the last window; 0 if it had one.
    silent_us: int
    #: Folders of models and references that it compares with, by their keys in the job file.
    learned: dict[str, str]
    #: Windows that a baseline of the job's own is learned of, and windows that it needs; None for a job without one.
    baseline: tuple[int, int] | None
    #: Incidents that fire, the most severe first, then the oldest.
    firing: list[Firing]
    #: What is silent, in the order in which people said so.
    muted: list[Muted] = []
    #: What a model found in the last window and is as usual, where the job learns beside one: rule and subject.
    usual: list[str] = []


def status_of(made: Ready) -> Status:
    """How a job stands.

    Args:
        made: The job.

    Raises:
        SourceError: If the broker does not answer, or has no such source topic.
        StateError: If the job's progress cannot be read, or was written with other settings that shape windows.
    """
    own, source = made.identity, made.topics.source
    with progress_records(own) as records:
        newest = records.newest() if records.is_there else {}
    progress = progress_of(newest, own.topics.progress, own.job, own.settings_digest)
    orders = () if progress is None else read_orders(own)
    claims = standings(newest, own.job)
    with closing(open_quick_reader(own.kafka, source, made.events.max_record_bytes)) as reader:
        partitions = reader.partitions()
        reader.assign(dict.fromkeys(partitions, 0))
        begins, ends = reader.begin_offsets(), reader.end_offsets()
    totals = Account() if progress is None else progress.totals
    return Status(
        job=own.job,
        topic=source,
        instance=str(claims[-1].instance) if claims else None,
        windows=0 if progress is None else progress.windows,
        closed_end_us=None if progress is None or progress.closed_end_us <= PREFACE_US else progress.closed_end_us,
        counted=totals.counted,
        rejected=totals.rejected,
        late=totals.late,
        lost=totals.lost,
        lag=lag(progress, begins, ends),
        silent_us=_silent_us(progress),
        learned={learned.key: learned.path for learned in made.job.learned()},
        baseline=_baseline(made),
        firing=[] if progress is None else firing(progress, own.job),
        muted=[] if progress is None else [_muted(o) for o in silencing(made.job, orders, progress.closed_end_us)],
        usual=_usual(made, progress),
    )


def _usual(made: Ready, progress: Progress | None) -> list[str]:
    own = own_baseline(made, progress) if made.job.learns_beside_model else None
    return [] if own is None or own.usual is None else own.usual


def _baseline(made: Ready) -> tuple[int, int] | None:
    own = made.identity
    if made.job.learns_beside_model or own.topics.baseline not in {topic.name for topic in state_topics(made)}:
        return None
    with Compacted(own.kafka, own.topics.metrics, _MAX_RECORD_BYTES, prefix=BASELINE_WINDOWS.name.encode()) as records:
        samples = [SAMPLE.parse(value, MetricSample) for value in records.newest().values()]
    found = {sample.name: int(sample.value) for sample in samples if sample.labels.get("job") == own.job}
    return found.get(BASELINE_WINDOWS.name, 0), found.get(BASELINE_NEEDED.name, 0)


def lag(progress: Progress | None, begins: Mapping[int, int], ends: Mapping[int, int]) -> dict[int, int]:
    """Offsets of each partition between what is committed and its end.

    Args:
        progress: How far the job is, None before its first run.
        begins: First offset of each partition.
        ends: Offset behind the last record of each.
    """
    points = {} if progress is None else progress.partitions
    read = {p: points[p].high if p in points else begins.get(p, 0) for p in ends}
    return {p: max(0, end - max(read[p], begins.get(p, 0))) for p, end in sorted(ends.items())}


def firing(progress: Progress, job: str) -> list[Firing]:
    """Incidents that are not over, the most severe first, then the oldest."""
    known = [incident for incident in progress.incidents.known if not incident.is_resolved]
    known.sort(key=lambda incident: (-SEVERITIES.index(incident.severity), incident.started_us, incident.number))
    return [_firing(incident, job) for incident in known]


def _firing(incident: Incident, job: str) -> Firing:
    root = incident.members[0]
    return Firing(
        id=incident_id(job, incident.number),
        severity=incident.severity,
        rule=root.rule,
        subject=root.subject,
        message=root.message,
        started_us=incident.started_us,
        until_us=incident.until_us,
        windows=incident.windows,
        findings=len(incident.members),
        acked_by="" if incident.acked is None else incident.acked.by,
    )


def _muted(order: Order) -> Muted:
    return Muted(
        incident=order.incident, by=order.by, why=order.why, until=held_until(order).strip(), findings=order.findings
    )


def _silent_us(progress: Progress | None) -> int:
    if progress is None or progress.stream.silent_since_us is None:
        return 0
    return max(0, progress.closed_end_us - progress.stream.silent_since_us)
