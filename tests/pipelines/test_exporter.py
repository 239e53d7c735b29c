"""The exporter serves the newest sample of each series from the metrics topic of a real broker."""

import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from pipelines.demo.broker import EmbeddedBroker
from pipelines.exporter import Exporter
from schemas.errors import ConfigError
from schemas.jobs import KafkaSettings
from schemas.metrics import MetricSample
from tests.kit.topics import create_topic
from tests.kit.waiting import wait_for
from transforms.kafka.client import open_writer


def sample(name: str, value: float, **labels: str) -> MetricSample:
    kind = "counter" if name.endswith("_total") else "gauge"
    return MetricSample(name=name, kind=kind, help="What it is.", value=value, labels=labels)  # type: ignore[arg-type]


def write(bootstrap: str, topic: str, *samples: MetricSample, removed: MetricSample | None = None) -> None:
    writer = open_writer(KafkaSettings(bootstrap_servers=[bootstrap]))
    for one in samples:
        writer.send(topic, one.key.encode(), msgspec.json.encode(one))
    if removed is not None:
        writer.send(topic, removed.key.encode(), None)
    writer.close()


def scrape(exporter: Exporter) -> str:
    with urllib.request.urlopen(exporter.url, timeout=5) as answer:
        return str(answer.read().decode())


def serves(exporter: Exporter, line: str) -> Callable[[], bool]:
    return lambda: line in scrape(exporter).splitlines()


@pytest.fixture
def served(embedded_broker: EmbeddedBroker, request: pytest.FixtureRequest) -> Iterator[tuple[Exporter, str, str]]:
    topic = f"{request.node.name}.metrics"
    create_topic(embedded_broker.bootstrap, topic)
    kafka = KafkaSettings(bootstrap_servers=[embedded_broker.bootstrap])
    with Exporter(kafka, topic, port=0) as exporter:
        yield exporter, embedded_broker.bootstrap, topic


def test_the_newest_sample_of_a_series_is_served(served: tuple[Exporter, str, str]) -> None:
    exporter, bootstrap, topic = served
    write(
        bootstrap,
        topic,
        sample("sparsewatch_records_total", 3, job="a"),
        sample("sparsewatch_records_total", 9, job="a"),
    )
    write(
        bootstrap, topic, sample("sparsewatch_records_total", 5, job="b"), sample("sparsewatch_window_rows", 2, job="a")
    )
    wait_for(serves(exporter, 'sparsewatch_records_total{job="a"} 9.0'), 20, "the newest sample")
    wait_for(serves(exporter, 'sparsewatch_window_rows{job="a"} 2.0'), 20, "the gauge")
    text = scrape(exporter)
    assert 'sparsewatch_records_total{job="b"} 5.0' in text
    assert "# TYPE sparsewatch_records_total counter" in text
    assert "sparsewatch_exporter_up 1.0" in text


def test_a_record_without_a_value_removes_its_series(served: tuple[Exporter, str, str]) -> None:
    exporter, bootstrap, topic = served
    gone, kept = sample("sparsewatch_window_rows", 1, job="gone"), sample("sparsewatch_window_rows", 1, job="kept")
    write(bootstrap, topic, gone, kept, removed=gone)
    wait_for(serves(exporter, 'sparsewatch_window_rows{job="kept"} 1.0'), 20, "the series that stays")
    wait_for(lambda: "gone" not in scrape(exporter), 20, "the series to go")


def test_a_record_that_is_no_sample_is_counted_and_passed_over(served: tuple[Exporter, str, str]) -> None:
    exporter, bootstrap, topic = served
    writer = open_writer(KafkaSettings(bootstrap_servers=[bootstrap]))
    writer.send(topic, b"k", b"no json")
    writer.close()
    wait_for(serves(exporter, "sparsewatch_exporter_bad_samples_total 1.0"), 20, "the bad record")


def test_promtool_finds_nothing_to_say(served: tuple[Exporter, str, str]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool (Debian package prometheus)")
    exporter, bootstrap, topic = served
    write(bootstrap, topic, sample("sparsewatch_records_total", 3, job="a", outcome="late"))
    wait_for(lambda: "sparsewatch_records_total" in scrape(exporter), 20, "the sample")
    checked = subprocess.run([promtool, "check", "metrics"], input=scrape(exporter), text=True, capture_output=True)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_a_taken_port_is_named(served: tuple[Exporter, str, str]) -> None:
    exporter, bootstrap, topic = served
    port = int(exporter.url.split(":")[2].split("/")[0])
    with pytest.raises(ConfigError, match=f"--port {port}"):
        Exporter(KafkaSettings(bootstrap_servers=[bootstrap]), topic, port=port).start()


def test_the_command_serves_until_it_is_told_to_stop(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    create_topic(embedded_broker.bootstrap, "command.metrics")
    script = str(Path(sys.executable).parent / "sparsewatch")
    command = [
        script,
        "exporter",
        "--bootstrap",
        embedded_broker.bootstrap,
        "--topic",
        "command.metrics",
        "--port",
        "0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        line = running.stdout.readline()
        assert "serving command.metrics on http://127.0.0.1:" in line
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=30) == 130
