"""The exporter serves the newest sample of each series from the metrics topic of a real broker."""

import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from sparsewatch.pipelines.exporter.command import Exporter
from sparsewatch.pipelines.exporter.command import exporter as exporter_command
from sparsewatch.pipelines.exporter.series import MetricsCollector, Series
from sparsewatch.pipelines.exporter.source_ends import SourceEnds
from sparsewatch.schemas.alerts import MetricSample
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.testing import EmbeddedBroker, FakeBroker
from sparsewatch.transforms.kafka.follow_topic import Patience
from sparsewatch.transforms.kafka.open import open_writer
from tests.kit.handles import open_handles
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic, produce
from tests.kit.waiting import wait_for


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


def value_of(exporter: Exporter, name: str) -> float:
    [sample] = [
        s for family in text_string_to_metric_families(scrape(exporter)) for s in family.samples if s.name == name
    ]
    return float(sample.value)


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


def test_what_would_spoil_the_page_is_counted_and_passed_over(served: tuple[Exporter, str, str]) -> None:
    exporter, bootstrap, topic = served
    odd_name, odd_label = sample("sparsewatch rows", 1), sample("sparsewatch_rows", 1, **{"a-b": "x"})
    good = sample("sparsewatch_rows", 1, job='quoted " and\nbroken')
    writer = open_writer(KafkaSettings(bootstrap_servers=[bootstrap]))
    writer.send(topic, b"k", b"no json")
    writer.send(topic, b"another key", msgspec.json.encode(good))
    write(bootstrap, topic, odd_name, odd_label, good)
    writer.close()
    wait_for(serves(exporter, "sparsewatch_exporter_bad_samples_total 4.0"), 20, "the bad records")
    [family] = [f for f in text_string_to_metric_families(scrape(exporter)) if f.name == "sparsewatch_rows"]
    assert [(s.labels, s.value) for s in family.samples] == [({"job": 'quoted " and\nbroken'}, 1.0)]


def records(*samples: MetricSample) -> list[tuple[bytes, bytes | None]]:
    return [(s.key.encode(), msgspec.json.encode(s)) for s in samples]


def test_series_of_a_name_stand_together_whatever_their_labels() -> None:
    series, collector = Series(), MetricsCollector()
    series.take(
        records(
            sample("sparsewatch_a", 1, x="1"),
            sample("sparsewatch_a_total", 2),
            sample("sparsewatch_a", 3),
            sample("sparsewatch_a", 4, y="2"),
        )
    )
    assert not any(family.name == "sparsewatch_a" for family in collector.collect())
    collector.serve(series, 5.0)
    families = {(f.name, f.type): [(s.name, s.labels, s.value) for s in f.samples] for f in collector.collect()}
    assert families["sparsewatch_a", "gauge"] == [
        ("sparsewatch_a", {"x": "1", "y": ""}, 1.0),
        ("sparsewatch_a", {"x": "", "y": "2"}, 4.0),
        ("sparsewatch_a", {"x": "", "y": ""}, 3.0),
    ]
    assert families["sparsewatch_a", "counter"] == [("sparsewatch_a_total", {}, 2.0)]
    assert families["sparsewatch_exporter_last_read_timestamp_seconds", "gauge"][0][2] == 5.0


IMPATIENT = Patience(check_s=0.3, timeout="2s", retry_s=(0.2,))


@pytest.mark.broker
def test_it_waits_for_broker_and_topic_and_forgets_a_topic_made_anew(caplog: pytest.LogCaptureFixture) -> None:
    broker = EmbeddedBroker()
    gone, new = sample("sparsewatch_rows", 1, job="gone"), sample("sparsewatch_rows", 2, job="new")
    kafka = KafkaSettings(bootstrap_servers=[broker.bootstrap])
    with Exporter(kafka, "anew.metrics", port=0, patience=IMPATIENT) as exporter:
        wait_for(lambda: exporter.failures >= 1, 30, "a try")
        handles = open_handles()
        wait_for(lambda: exporter.failures >= 4, 30, "some tries")
        # Within a try a client is open.
        wait_for(lambda: open_handles() <= handles, 30, "what the tries opened is closed again")
        assert value_of(exporter, "sparsewatch_exporter_up") == 0
        assert [line for line in caplog.messages if "is away" in line or "cannot be read" in line] == [
            f"the broker at {broker.bootstrap} is away: Connection refused; waiting for it"
        ]
        with broker:
            create_topic(broker.bootstrap, "anew.metrics")
            write(broker.bootstrap, "anew.metrics", gone, gone, gone)
            wait_for(serves(exporter, 'sparsewatch_rows{job="gone"} 1.0'), 20, "the first sample")
        with EmbeddedBroker(port=broker.port) as emptied:
            write(emptied.bootstrap, "anew.metrics", new)
            wait_for(serves(exporter, 'sparsewatch_rows{job="new"} 2.0'), 30, "the sample of the new topic")
            assert "gone" not in scrape(exporter)
            # Before its broker is gone.
            exporter.stop()


def test_a_broker_that_is_away_is_said_and_its_series_stay(kafka_broker: KafkaBroker) -> None:
    bootstrap, topic = kafka_broker.bootstrap, "away.metrics"
    create_topic(bootstrap, topic)
    write(bootstrap, topic, sample("sparsewatch_rows", 1))
    with Exporter(KafkaSettings(bootstrap_servers=[bootstrap]), topic, port=0, patience=IMPATIENT) as exporter:
        wait_for(serves(exporter, "sparsewatch_rows 1.0"), 20, "the sample")
        kafka_broker.kill()
        try:
            wait_for(lambda: value_of(exporter, "sparsewatch_exporter_up") == 0, 30, "to notice")
            last = value_of(exporter, "sparsewatch_exporter_last_read_timestamp_seconds")
            assert "sparsewatch_rows 1.0" in scrape(exporter).splitlines()
        finally:
            kafka_broker.start()
        write(bootstrap, topic, sample("sparsewatch_rows", 2))
        wait_for(serves(exporter, "sparsewatch_rows 2.0"), 30, "the next sample")
        assert value_of(exporter, "sparsewatch_exporter_up") == 1
        assert last < value_of(exporter, "sparsewatch_exporter_last_read_timestamp_seconds") <= time.time()


def test_promtool_finds_nothing_to_say(served: tuple[Exporter, str, str]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool (Debian package prometheus)")
    exporter, bootstrap, topic = served
    write(bootstrap, topic, sample("sparsewatch_records_total", 3, job="a", outcome="late"))
    wait_for(lambda: "sparsewatch_records_total" in scrape(exporter), 20, "the sample")
    checked = subprocess.run([promtool, "check", "metrics"], input=scrape(exporter), text=True, capture_output=True)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def status_of(exporter: Exporter, page: str) -> int:
    try:
        with urllib.request.urlopen(exporter.url.replace("/metrics", page), timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_it_is_healthy_at_once_and_ready_when_its_topic_is_read(embedded_broker: EmbeddedBroker) -> None:
    topic = "later-than-its-exporter.metrics"
    with Exporter(KafkaSettings(bootstrap_servers=[embedded_broker.bootstrap]), topic, port=0) as exporter:
        assert (status_of(exporter, "/-/healthy"), status_of(exporter, "/-/ready")) == (200, 503)
        create_topic(embedded_broker.bootstrap, topic)
        wait_for(lambda: status_of(exporter, "/-/ready") == 200, 30, "it is ready")


def test_it_listens_on_ipv6_if_told_to(embedded_broker: EmbeddedBroker) -> None:
    with Exporter(KafkaSettings(bootstrap_servers=[embedded_broker.bootstrap]), "t.metrics", "::1", 0) as exporter:
        assert status_of(exporter, "/-/healthy") == 200


def test_a_taken_port_is_named(served: tuple[Exporter, str, str]) -> None:
    exporter, bootstrap, topic = served
    port = int(exporter.url.split(":")[2].split("/")[0])
    with pytest.raises(ConfigError, match=f"--port {port}"):
        Exporter(KafkaSettings(bootstrap_servers=[bootstrap]), topic, port=port).start()


_JOB = """
kind = "ctr"
name = "command"
label = "label"
columns = {{ label = "int", ad = "int" }}
source = {{ topic = "clicks", time_column = "t" }}
windows = {{ length = "1m" }}
kafka = {{ bootstrap_servers = ["{}"] }}
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_it_is_told_to_stop(
    embedded_broker: EmbeddedBroker, tmp_path: Path, number: signal.Signals
) -> None:
    job = tmp_path / "job.toml"
    job.write_text(_JOB.format(embedded_broker.bootstrap))
    named = ["--bootstrap", embedded_broker.bootstrap, "--topic", "command.metrics"]
    options = [str(job)] if number == signal.SIGINT else named
    command = [str(Path(sys.executable).parent / "sparsewatch"), "exporter", *options, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            line = running.stdout.readline()
            assert "serving command.metrics on http://127.0.0.1:" in line
            running.send_signal(number)
            out, _ = running.communicate(timeout=30)
            assert (running.returncode, out) == (0, "stopped\n")
        finally:
            running.kill()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "a job file or --bootstrap"),
        (["--bootstrap", "localhost", "--topic", "t"], "expected HOST:PORT, got 'localhost'"),
        (["--bootstrap", "127.0.0.1:1"], "--topic PREFIX.metrics"),
        (["--bootstrap", "127.0.0.1:1", "--topic", "t", "--host", "nowhere.invalid"], "on nowhere.invalid"),
    ],
)
def test_wrong_options_are_named(options: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CliRunner().invoke(exporter_command, options, catch_exceptions=False)


def test_the_ends_of_the_source_are_served_while_the_broker_tells_them(embedded_broker: EmbeddedBroker) -> None:
    bootstrap = embedded_broker.bootstrap
    for topic in ("ends", "ends.metrics"):
        create_topic(bootstrap, topic)
    kafka = KafkaSettings(bootstrap_servers=[bootstrap])
    with Exporter(kafka, "ends.metrics", port=0, job=("clicks", "ends"), patience=IMPATIENT) as exporter:
        at = 'sparsewatch_partition_end_offset{job="clicks",partition="0"}'
        wait_for(serves(exporter, f"{at} 0.0"), 20, "the end of an empty topic")
        produce(bootstrap, "ends", [(0, b"a"), (0, b"b")])
        wait_for(serves(exporter, f"{at} 2.0"), 20, "the end behind two records")


def test_a_source_that_tells_no_end_costs_no_other_series(caplog: pytest.LogCaptureFixture) -> None:
    with FakeBroker() as broker:
        for topic in ("clicks", "clicks.metrics"):
            broker.create(topic)
        ends, stop = SourceEnds(broker.settings, "a", "clicks", IMPATIENT), threading.Event()
        asking = threading.Thread(target=ends.follow, args=(stop,))
        asking.start()
        wait_for(lambda: [sample.value for sample in ends.newest] == [0], 20, "the end of the topic")
        broker.away = True
        wait_for(lambda: not ends.newest, 20, "it to be gone")
        stop.set()
        asking.join()
    assert [line for line in caplog.messages if "cannot be asked for" in line] == [
        "the ends of topic 'clicks' cannot be asked for: the broker is away"
    ]
