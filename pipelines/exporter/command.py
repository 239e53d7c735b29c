"""Serve a job's metrics to Prometheus: `sparsewatch exporter`.

Workers have no ports of their own; they write samples to a compacted topic, and this one process reads it from the
beginning and serves the newest sample of each series. Restarted, it recovers from the topic.
"""

import threading
import time
from pathlib import Path
from threading import Thread
from typing import Annotated, Self

import click
from prometheus_client import CollectorRegistry

from sparsewatch.pipelines.console.addresses import PORT
from sparsewatch.pipelines.console.numbers import ranged
from sparsewatch.pipelines.console.stopping import join_until
from sparsewatch.pipelines.exporter.guard import MAX_SERIES
from sparsewatch.pipelines.exporter.pages import Pages
from sparsewatch.pipelines.exporter.series import MetricsCollector
from sparsewatch.pipelines.exporter.source_ends import SourceEnds
from sparsewatch.pipelines.job.broker_options import BOOTSTRAP_OPTION, broker_of
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.schemas.settings import Range
from sparsewatch.transforms.kafka.follow_topic import PATIENCE, Patience, TopicFollower

_MAX_RECORD_BYTES = 1 << 20
_JOIN_S = 5.0


class Exporter:
    """Follows a metrics topic in a thread and serves `/metrics`; also a context manager.

    Args:
        kafka: The broker; it may be away, at first and later.
        topic: The compacted topic of samples; it may be made later.
        host: Address to listen on.
        port: Port to listen on, a free one if 0.
        job: Name and source topic of the job, where they are known: the ends of the source are served, too.
        max_series: Series of jobs that it serves at most.
        patience: How long it waits for the broker.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        host: str = "127.0.0.1",
        port: int = 9464,
        *,
        job: tuple[str, str] | None = None,
        max_series: int = MAX_SERIES,
        patience: Patience = PATIENCE,
    ) -> None:
        self._ends = None if job is None else SourceEnds(kafka, *job, patience)
        self._collector = MetricsCollector(lambda: () if self._ends is None else self._ends.newest, max_series)
        self._follower = TopicFollower(kafka, topic, _MAX_RECORD_BYTES, self._collector, patience)
        #: The topic that is followed.
        self.topic = topic
        self._host = host
        self._port = port
        self._stop = threading.Event()

    @property
    def failures(self) -> int:
        """Tries in a row that failed."""
        return self._follower.failures

    @property
    def refused(self) -> Exception | None:
        """Why the broker refuses us, before anything was read."""
        return self._follower.refused

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
        self._server = Pages(self._host, self._port, registry, lambda: self._follower.has_read)
        self._port = self._server.port
        followers = [("metrics-topic", self._follower.follow)]
        if self._ends is not None:
            followers.append(("source-ends", self._ends.follow))
        self._threads = [
            Thread(target=follow, args=(self._stop,), name=name, daemon=True) for name, follow in followers
        ]
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """Stop following and serving."""
        self._stop.set()
        self._server.close()
        # A thread that waits for a broker which is away ends by itself when that wait is over.
        join_until(self._threads, time.monotonic() + _JOIN_S)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


@click.command()
@click.argument("job_file", metavar="[JOB.toml]", required=False, type=click.Path(path_type=Path, dir_okay=False))
@BOOTSTRAP_OPTION
@click.option("--topic", help="Metrics topic, if no job file is given: <prefix>.metrics.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all.")
@click.option(
    "--port",
    type=PORT,
    default=9464,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--max-series",
    type=ranged(Annotated[int, Range(at_least=100, at_most=1_000_000)]),
    default=MAX_SERIES,
    show_default=True,
    help="Series of jobs to serve at most.",
)
def exporter(
    job_file: Path | None, bootstrap: tuple[str, ...], topic: str | None, host: str, port: int, max_series: int
) -> None:
    """Serve a job's metrics to Prometheus until stopped.

    Reads the job's compacted metrics topic from the beginning and serves the newest sample of each series on
    /metrics. It can be started before the job and survives restarts of job and broker: meanwhile it serves the
    last samples, sparsewatch_exporter_up is 0, and sparsewatch_exporter_last_read_timestamp_seconds does not advance.
    With a job file it also asks the broker where the source topic ends, which tells how far the job is behind.
    /-/healthy answers while it runs, /-/ready once it has read the topic.
    It ends if the broker refuses it at the start: password, certificate, right to read.
    """
    kafka = broker_of(job_file, bootstrap)
    job = None
    if job_file is not None:
        made = ready(load_job(job_file))
        job, topic = (made.job.name, made.topics.source), topic or made.topics.metrics
    if topic is None:
        raise ConfigError("expected --topic PREFIX.metrics with --bootstrap")
    try:
        with Exporter(kafka, topic, host, port, job=job, max_series=max_series) as running:
            click.echo(f"serving {running.topic} on {running.url}")
            # Under the SIGINT handler that Polars installs, a wait without end goes on before Python sees the signal.
            while running.refused is None:
                threading.Event().wait(0.5)
            raise running.refused
    except KeyboardInterrupt:
        click.echo("stopped")
