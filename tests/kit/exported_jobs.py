"""What an exporter serves of real jobs: each kind of job is run over a few windows, and its metrics topic read."""

import functools
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from sparsewatch.pipelines.exporter.series import MetricsCollector
from sparsewatch.pipelines.exporter.source_ends import end_samples
from sparsewatch.pipelines.job.kinds import KINDS, parse_job
from sparsewatch.pipelines.run.run import run_job
from sparsewatch.schemas.alerts import MetricSample
from sparsewatch.testing import FakeBroker
from tests.kit.kind_examples import SHARED, example_of, job_file

MINUTE_MS = 60_000
START_MS = 1_700_000_040_000
WINDOWS, A_WINDOW = 6, 200
#: Name of every such job.
JOB = str(SHARED["name"])


class Stated(NamedTuple):
    """What a job has left for exporters."""

    #: Its metrics topic, also what a later window no longer states.
    topic: tuple[tuple[bytes, bytes], ...]
    #: Offsets behind the source, by partition.
    ends: dict[int, int]


@functools.cache
def stated(kind: str) -> tuple[Stated, ...]:
    """Of jobs of a kind: of one with all settings, and of one with the fewest where that can run."""
    example = example_of(kind)
    with tempfile.TemporaryDirectory() as folder:
        everything = _run(kind, _everything(kind, Path(folder)))
    return (everything,) if "none/" in str(example.settings) else (everything, _run(kind, example.settings))


@functools.cache
def exported(kind: str) -> tuple[Sample, ...]:
    """Series that exporters serve of them."""
    pages = [page_of(job.topic, end_samples(JOB, job.ends)) for job in stated(kind)]
    families = [family for page in pages for family in text_string_to_metric_families(page)]
    return tuple(sample for family in families for sample in family.samples)


def all_exported() -> tuple[Sample, ...]:
    """Series of jobs of all kinds."""
    return tuple(sample for kind in KINDS for sample in exported(kind))


def page_of(topic: Iterable[tuple[bytes, bytes | None]], ends: Sequence[MetricSample] = ()) -> str:
    """An exporter's page of what a metrics topic holds, and of where the source ends."""
    collector, registry = MetricsCollector(lambda: ends), CollectorRegistry(auto_describe=False)
    collector.begin(topic)
    registry.register(collector)
    return generate_latest(registry).decode()


def _everything(kind: str, folder: Path) -> dict[str, Any]:
    """Settings of a job that states every metric of its kind."""
    settings = example_of(kind).all_settings(folder)
    return {**settings, "output": {"alerts_file": str(folder / "alerts.jsonl")}}


def _run(kind: str, settings: Mapping[str, Any]) -> Stated:
    with FakeBroker() as broker:
        broker.create("events", 2)
        job = parse_job(job_file(kind, dict(settings)), "x.toml")
        source = msgspec.structs.replace(job.source, time_format="epoch_ms")
        _publish(broker, kind)
        run_job(msgspec.structs.replace(job, kafka=broker.settings, source=source), "latest", "inprocess")
        records = broker.records(f"{JOB}.metrics")
        reader = broker.reader("events")
        reader.assign(dict.fromkeys(reader.partitions(), 0))
        ends = reader.end_offsets()
    return Stated(tuple((one.key or b"", one.value) for one in records if one.value), ends)


def _publish(broker: FakeBroker, kind: str) -> None:
    writer = broker.writer()
    for window in range(WINDOWS):
        for place, row in enumerate(example_of(kind).events(A_WINDOW, window).to_pylist()):
            at = START_MS + window * MINUTE_MS + 200 * place
            event = msgspec.json.encode({"t": at, **row})
            writer.send("events", None, event, partition=place % 2, timestamp_ms=at)
    writer.flush()
