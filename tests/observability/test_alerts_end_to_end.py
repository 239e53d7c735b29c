"""From a topic to a person: real Prometheus and Alertmanager, one notification a trouble."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from sparsewatch.pipelines.exporter.command import Exporter
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.ready import ready
from sparsewatch.pipelines.notify.alertmanager import Alertmanager
from sparsewatch.pipelines.notify.command import followers_of
from sparsewatch.pipelines.notify.follow import Notifier, Replica
from sparsewatch.pipelines.notify.outbox import Outbox
from sparsewatch.schemas.metrics import INCIDENTS_FIRING, WINDOW_CLOSED
from sparsewatch.testing import EmbeddedBroker
from sparsewatch.transforms.kafka.open import open_writer
from tests.kit.alertmanager import AlertmanagerProcess, Receiver
from tests.kit.job_files import write_click_job
from tests.kit.prometheus import PrometheusProcess
from tests.kit.topics import create_topic
from tests.kit.waiting import wait_for
from tests.pipelines.notify.incident_records import incident

# Time runs 450 times as fast: on a busy machine a scrape that is late stands for minutes and is an alert of its own.
pytestmark = [pytest.mark.observability, pytest.mark.slow]


class Topics:
    """The topics of a job that does not run: the test writes what it would."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self.made = ready(load_job(write_click_job(folder, bootstrap, "observed")))
        self._writer = open_writer(self.made.job.kafka)
        for topic in (self.made.topics.incidents, self.made.topics.metrics):
            create_topic(bootstrap, topic, compact=True)

    def stands(self, firing: int, closed_s: float) -> None:
        """So many warnings fire, and the last window was closed then."""
        for sample in (INCIDENTS_FIRING.sample(firing, severity="warning"), WINDOW_CLOSED.sample(closed_s)):
            own = sample.of_job("observed")
            self._writer.send(self.made.topics.metrics, own.key.encode(), msgspec.json.encode(own))
        state, change = ("firing", "opened") if firing else ("resolved", "resolved")
        told = incident(1, state, change, job="observed")  # type: ignore[arg-type]
        self._writer.send(self.made.topics.incidents, told.id.encode(), msgspec.json.encode(told))
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


@pytest.fixture
def topics(embedded_broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Topics]:
    topics = Topics(embedded_broker.bootstrap, tmp_path)
    yield topics
    topics.close()


def test_an_incident_and_a_job_that_stopped_are_one_notification_each(topics: Topics) -> None:
    kafka, made = topics.made.job.kafka, topics.made
    with (
        Receiver() as receiver,
        AlertmanagerProcess(receiver, "1s") as manager,
        Exporter(kafka, made.topics.metrics, port=0) as exporter,
        PrometheusProcess([exporter.url.split("/")[2]], [manager.url.removeprefix("http://")], 450) as prometheus,
    ):
        replicas = [Replica(Alertmanager(manager.url), Outbox(60))]
        with Notifier(followers_of(made, replicas, []), replicas):
            topics.stands(1, time.time())
            scraped = 'sparsewatch_incidents_firing{job="observed", severity="warning"}'
            wait_for(lambda: prometheus.value(scraped) == 1, 30, "the incident is scraped")
            # Nothing more is closed: after 2 s, which stand for 15 minutes, the job is missed.
            missed = {"SparsewatchWatchdog", "SparsewatchNoWindowClosed"}
            wait_for(lambda: prometheus.firing() == missed, 30, "the job is missed")
            wait_for(lambda: len(receiver.bodies) == 2, 30, "both are told")
            topics.stands(0, time.time() + 3600)
            wait_for(lambda: len(receiver.bodies) == 4, 30, "both are over")
    told = sorted((body["status"], body["groupLabels"].get("incident", "")) for body in receiver.bodies)
    assert told == [(status, of) for status in ("firing", "resolved") for of in ("", "observed-1")]
    assert [len(body["alerts"]) for body in receiver.bodies] == [1] * 4
