"""An import of files of wafers: read all, settle retests, write the wafers that count, reject the rest."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sparsewatch.pipelines.job.output_checks import reject_bytes
from sparsewatch.pipelines.job.ready import REJECT_TOPIC_BYTES
from sparsewatch.pipelines.publish.command import Plan, topic_partitions
from sparsewatch.pipelines.wafer_files.faults import WaferFileError
from sparsewatch.pipelines.wafer_files.formats import ReadOptions
from sparsewatch.pipelines.wafer_import.file_rejects import reject_file
from sparsewatch.pipelines.wafer_import.publishing import Sent, Times, WaferPublisher
from sparsewatch.pipelines.wafer_import.survey import Defaults, Retests, Survey, survey, that_count
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import ConfigError, SchemaError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.transforms.kafka.client import NewTopic, Writer
from sparsewatch.transforms.kafka.open import ensure_topics, open_admin, open_writer


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPlan:
    """What to write, and how."""

    topic: str
    rejects: str
    options: ReadOptions
    #: First event time and step for wafers whose file states none.
    start_us: int | None = None
    interval_us: int = 1_000_000
    defaults: Defaults = field(default_factory=Defaults)
    retests: Retests = "keep-last"
    label_column: str | None = None
    format: Literal["json", "arrow"] = "json"
    #: Partitions of a topic that is missing; it is not created if None.
    partitions: int | None = None
    #: Largest record the job takes.
    most_bytes: int = 16 << 20


@dataclass(slots=True)
class ImportCount:
    """What became of files and wafers."""

    files: int = 0
    #: Files all of whose wafers are superseded.
    files_superseded: int = 0
    wafers: int = 0
    imported: int = 0
    superseded: int = 0
    #: Wafers of readable files that could not be written.
    rejected: int = 0
    listed: int = 0
    collapsed: int = 0
    #: What is wrong with which file.
    faults: list[tuple[Path, SchemaError]] = field(default_factory=list)

    def line(self, imported: str) -> str:
        """All numbers; they add up."""
        bad = len({path for path, _ in self.faults})
        good = self.files - self.files_superseded - bad
        files = f"{good:,} {imported} + {self.files_superseded:,} superseded + {bad:,} rejected"
        wafers = f"{self.imported:,} {imported} + {self.superseded:,} superseded + {self.rejected:,} rejected"
        defects = f"{counted(self.listed, 'defect')} listed, {counted(self.collapsed, 'duplicate')} of them dropped"
        return f"{counted(self.files, 'file')} = {files}; {counted(self.wafers, 'wafer')} = {wafers}; {defects}"


#: A file that can be read, and which of its wafers count.
_Chosen = tuple[Survey, NDArray[np.bool_]]


def import_files(
    paths: Sequence[Path], plan: ImportPlan, kafka: KafkaSettings | None, on_line: Callable[[str], None]
) -> ImportCount:
    """Import files; all are read before anything is written.

    Args:
        paths: The files.
        plan: What to do.
        kafka: The broker; None writes nothing.
        on_line: Called with a line about each file.

    Raises:
        ConfigError: If a wafer has no time and none is to be generated, or the topic is missing.
        SinkError: If the broker cannot be reached.
    """
    count = ImportCount()
    surveys = list(_surveys(paths, plan, count, on_line))
    undated = next((one for one in surveys if one.undated), None)
    if undated is not None and plan.start_us is None:
        without = f"{counted(undated.undated, 'wafer')} without an inspection time"
        raise ConfigError(f"{undated.path}: {without}; --start and --interval generate times")
    chosen = list(zip(surveys, that_count(surveys, plan.retests), strict=True))
    count.imported = sum(int(counts.sum()) for _, counts in chosen)
    count.superseded = count.wafers - count.imported
    count.files_superseded = sum(not counts.any() for _, counts in chosen)
    if kafka is not None:
        _write(chosen, plan, kafka, count, on_line)
    return count


def _surveys(
    paths: Sequence[Path], plan: ImportPlan, count: ImportCount, on_line: Callable[[str], None]
) -> list[Survey]:
    found = []
    for number, path in enumerate(paths, 1):
        count.files += 1
        try:
            one = survey(path, plan.options, plan.defaults)
        except SchemaError as error:
            count.faults.append((path, error))
            on_line(f"[{number}/{len(paths)}] rejected ({code_of(error)}): {error}")
            continue
        count.wafers += one.wafers.height
        count.listed += one.listed
        count.collapsed += one.collapsed
        on_line(f"[{number}/{len(paths)}] {one}")
        for note in one.notes:
            on_line(f"  note: {note}")
        found.append(one)
    return found


def _write(
    chosen: Sequence[_Chosen],
    plan: ImportPlan,
    kafka: KafkaSettings,
    count: ImportCount,
    on_line: Callable[[str], None],
) -> None:
    records = Plan(
        topic=plan.topic,
        partitions=topic_partitions(kafka, plan.topic, plan.partitions),
        format=plan.format,
        key_column="wafer_id" if plan.format == "json" else None,
    )
    times = Times(plan.options.time_column, plan.options.time_format, plan.start_us, plan.interval_us)
    writer = open_writer(kafka)
    try:
        publisher = WaferPublisher(writer, records, plan.most_bytes, times, plan.label_column)
        # By time, as far as files allow: for a job, events long after newer events are late.
        for one, counts in sorted(chosen, key=lambda pair: pair[0].first_us):
            _send(publisher, one, counts, plan, count, on_line)
        _set_aside(writer, plan, kafka, count)
    finally:
        writer.close()


def _send(
    publisher: WaferPublisher,
    one: Survey,
    counts: NDArray[np.bool_],
    plan: ImportPlan,
    count: ImportCount,
    on_line: Callable[[str], None],
) -> None:
    """Send a file's wafers and correct the number counted as imported."""
    sent, faults = Sent(), []
    try:
        publisher.send_file(one, counts, plan.options, plan.defaults, sent)
    except SchemaError as error:
        faults.append(error)
    faults += [WaferFileError("too_large", one.path, f"wafer {wafer!r}: {why}") for wafer, why in sent.refused]
    for fault in faults:
        on_line(f"rejected ({code_of(fault)}): {fault}")
    count.faults += [(one.path, fault) for fault in faults]
    lost = int(counts.sum()) - sent.wafers
    count.imported -= lost
    count.rejected += lost


def _set_aside(writer: Writer, plan: ImportPlan, kafka: KafkaSettings, count: ImportCount) -> None:
    if count.faults:
        with closing(open_admin(kafka)) as admin:
            # A job that reads these wafers sets aside into the same topic, and refuses it if it is too narrow.
            largest = max(REJECT_TOPIC_BYTES, reject_bytes(admin, plan.topic))
            ensure_topics(admin, [NewTopic(plan.rejects, max_record_bytes=largest)])
    for path, error in count.faults:
        reject_file(writer, plan.topic, plan.rejects, path, code_of(error), error)


def code_of(error: SchemaError) -> str:
    """Name of a fault, as a reject carries it."""
    return error.code if isinstance(error, WaferFileError) else "bad_file"
