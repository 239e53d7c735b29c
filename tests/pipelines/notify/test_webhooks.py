"""Webhooks are told over HTTP, and what they took is marked: on a broker in memory, over failures of each part."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.ready import Ready, ready
from sparsewatch.pipelines.notify import webhooks
from sparsewatch.pipelines.notify.command import followers_of
from sparsewatch.pipelines.notify.follow import Notifier
from sparsewatch.pipelines.notify.places import named_webhooks
from sparsewatch.pipelines.notify.webhooks import Delivery, wait_s
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.incidents import IncidentRecord
from sparsewatch.testing import FakeBroker
from sparsewatch.testing.child_process import free_port
from tests.kit.alertmanager import Receiver
from tests.kit.job_files import write_click_job
from tests.kit.waiting import wait_for
from tests.pipelines.notify.incident_records import incident


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "_FIRST_WAIT_S", 0.05)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


class Job:
    """A click job on a broker in memory, of which the test writes the incidents."""

    def __init__(self, broker: FakeBroker, folder: Path) -> None:
        self.broker = broker
        self.made: Ready = ready(load_job(write_click_job(folder, broker.settings.bootstrap_servers[0], "clicks")))
        for topic in (self.made.topics.incidents, self.made.topics.notified):
            broker.create(topic)

    def write(self, *incidents: IncidentRecord) -> None:
        writer = self.broker.writer()
        for one in incidents:
            writer.send(self.made.topics.incidents, one.id.encode(), msgspec.json.encode(one))
        writer.close()

    def marks(self) -> set[str]:
        return {(key or b"").decode() for key in self.broker.newest(self.made.topics.notified)}

    @contextmanager
    def telling(self, *addresses: str, tokens: tuple[str, ...] = ()) -> Iterator[list[Delivery]]:
        deliveries = [Delivery(hook, self.made, "ctr") for hook in named_webhooks(addresses, tokens, None)]
        with Notifier(followers_of(self.made, [], deliveries), deliveries):
            yield deliveries


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    with FakeBroker() as broker:
        yield Job(broker, tmp_path)


def told(receiver: Receiver) -> list[tuple[str, str]]:
    return [(body["incident"], body["change"]) for body in receiver.bodies]


def test_each_update_is_told_once_with_its_key_and_a_restart_tells_nothing_twice(job: Job, receiver: Receiver) -> None:
    job.write(incident(1, "resolved", "resolved"), incident(2))
    with job.telling(f"tickets={receiver.url}/hook"):
        wait_for(lambda: told(receiver) == [("clicks-2", "opened")], 20, "what fires")
        job.write(incident(2, change="lasts"), incident(2, "resolved", "resolved"))
        wait_for(lambda: len(told(receiver)) == 2, 20, "the end")
        wait_for(lambda: job.marks() == {"tickets/", "tickets/clicks-1", "tickets/clicks-2"}, 20, "the marks")
    job.write(incident(3))
    with job.telling(f"tickets={receiver.url}/hook"):
        wait_for(lambda: told(receiver)[2:] == [("clicks-3", "opened")], 20, "what came meanwhile")
        wait_for(lambda: "tickets/clicks-3" in job.marks(), 20, "its mark")
    assert [headers["idempotency-key"] for headers in receiver.headers] == [body["key"] for body in receiver.bodies]
    assert len({body["key"] for body in receiver.bodies}) == 3


def test_what_was_taken_and_not_marked_is_told_again_with_the_same_key(job: Job, receiver: Receiver) -> None:
    job.write(incident(1))
    job.broker.refuse(lambda record: record.key == b"tickets/clicks-1", "no disk left")
    with job.telling(f"tickets={receiver.url}") as (delivery,):
        wait_for(lambda: "tickets/" in job.marks() and len(told(receiver)) == 1, 20, "the update")
        job.write(incident(1, change="lasts"))
        wait_for(lambda: delivery.tally.failed > 2, 20, "more tries to write the mark")
    job.broker.heal()
    with job.telling(f"tickets={receiver.url}"):
        wait_for(lambda: len(told(receiver)) == 2, 20, "the same again")
        wait_for(lambda: "tickets/clicks-1" in job.marks(), 20, "its mark")
    first, again = receiver.headers
    assert first["idempotency-key"] == again["idempotency-key"]


def test_a_receiver_that_is_away_delays_only_itself_and_gets_what_stands(
    job: Job, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    late = free_port()
    with job.telling(f"here={receiver.url}", f"away=http://127.0.0.1:{late}") as (_, away):
        job.write(incident(1))
        wait_for(lambda: told(receiver) == [("clicks-1", "opened")], 20, "the one that is there")
        wait_for(lambda: away.tally.failed > 2, 20, "tries")
        job.write(incident(1, "resolved", "resolved"), incident(2))
        wait_for(lambda: away.waiting == 2 and len(told(receiver)) == 3, 20, "what waits")
        with Receiver(late) as back:
            wait_for(
                lambda: sorted(told(back)) == [("clicks-1", "resolved"), ("clicks-2", "opened")], 30, "what stands"
            )
            wait_for(lambda: "webhook 'away' is told of incidents of clicks again" in caplog.text, 20, "it says so")
    assert caplog.text.count("webhook 'away' does not answer") == 1


def test_one_that_is_busy_is_asked_again_and_one_that_refuses_is_not(
    job: Job, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.status = 503
    with job.telling(f"tickets={receiver.url}") as (delivery,):
        job.write(incident(1))
        wait_for(lambda: delivery.tally.failed > 1, 20, "tries")
        receiver.status = 400
        wait_for(lambda: delivery.tally.refused == 1, 20, "the refusal")
        receiver.status = 200
        asked = len(receiver.headers)
        job.write(incident(2))
        wait_for(lambda: told(receiver) == [("clicks-2", "opened")], 20, "what follows")
        assert len(receiver.headers) == asked + 1
        assert (delivery.tally.sent, delivery.tally.refused, delivery.waiting) == (1, 1, 0)
    (line,) = [record for record in caplog.records if "before a restart" in record.message]
    assert line.levelno == logging.WARNING
    assert "opened of clicks-1 is not sent again" in line.message
    assert "webhook 'tickets' refuses POST" in line.message
    # No mark: whoever mended the receiver restarts, and nothing is lost.
    with job.telling(f"tickets={receiver.url}"):
        wait_for(lambda: told(receiver)[1:] == [("clicks-1", "opened")], 20, "it is told after a restart")


def test_two_processes_tell_of_one_incident_as_one(job: Job, receiver: Receiver) -> None:
    address = f"tickets={receiver.url}"
    with job.telling(address), job.telling(address):
        job.write(incident(1))
        wait_for(lambda: "tickets/clicks-1" in job.marks(), 20, "its mark")
        job.write(incident(1, "resolved", "resolved"))
        wait_for(lambda: ("clicks-1", "resolved") in told(receiver), 20, "the end")
    assert len({headers["idempotency-key"] for headers in receiver.headers}) == 2


def test_jobs_that_share_a_prefix_are_told_apart_and_bad_marks_are_left_out(
    job: Job, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    writer = job.broker.writer()
    writer.send(job.made.topics.notified, b"tickets/clicks-1", b"no mark")
    writer.send(job.made.topics.notified, b"another/clicks-1", b"{}")
    writer.close()
    with job.telling(f"tickets={receiver.url}"):
        job.write(incident(1, job="wafers"), incident(1))
        wait_for(lambda: told(receiver) == [("clicks-1", "opened")], 20, "its own")
    assert "a record of topic 'clicks.notified' is left out: expected a mark" in caplog.text


def test_tokens_and_secret_addresses_are_sent_and_never_shown(
    job: Job, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HOOK", f"{receiver.url}/T0/secret-of-the-path")
    (tmp_path / "token").write_text("a-bearer-token\n")
    receiver.status = 500
    with job.telling("chat=env:HOOK", tokens=(f"chat=file:{tmp_path / 'token'}",)) as (delivery,):
        job.write(incident(1))
        wait_for(lambda: delivery.tally.failed > 0, 20, "a try")
        receiver.status = 403
        wait_for(lambda: delivery.tally.refused == 1, 20, "the refusal")
    assert {headers["authorization"] for headers in receiver.headers} == {"Bearer a-bearer-token"}
    assert "secret-of-the-path" not in caplog.text
    assert "a-bearer-token" not in caplog.text


@pytest.mark.parametrize(
    ("addresses", "tokens", "wrong"),
    [
        (["http://h/"], [], "--webhook: expected NAME="),
        (["A=http://h/"], [], "--webhook: expected NAME="),
        (["a=h:80"], [], "--webhook: expected a=http://HOST"),
        (["a=http://h/", "a=http://g/"], [], "--webhook: 'a' is given twice"),
        (["a=http://ann:pw@h/"], [], "--webhook: the address of 'a' holds a password"),
        (["a=env:NO_SUCH"], [], "--webhook: the environment has no variable"),
        (["a=http://h/"], ["a=the-token"], "--webhook-token: expected a=env:VARIABLE"),
        (["a=http://h/"], ["b=env:T"], "--webhook-token: expected the name of a --webhook, got 'b'"),
        (["a=http://h/"], ["a=file:no/such"], "--webhook-token: no/such cannot be read"),
    ],
)
def test_wrong_addresses_and_tokens_are_refused_by_name(addresses: list[str], tokens: list[str], wrong: str) -> None:
    with pytest.raises(ConfigError) as refused:
        named_webhooks(addresses, tokens, None)
    assert wrong in str(refused.value)
    assert "the-token" not in str(refused.value)


def test_waits_grow_to_a_minute_and_differ() -> None:
    waits = [[wait_s(failures, draw) for draw in (0.0, 0.5, 0.999)] for failures in range(1, 60)]
    assert all(low < middle < high for low, middle, high in waits)
    assert max(max(row) for row in waits) <= 60
    assert waits[-1][0] == 30
