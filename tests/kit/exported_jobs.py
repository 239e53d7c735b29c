"""What an exporter serves of real jobs: each kind of job is run over a few windows, and its metrics topic read."""

import functools
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

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
from tests.kit.kind_examples import example_of, job_file

MINUTE_MS = 60_000
START_MS = 1_700_000_040_000
WINDOWS, A_WINDOW = 6, 200


@functools.cache
def exported(kind: str) -> tuple[Sample, ...]:
    """Series of jobs of a kind: of one with all settings, and of one with the fewest where that can run."""
    example = example_of(kind)
    with tempfile.TemporaryDirectory() as folder:
        everything = [*_run(kind, _everything(kind, Path(folder)))]
        if "none/" not in str(example.settings):
            everything += _run(kind, example.settings)
    return tuple(everything)


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


def _run(kind: str, settings: Mapping[str, Any]) -> Iterator[Sample]:
    with FakeBroker() as broker:
        broker.create("events", 2)
        job = parse_job(job_file(kind, dict(settings)), "x.toml")
        source = msgspec.structs.replace(job.source, time_format="epoch_ms")
        _publish(broker, kind)
        run_job(msgspec.structs.replace(job, kafka=broker.settings, source=source), "latest", "inprocess")
        # Also what a later window no longer states.
        stated = [(one.key or b"", one.value) for one in broker.records(f"{job.name}.metrics") if one.value]
        reader = broker.reader("events")
        reader.assign(dict.fromkeys(reader.partitions(), 0))
        page = page_of(stated, end_samples(job.name, reader.end_offsets()))
    for family in text_string_to_metric_families(page):
        yield from family.samples


def _publish(broker: FakeBroker, kind: str) -> None:
    writer = broker.writer()
    for window in range(WINDOWS):
        for place, row in enumerate(example_of(kind).events(A_WINDOW, window).to_pylist()):
            at = START_MS + window * MINUTE_MS + 200 * place
            event = msgspec.json.encode({"t": at, **row})
            writer.send("events", None, event, partition=place % 2, timestamp_ms=at)
    writer.flush()
