"""Serve a job's metrics to Prometheus: `sparsewatch exporter`.

Workers have no ports of their own; they write samples to a compacted topic, and this one process reads it from the
beginning and serves the newest sample of each series. Restarted, it recovers from the topic.
"""

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

import click
import msgspec
from prometheus_client import CollectorRegistry

from sparsewatch.pipelines.console.numbers import ranged
from sparsewatch.pipelines.exporter.pages import Pages
from sparsewatch.pipelines.exporter.series import MetricsCollector, Series
from sparsewatch.pipelines.job.broker_options import BOOTSTRAP_OPTION, broker_of
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.schemas.errors import AccessError, ConfigError, SourceError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.schemas.settings import Range
from sparsewatch.transforms.kafka.compacted import Compacted
from sparsewatch.transforms.kafka.presence import broker_at

_logger = logging.getLogger(__name__)

_MAX_RECORD_BYTES = 1 << 20
_FETCH_S = 0.5
_JOIN_S = 5.0


@dataclass(frozen=True)
class Patience:
    """How long an exporter waits for its broker."""

    #: A quiet topic looks like a broker that is away: at this interval the broker is asked something it must answer.
    check_s: float = 5.0
    #: Until an answer is given up, a duration.
    timeout: str = "10s"
    #: Between tries to read the topic; the last wait is repeated.
    retry_s: tuple[float, ...] = (0.5, 1.0, 2.0)


_PATIENCE = Patience()


class Exporter:
    """Follows a metrics topic in a thread and serves `/metrics`; also a context manager.

    Args:
        kafka: The broker; it may be away, at first and later.
        topic: The compacted topic of samples; it may be made later.
        host: Address to listen on.
        port: Port to listen on, a free one if 0.
        patience: How long it waits for the broker.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        host: str = "127.0.0.1",
        port: int = 9464,
        *,
        patience: Patience = _PATIENCE,
    ) -> None:
        self._collector = MetricsCollector()
        self._kafka = msgspec.structs.replace(kafka, timeout=patience.timeout)
        self._patience = patience
        #: The topic that is followed.
        self.topic = topic
        self._host = host
        self._port = port
        self._stop = threading.Event()
        #: Tries in a row that failed.
        self.failures = 0
        self._has_read = False
        #: What was logged last of why the topic cannot be read, until it can.
        self._said = ""
        #: Why the broker refuses us, before anything was read.
        self.refused: Exception | None = None

    @property
    def url(self) -> str:
        """Where the metrics are."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}/metrics"

    def start(self) -> Self:
        """Serve and follow.

        Raises:
            ConfigError: If the port cannot be bound.
        """
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self._collector)
        try:
            self._server = Pages(self._host, self._port, registry, lambda: self._has_read)
        except OSError as error:
            raise ConfigError(f"--port {self._port} on {self._host}: {error.strerror}") from error
        self._port = self._server.port
        self._thread = threading.Thread(target=self._follow, name="metrics-topic", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop following and serving."""
        self._stop.set()
        self._server.close()
        # A thread that waits for a broker which is away ends by itself when that wait is over.
        self._thread.join(timeout=_JOIN_S)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                self._read()
            except Exception as error:  # noqa: BLE001  whatever a client raises: a thread that ended would say it is up
                self._collector.lost()
                self._say(error)
                waits = self._patience.retry_s
                self._stop.wait(waits[min(self.failures, len(waits) - 1)])
                self.failures += 1

    def _say(self, error: Exception) -> None:
        if isinstance(error, AccessError | ConfigError) and not self._has_read:
            self.refused = error
        if str(error) != self._said and not any(broker_at(b).is_away for b in self._kafka.bootstrap_servers):
            _logger.warning("topic %r cannot be read, tried again until it can: %s", self.topic, error)
            self._said = str(error)

    def _read(self) -> None:
        with Compacted(self._kafka, self.topic, _MAX_RECORD_BYTES) as records:
            if not records.is_there:
                raise SourceError("the broker has no such topic yet")
            series = Series()
            series.take(records.changes())
            # Only now: counters of half a topic would look as if they had been reset.
            self._collector.serve(series, time.time())
            self.failures = 0
            self._has_read = True
            if self._said:
                _logger.warning("topic %r is read again", self.topic)
                self._said = ""
            self._read_on(records, series)

    def _read_on(self, records: Compacted, series: Series) -> None:
        checked = time.monotonic()
        while not self._stop.is_set():
            if series.take(records.arrivals(_FETCH_S)):
                self._collector.seen(time.time())
            if time.monotonic() - checked >= self._patience.check_s:
                records.check_ends()
                self._collector.seen(time.time())
                checked = time.monotonic()


@click.command()
@click.argument("job_file", metavar="[JOB.toml]", required=False, type=click.Path(path_type=Path, dir_okay=False))
@BOOTSTRAP_OPTION
@click.option("--topic", help="Metrics topic, if no job file is given: <prefix>.metrics.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all.")
@click.option(
    "--port",
    type=ranged(Annotated[int, Range(at_least=0, at_most=65_535)]),
    default=9464,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
def exporter(job_file: Path | None, bootstrap: tuple[str, ...], topic: str | None, host: str, port: int) -> None:
    """Serve a job's metrics to Prometheus until stopped.

    Reads the job's compacted metrics topic from the beginning and serves the newest sample of each series on
    /metrics. It can be started before the job and survives restarts of job and broker: meanwhile it serves the
    last samples, sparsewatch_exporter_up is 0, and sparsewatch_exporter_last_read_timestamp_seconds does not advance.
    /-/healthy answers while it runs, /-/ready once it has read the topic.
    It ends if the broker refuses it at the start: password, certificate, right to read.
    """
    kafka = broker_of(job_file, bootstrap)
    try:
        with Exporter(kafka, topic or _metrics_topic(job_file), host, port) as running:
            click.echo(f"serving {running.topic} on {running.url}")
            # Under the SIGINT handler that Polars installs, a wait without end goes on before Python sees the signal.
            while running.refused is None:
                threading.Event().wait(0.5)
            raise running.refused
    except KeyboardInterrupt:
        click.echo("stopped")


def _metrics_topic(job_file: Path | None) -> str:
    if job_file is None:
        raise ConfigError("expected --topic PREFIX.metrics with --bootstrap")
    return ready(load_job(job_file)).topics.metrics
