"""Incidents reach a real Alertmanager and what it tells, over crashes of each part."""

import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from sparsewatch.pipelines.cli import cli
from sparsewatch.pipelines.notify.alertmanager import Alertmanager
from sparsewatch.schemas.errors import ConfigError, SourceError
from sparsewatch.schemas.incidents import DecidedRecord, IncidentRecord
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.schemas.secrets import Secret
from sparsewatch.testing import EmbeddedBroker
from sparsewatch.testing.child_process import ChildProcess, free_port
from sparsewatch.transforms.kafka.open import open_writer
from tests.kit.alertmanager import AlertmanagerProcess, Receiver
from tests.kit.job_files import write_click_job
from tests.kit.topics import create_topic, read_all
from tests.kit.waiting import wait_for
from tests.pipelines.notify.incident_records import incident


class Told:
    """A job whose incidents the test writes, and the command that tells of them."""

    def __init__(self, bootstrap: str, prefix: str, folder: Path) -> None:
        self.bootstrap, self.topic, self.folder = bootstrap, f"{prefix}.incidents", folder
        self.job = write_click_job(folder, bootstrap, "clicks")
        self.job.write_text(f'{self.job.read_text()}[output]\nprefix = "{prefix}"\n')
        create_topic(bootstrap, self.topic, compact=True)
        self.notified = f"{prefix}.notified"
        create_topic(bootstrap, self.notified, compact=True)

    def write(self, *incidents: IncidentRecord) -> None:
        writer = open_writer(KafkaSettings(bootstrap_servers=[self.bootstrap]))
        for one in incidents:
            writer.send(self.topic, one.id.encode(), msgspec.json.encode(one))
        writer.close()

    def marks(self) -> set[str]:
        return {
            (raw.key or b"").decode() for raw in read_all(self.bootstrap, self.topic.replace("incidents", "notified"))
        }

    def notifying(self, *urls: str, webhooks: tuple[str, ...] = (), port: int | None = None) -> ChildProcess:
        options = [option for url in urls for option in ("--alertmanager", url)]
        options += [] if port is None else ["--port", str(port)]
        options += [option for webhook in webhooks for option in ("--webhook", webhook)]
        command = [
            str(Path(sys.executable).parent / "sparsewatch"),
            "notify",
            str(self.job),
            *options,
            "--resend",
            "2s",
            "--console",
            "https://console.test:8470/",
        ]
        return ChildProcess(command, log=self.folder / "log")


@pytest.fixture
def told(embedded_broker: EmbeddedBroker, tmp_path: Path, request: pytest.FixtureRequest) -> Told:
    return Told(embedded_broker.bootstrap, request.node.name, tmp_path)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def statuses(receiver: Receiver) -> list[tuple[str, str]]:
    """What was told of: incident and status of each notification."""
    return [(body["groupLabels"]["incident"], body["status"]) for body in receiver.bodies]


def page(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as answer:
        return str(answer.read().decode())


def test_an_incident_is_told_once_and_resolved_once_over_a_crash_between(told: Told, receiver: Receiver) -> None:
    with AlertmanagerProcess(receiver) as manager, told.notifying(manager.url) as notifying:
        told.write(incident(1))
        wait_for(lambda: statuses(receiver) == [("clicks-1", "firing")], 60, "the notification")
        (body,) = receiver.bodies
        (alert,) = body["alerts"]
        assert alert["annotations"]["where"] == "sdk = 3.2"
        assert alert["annotations"]["show"] == f"sparsewatch incidents show {told.job} clicks-1"
        page = "https://console.test:8470/jobs/clicks/incidents/clicks-1"
        assert (alert["generatorURL"], alert["annotations"]["console"]) == (page, page)
        notifying.kill()
        told.write(incident(1, "resolved", "resolved"), incident(2))
        notifying.start()
        wait_for(lambda: len(statuses(receiver)) == 3, 60, "both notifications")
        told.write(incident(2, "resolved", "resolved"))
        wait_for(lambda: len(statuses(receiver)) == 4, 60, "the last one")
    assert statuses(receiver)[0] == ("clicks-1", "firing")
    assert sorted(statuses(receiver)) == [(f"clicks-{i}", status) for i in (1, 2) for status in ("firing", "resolved")]


def test_an_alertmanager_that_crashed_is_told_again_and_of_the_end(told: Told, receiver: Receiver) -> None:
    with AlertmanagerProcess(receiver) as manager, told.notifying(manager.url):
        told.write(incident(1))
        wait_for(lambda: statuses(receiver) == [("clicks-1", "firing")], 60, "the notification")
        # What it had told is lost with it: it tells of what fires once more.
        manager.kill()
        manager.start()
        wait_for(lambda: statuses(receiver) == [("clicks-1", "firing")] * 2, 60, "it is told again")
        told.write(incident(1, "resolved", "resolved"))
        wait_for(lambda: statuses(receiver)[2:] == [("clicks-1", "resolved")], 60, "the end")


def test_each_replica_is_told_though_one_is_away_and_comes_later(told: Told) -> None:
    late = free_port()
    with Receiver() as first, told.notifying(first.url, f"http://127.0.0.1:{late}") as notifying:
        told.write(incident(1))
        wait_for(lambda: bool(first.bodies), 60, "the replica that is there")
        away = f"the Alertmanager at http://127.0.0.1:{late} does not answer"
        wait_for(lambda: away in (told.folder / "log").read_text(), 60, "the other is missed")
        with Receiver(late) as second:
            wait_for(lambda: bool(second.bodies), 60, "the replica that was away")
            assert second.bodies[0][0]["labels"] == first.bodies[0][0]["labels"]
        notifying.stop()
    assert (told.folder / "log").read_text().count(away) == 1


def test_a_webhook_is_told_once_over_a_kill_of_the_command(told: Told, receiver: Receiver) -> None:
    told.write(incident(1))
    port = free_port()
    with told.notifying(webhooks=(f"tickets={receiver.url}",), port=port) as notifying:
        wait_for(lambda: "tickets/clicks-1" in told.marks(), 60, "the mark of the first")
        notifying.kill()
        told.write(incident(1, "resolved", "resolved"), incident(2))
        notifying.start()
        wait_for(lambda: len(receiver.bodies) == 3, 60, "the end of one, and the other")
        sent = 'sparsewatch_notify_sent_total{receiver="tickets"} 2.0'
        wait_for(lambda: sent in page(port, "metrics"), 30, "what this process sent")
        assert page(port, "-/ready") == "the topic is read\n"
    assert [(body["incident"], body["state"]) for body in receiver.bodies] == [
        ("clicks-1", "firing"),
        ("clicks-1", "resolved"),
        ("clicks-2", "firing"),
    ]
    assert [headers["idempotency-key"] for headers in receiver.headers] == [body["key"] for body in receiver.bodies]
    assert {(body["kind"], body["version"]) for body in receiver.bodies} == {("ctr", 1)}


def test_a_refusal_is_told_with_the_answer_and_a_busy_one_is_asked_again(receiver: Receiver) -> None:
    manager = Alertmanager(receiver.url, Secret("a-bearer-token"))
    receiver.status = 400
    with pytest.raises(ConfigError, match=r"refuses POST /api/v2/alerts: 400"):
        manager.send([{"labels": {}}])
    receiver.status = 503
    with pytest.raises(SourceError, match="answers 503"):
        manager.send([{"labels": {}}])
    assert len(receiver.headers) == 1 + 4
    assert {headers["authorization"] for headers in receiver.headers} == {"Bearer a-bearer-token"}


def test_silences_are_read_by_incident_and_listed_beside_acks(told: Told, receiver: Receiver) -> None:
    ack = DecidedRecord(by="ada", at_us=1, why="ticket 4711", until_us=None)
    with AlertmanagerProcess(receiver) as manager, told.notifying(manager.url):
        told.write(incident(1), incident(2), incident(3, change="acked", acked=ack))
        wait_for(lambda: len(manager.alerts()) == 3, 60, "all alerts")
        manager.silence("ann", "known", incident="clicks-2")
        asked = Alertmanager(manager.url)
        wait_for(lambda: bool(asked.silenced("clicks")), 30, "the silence holds")
        ((silenced, silence),) = asked.silenced("clicks").items()
        assert (silenced, silence.by, silence.why) == ("clicks-2", "ann", "known")
        assert asked.silenced('an"other') == {}
        call = ["incidents", "list", str(told.job), "--alertmanager", manager.url]
        table, lines = (CliRunner().invoke(cli, [*call, *more]) for more in ([], ["--json"]))
    assert (table.exit_code, table.output.count("silenced by ann"), table.output.count("acked by ada")) == (0, 1, 1)
    records = [msgspec.json.decode(line) for line in lines.stdout.splitlines()]
    assert [record.get("silenced", {}).get("why") for record in records] == [None, "known", None]


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ([], "expected --alertmanager or --webhook, got neither"),
        (["--alertmanager", "am:9093"], "--alertmanager: expected http://HOST:PORT"),
        (["--alertmanager", "http://am:9093"] * 21, "expected at most 20 receivers, got 21"),
        (["--alertmanager", "http://am:9093", "--console", "console:8470"], "--console: expected http://HOST:PORT"),
        (["--alertmanager", "http://am:9093", "--console", "ftp://console"], "--console: expected http://HOST:PORT"),
        (["--alertmanager", "http://am:9093", "--console", "http:///jobs"], "--console: expected http://HOST:PORT"),
        (["--alertmanager", "http://am:9093", "--console", "http://c/?a=b"], "--console: expected http://HOST:PORT"),
        (["--alertmanager", "http://am:9093", "--console", "http://[c"], "--console: 'http://[c': Invalid IPv6 URL"),
        (["--alertmanager", "http://am:9093", "--console", "http://a:b@c"], "--console: the address holds a password"),
        (["--alertmanager", "http://am:9093", "--resend", "soon"], "--resend: "),
        (["--alertmanager", "http://am:9093", "--resend", "2h"], "--resend: expected from 1s to 1h"),
        (["--alertmanager", "http://am:9093", "--token-env", "NO_SUCH_TOKEN"], "--token-env: the environment has no"),
        (["--alertmanager", "http://am:9093", "--token-file", "no/such"], "--token-file: no/such cannot be read"),
    ],
)
def test_wrong_options_are_refused_by_name(tmp_path: Path, options: list[str], wrong: str) -> None:
    job = write_click_job(tmp_path, "localhost:1", "p")
    result = CliRunner().invoke(cli, ["notify", str(job), *options])
    assert isinstance(result.exception, ConfigError)
    assert wrong in str(result.exception)


def test_the_command_stops_in_order(told: Told) -> None:
    with Receiver() as receiver, told.notifying(receiver.url) as notifying:
        wait_for(lambda: (told.folder / "log").read_text() != "", 60, "it runs")
        notifying.stop()
    assert "stopped" in (told.folder / "log").read_text()
