"""Two exporters of a job serve the same and count once; one that is started again serves what it served."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from deploy.generate.__main__ import generated
from sparsewatch.pipelines.exporter.command import Exporter
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.testing import EmbeddedBroker
from sparsewatch.transforms.kafka.open import open_writer
from tests.kit.exported_jobs import A_WINDOW, JOB, WINDOWS, stated
from tests.kit.prometheus import PrometheusProcess
from tests.kit.topics import create_topic
from tests.kit.waiting import wait_for

#: The jobs have models.
pytestmark = pytest.mark.torch
Start = Callable[[], Exporter]


@pytest.fixture
def start(embedded_broker: EmbeddedBroker, request: pytest.FixtureRequest) -> Iterator[Start]:
    """Starts an exporter of a click job; it returns when that has read its topic."""
    topic = f"{request.node.name}.metrics"
    kafka = KafkaSettings(bootstrap_servers=[embedded_broker.bootstrap])
    create_topic(embedded_broker.bootstrap, topic)
    writer = open_writer(kafka)
    for key, value in stated("ctr")[0].topic:
        writer.send(topic, key, value)
    writer.close()
    with ExitStack() as running:

        def started() -> Exporter:
            exporter = running.enter_context(Exporter(kafka, topic, port=0))
            wait_for(lambda: len(of_job(exporter)) > 10, 30, "the series of the job")
            return exporter

        yield started


def of_job(exporter: Exporter) -> list[str]:
    """Lines of an exporter's page that are about the job."""
    with urllib.request.urlopen(exporter.url, timeout=5) as answer:
        return [line for line in answer.read().decode().splitlines() if f'job="{JOB}"' in line]


def test_a_new_exporter_serves_what_one_that_is_gone_has_served(start: Start) -> None:
    first, second = start(), start()
    served = of_job(first)
    assert len({line.partition(" ")[0] for line in served}) == len(served) > 50
    assert of_job(second) == served
    first.stop()
    assert of_job(start()) == served


def test_two_exporters_double_nothing_in_a_real_prometheus(start: Start) -> None:
    boards = [json.loads(text) for path, text in generated().items() if path.suffix == ".json"]
    panels = [target["expr"].replace("$job", ".*") for board in boards for panel in board["panels"]
              for target in panel.get("targets", [])]  # fmt: skip
    addresses = [start().url.split("/")[2] for _ in range(2)]
    with PrometheusProcess(addresses, [], times=1) as prometheus:
        rows = "sum(sparsewatch_records_total)"
        wait_for(lambda: prometheus.value(rows) == 2 * WINDOWS * A_WINDOW, 30, "both exporters are scraped")
        assert prometheus.value("sum(max by (job, outcome) (sparsewatch_records_total))") == WINDOWS * A_WINDOW
        shown = 0
        for panel in panels:
            of_jobs = [labels for labels in prometheus.labels(panel) if labels.get("job") == JOB]
            assert all("instance" not in labels for labels in of_jobs), panel
            shown += bool(of_jobs)
        assert shown > 15
