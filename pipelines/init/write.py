"""From a sample to a job file: found, drafted, tried out on the sample, written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sparsewatch.detectors.artefacts.atomic import write_file
from sparsewatch.pipelines.init.choose import Choice, choose
from sparsewatch.pipelines.init.draft import Findings
from sparsewatch.pipelines.init.event_time import find_times
from sparsewatch.pipelines.init.job_text import job_text, time_told
from sparsewatch.pipelines.init.pace import pace_of
from sparsewatch.pipelines.init.sample import Sample
from sparsewatch.pipelines.init.toml_text import comment
from sparsewatch.pipelines.init.trial import parsed, try_out
from sparsewatch.pipelines.job.kind import Job
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.transforms.records import Fetched

#: Most characters of a name that was not chosen: topics of the job begin with it.
_LONGEST_NAME = 190


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the user says of the job."""

    kind: str | None = None
    name: str | None = None
    label: str | None = None
    time_column: str | None = None
    #: Folder of a model.
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was looked at."""

    sample: Sample
    #: Texts that stand for a missing value.
    missing: Sequence[str] = ()
    #: The records; empty if files were looked at.
    fetched: Sequence[Fetched] = ()
    partitions: int = 0
    #: Names of the broker's topics.
    topics: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafted:
    """A job file that is not written yet."""

    path: Path
    text: str
    job: Job
    findings: Findings
    choice: Choice
    partitions: int
    #: What the job would reject of the sample; empty if nothing.
    remark: str

    def told(self) -> Iterator[tuple[str, str]]:
        """What was found, for the user: what, and the words."""
        found = self.findings
        sample, pace = found.sample, found.pace
        where = f" in {counted(self.partitions, 'partition')}, {sample.coding}" if sample.is_topic else ""
        yield "events", f"{sample.events:,} of about {sample.of_events:,}{where}"
        told = time_told(found.time, found.other_times)
        form = "" if found.time.why else f", {found.time.format}"
        yield "time", f"{found.time.name}{form}{told and '; '}{told}"
        yield from self.choice.draft.told
        hold = f", about {pace.events_a_window:,.0f} events each" if pace.rate else ""
        yield "windows", f"{pace.length}{hold}; disorder {pace.disorder}"
        for kind, why in self.choice.others.items():
            yield "no job of", f"kind {kind!r}: {why}"
        for name, why in found.left_out().items():
            if name not in self.choice.draft.reads:
                yield "left out", f"{name}: {why}"


def draft_job(kafka: KafkaSettings, topic: str, seen: Seen, wishes: Wishes, out: Path | None) -> Drafted:
    """A job file for what was seen.

    Args:
        kafka: The broker, as the file names it.
        topic: The topic that the job reads.
        seen: The sample.
        wishes: What the user says.
        out: The file; named like the job if None.

    Raises:
        ConfigError: If there is no event time, no kind of job suits, or a name is none of a job.
        SchemaError: If the job would count none of the events.
    """
    name = wishes.name or _free_name(topic[:_LONGEST_NAME], seen.topics)
    path = Path(f"{name}.toml") if out is None else out
    findings = _findings(name, seen.sample, wishes)
    choice = choose(findings, wishes.kind)
    findings = replace(findings, pace=findings.pace.with_windows_of(choice.draft.window_events))
    text = job_text(choice.kind, choice.draft, findings, kafka, topic, seen.missing)
    job = parsed(text, str(path))
    remark = try_out(job, seen.fetched).remark() if seen.fetched else ""
    return Drafted(
        path=path,
        text=f"{text}\n{comment(f'Of the sample, {remark}')}\n" if remark else text,
        job=job,
        findings=findings,
        choice=choice,
        partitions=seen.partitions,
        remark=remark,
    )


def expect_free(path: Path, *, force: bool) -> None:
    """Refuse to replace what is there.

    Raises:
        ConfigError: If it is.
    """
    if path.exists() and not force:
        raise ConfigError(f"{path} is there: --force replaces it, --out names another file")


def write_job(drafted: Drafted, *, force: bool) -> None:
    """Write the file, and make what it names and is not there.

    Args:
        drafted: The job.
        force: Whether what is there may be replaced.

    Raises:
        ConfigError: If the file, or a folder to be made, is there or cannot be written.
    """
    expect_free(drafted.path, force=force)
    for folder in drafted.choice.draft.makes:
        if folder.exists() and not force:
            raise ConfigError(f"{folder} is there: --model {folder} uses it, --force adds a version to it")
    if drafted.choice.draft.make is not None:
        drafted.choice.draft.make()
    try:
        write_file(drafted.path, drafted.text.encode())
    except OSError as error:
        raise ConfigError(f"cannot write {drafted.path}: {error.strerror or error}") from error


def _findings(name: str, sample: Sample, wishes: Wishes) -> Findings:
    time, *others = find_times(sample, wishes.time_column)
    return Findings(
        name=name,
        sample=sample,
        time=time,
        other_times=others,
        pace=pace_of(sample, time),
        label=wishes.label,
        model=wishes.model,
    )


def _free_name(name: str, topics: frozenset[str]) -> str:
    """A name under which no job has run: a job goes on where one of its name stopped."""
    return next(free for free in _names(name) if f"{free}.progress" not in topics)


def _names(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1
