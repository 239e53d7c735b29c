"""The job file: what every job has, and the part of its kind, each choice with its reason as a comment."""

from collections.abc import Sequence

import msgspec

from sparsewatch.pipelines.init.draft import Draft, Findings
from sparsewatch.pipelines.init.event_time import TimeColumn
from sparsewatch.pipelines.init.pace import Pace
from sparsewatch.pipelines.init.sample import Sample
from sparsewatch.pipelines.init.toml_text import Entry, Lines, comment, table
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.jobs import RECORD_TIME, KafkaSettings, SourceSettings
from sparsewatch.schemas.settings import parse_duration_us
from sparsewatch.schemas.units import HOUR_US, moment_text

_SECOND = 1_000_000
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))
#: Numbers from which on a fraction tells nothing.
_WHOLE = 100
#: Least offset from the records' timestamps that may be a time zone, and how near a quarter of an hour it lies.
_QUARTER_US, _ZONE_SLACK_US = 900_000_000, 60_000_000


def job_text(
    kind: str, draft: Draft, findings: Findings, kafka: KafkaSettings, topic: str, missing: Sequence[str]
) -> str:
    """The file of a job.

    Args:
        kind: Its kind.
        draft: The kind's part.
        findings: The sample, and what was found in it.
        kafka: The broker; settings that are the default are not written.
        topic: The topic.
        missing: Texts that stand for a missing value.
    """
    name = findings.name
    parts = [
        _heading(findings.sample),
        table("", [Entry("kind", kind), Entry("name", name, f"of its topics: {name}.windows and others"), *draft.keys]),
        table("kafka", _kafka(kafka)),
        table("source", _source(findings, topic, missing)),
        table("windows", _windows(findings.pace)),
        *draft.tables,
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def time_told(time: TimeColumn, others: Sequence[TimeColumn]) -> str:
    """Why a column is taken for the event time."""
    if time.why:
        return f"the records' own Kafka timestamps: {time.why}"
    told = [_distance(time.behind_us)] if time.behind_us is not None else []
    if not (time.near or time.named):
        told.append("by its values alone")
    if plausible := [other.name for other in others]:
        told.append(f"other times: {', '.join(plausible)}")
    unusable = int((~time.usable).sum())
    if unusable:
        told.append(f"{counted(unusable, 'event')} without one will be rejects")
    return "; ".join(told)


def seconds_text(us: int) -> str:
    """A span of time for a person, in the largest unit of which there is one.

    >>> seconds_text(90_000), seconds_text(5_400_000_000), seconds_text(3_311 * 86_400_000_000)
    ('0.09 s', '1.5 h', '3,311 d')
    """
    unit, size = next(((unit, size) for unit, size in _UNITS if us >= size * _SECOND), ("s", 1))
    number = us / size / _SECOND
    return f"{number:,.0f} {unit}" if number >= _WHOLE else f"{number:.3g} {unit}"


def _heading(sample: Sample) -> Lines:
    return [
        comment(f"Drafted by `sparsewatch init` from {counted(sample.events, 'event')} of {sample.name}, which has"),
        comment(f"about {sample.of_events:,}. It runs as it is; all settings are explained in docs/jobs.md."),
    ]


def _kafka(kafka: KafkaSettings) -> list[Entry]:
    default = KafkaSettings(bootstrap_servers=[])
    given = msgspec.structs.asdict(kafka)
    return [Entry(key, value) for key, value in given.items() if value != getattr(default, key)]


def _source(findings: Findings, topic: str, missing: Sequence[str]) -> list[Entry]:
    time, pace = findings.time, findings.pace
    entries = [
        Entry("topic", topic),
        Entry("time_column", time.name, time_told(time, findings.other_times)),
        *([] if time.name == RECORD_TIME else [Entry("time_format", time.format)]),
        Entry("format", findings.sample.format, _format_told(findings.sample)),
    ]
    if pace.max_ahead != SourceSettings(topic="", time_column="").max_ahead:
        seen = f"times lie up to {seconds_text(pace.ahead_us)} ahead of their records' own timestamps"
        entries.append(Entry("max_ahead", pace.max_ahead, f"{seen}; {counted(pace.too_far_ahead, 'event')} farther"))
    return [*entries, *([Entry("missing", list(missing), "texts that stand for a missing value")] if missing else [])]


def _format_told(sample: Sample) -> str:
    if not sample.is_topic or sample.undeclared:
        return ""
    return f"of records that do not say theirs; those looked at say {sample.coding}"


def _windows(pace: Pace) -> list[Entry]:
    return [
        Entry("length", pace.length, _length_told(pace)),
        Entry("disorder", pace.disorder, _disorder_told(pace)),
    ]


def _disorder_told(pace: Pace) -> str:
    if pace.unsorted:
        return "the files are not in order of time: publish them with --sort"
    told = [f"up to {seconds_text(pace.disorder_us)} seen"]
    if pace.late:
        told.append(f"{counted(pace.late, 'event')} of the sample farther: late")
    if parse_duration_us(pace.disorder) > parse_duration_us(pace.length):
        told.append("windows stay open for that long")
    return "; ".join(told)


def _length_told(pace: Pace) -> str:
    span = f"{moment_text(pace.span_us[0])} to {moment_text(pace.span_us[1])}"
    if not pace.rate:
        return f"all events of the sample are of {moment_text(pace.span_us[0])}: the rate is not known"
    few = "" if pace.events_a_window >= pace.wanted else f", less than {pace.wanted:,}: only gross changes are found"
    return f"about {pace.events_a_window:,.0f} events each{few}; seen: {span}"


def _distance(behind_us: int) -> str:
    """How far event times lie from the timestamps of their records."""
    way = "before" if behind_us >= 0 else "after"
    text = f"{seconds_text(abs(behind_us))} {way} the records' own timestamps, median"
    off = abs(behind_us) % _QUARTER_US
    is_zone = HOUR_US <= abs(behind_us) + _ZONE_SLACK_US <= 15 * HOUR_US
    is_zone &= min(off, _QUARTER_US - off) <= _ZONE_SLACK_US
    return f"{text}: local times, which are read as UTC?" if is_zone else text
