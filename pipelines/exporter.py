"""Serve a job's metrics to Prometheus: `sparsewatch exporter`.

Workers have no ports of their own; they write samples to a compacted topic, and this one process reads it from the
beginning and serves the newest sample of each series. Restarted, it recovers from the topic.
"""

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

import click
import msgspec
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from pipelines.job_files import load_job
from pipelines.topics import topics_of
from schemas.errors import ConfigError, SourceError
from schemas.jobs import KafkaSettings
from schemas.metrics import MetricSample
from transforms.kafka.client import Fetched, Reader, open_admin, open_reader

_logger = logging.getLogger(__name__)

_MAX_RECORD_BYTES = 1 << 20
_FETCH_S = 0.5
_CHECK_S = 10.0
_RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)


class Samples:
    """The newest sample of every series; a collector for prometheus_client."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: dict[str, MetricSample] = {}
        self._bad = 0
        self.up = False
        self.last_read = 0.0

    def take(self, fetched: Fetched) -> None:
        """Take records of the metrics topic; one without a value removes its series."""
        with self._lock:
            for i, value in enumerate(fetched.values):
                self._take_one((fetched.keys(i) or b"").decode(errors="replace"), value)

    def _take_one(self, key: str, value: bytes | None) -> None:
        if value is None:
            self._newest.pop(key, None)
            return
        try:
            self._newest[key] = msgspec.json.decode(value, type=MetricSample)
        except msgspec.DecodeError as error:
            self._bad += 1
            _logger.warning("a record of the metrics topic is no sample: %s", error)

    def collect(self) -> Iterable[Metric]:
        """All series, grouped by name, and the exporter's own."""
        with self._lock:
            newest, bad = sorted(self._newest.values(), key=lambda s: s.key), self._bad
        families: dict[str, list[MetricSample]] = {}
        for sample in newest:
            families.setdefault(sample.name, []).append(sample)
        yield from (_family(samples) for samples in families.values())
        yield GaugeMetricFamily(
            "sparsewatch_exporter_up", "Whether the metrics topic could be read last time.", value=float(self.up)
        )
        yield GaugeMetricFamily(
            "sparsewatch_exporter_last_read_timestamp_seconds",
            "When the metrics topic was read last.",
            value=self.last_read,
        )
        yield CounterMetricFamily(
            "sparsewatch_exporter_bad_samples_total", "Records of the metrics topic that are no sample.", value=bad
        )


def _family(samples: Sequence[MetricSample]) -> Metric:
    first = samples[0]
    names = sorted({name for sample in samples for name in sample.labels})
    kind = CounterMetricFamily if first.kind == "counter" else GaugeMetricFamily
    family: Metric = kind(first.name, first.help, labels=names)
    for sample in samples:
        family.add_metric([sample.labels.get(name, "") for name in names], sample.value)  # type: ignore[attr-defined]
    return family


class Exporter:
    """Follows a metrics topic in a thread and serves `/metrics`; also a context manager."""

    def __init__(self, kafka: KafkaSettings, topic: str, host: str = "127.0.0.1", port: int = 9464) -> None:
        self.samples = Samples()
        self._kafka = kafka
        self._topic = topic
        self._host = host
        self._port = port
        self._stop = threading.Event()

    @property
    def url(self) -> str:
        """Where the metrics are."""
        return f"http://{self._host}:{self._port}/metrics"

    def start(self) -> Self:
        """Serve and follow.

        Raises:
            ConfigError: If the port cannot be bound.
        """
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self.samples)
        try:
            self._server, _ = start_http_server(self._port, self._host, registry)
        except OSError as error:
            raise ConfigError(f"--port {self._port} on {self._host}: {error.strerror}") from error
        self._port = self._server.server_port
        self._thread = threading.Thread(target=self._follow, name="metrics-topic", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop following and serving."""
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _follow(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                self._read()
                failures = 0
            except SourceError as error:
                self.samples.up = False
                wait = _RETRY_S[min(failures, len(_RETRY_S) - 1)]
                failures += 1
                _logger.warning("the metrics topic cannot be read, next try in %.0f s: %s", wait, error)
                self._stop.wait(wait)

    def _read(self) -> None:
        reader = self._opened()
        checked = time.monotonic()
        try:
            while not self._stop.is_set():
                if time.monotonic() - checked > _CHECK_S:
                    # A broker that is away looks like silence to a fetch; asked for an end it must answer.
                    reader.end_offsets()
                    checked = time.monotonic()
                for fetched in reader.fetch(_FETCH_S, 10_000):
                    self.samples.take(fetched)
                self.samples.up = True
                self.samples.last_read = time.time()
        finally:
            reader.close()

    def _opened(self) -> Reader:
        admin = open_admin(self._kafka)
        try:
            partitions = admin.partitions(self._topic)
        finally:
            admin.close()
        if not partitions:
            raise SourceError(f"the broker has no topic {self._topic!r} yet")
        reader = open_reader(self._kafka, self._topic, _MAX_RECORD_BYTES)
        reader.assign(dict.fromkeys(partitions, 0))
        return reader


@click.command()
@click.argument("job_file", metavar="[JOB.toml]", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--bootstrap", multiple=True, metavar="HOST:PORT", help="Broker, if no job file is given.")
@click.option("--topic", help="Metrics topic, if no job file is given: <prefix>.metrics.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all.")
@click.option("--port", default=9464, show_default=True, help="Port to listen on; 0 takes a free one.")
def exporter(job_file: Path | None, bootstrap: tuple[str, ...], topic: str | None, host: str, port: int) -> None:
    """Serve a job's metrics to Prometheus until stopped.

    Reads the job's compacted metrics topic from the beginning and serves the newest sample of each series on
    /metrics. It can be started before the job and survives restarts of job and broker.
    """
    kafka, metrics_topic = _where(job_file, bootstrap, topic)
    running = Exporter(kafka, metrics_topic, host, port).start()
    click.echo(f"serving {metrics_topic} on {running.url}")
    try:
        threading.Event().wait()
    finally:
        running.stop()


def _where(job_file: Path | None, bootstrap: tuple[str, ...], topic: str | None) -> tuple[KafkaSettings, str]:
    if job_file is not None:
        job = load_job(job_file)
        return job.kafka, topic or topics_of(job).metrics
    if not bootstrap or not topic:
        raise ConfigError("expected a job file, or --bootstrap and --topic")
    return KafkaSettings(bootstrap_servers=list(bootstrap)), topic
