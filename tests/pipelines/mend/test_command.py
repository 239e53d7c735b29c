"""A job whose state lies in topics made by others resumes once these are mended, wherever a mend is cut off."""

import json
import re
import shlex
import subprocess
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.admin import NewTopic as KafkaNewTopic

from sparsewatch.pipelines.cli import cli
from sparsewatch.pipelines.job.broker_checks import StateTopic, faults_of, look_at
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.mend import remake
from sparsewatch.pipelines.mend.remake import mend_topic
from sparsewatch.pipelines.run.run import load_job_progress
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.testing import EmbeddedBroker, FakeAdmin, FakeBroker
from sparsewatch.transforms.kafka.client import Admin, NewTopic
from sparsewatch.transforms.kafka.compacted import Compacted
from sparsewatch.transforms.kafka.kafka_python_admin import KafkaPythonAdmin
from tests.kit.installed import java, kafka_classpath
from tests.kit.job_files import write_click_job
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic, newest_by_key, produce, read_all

START = 1_700_000_000_000 // 60_000 * 60_000
#: Events of a minute.
EVENTS = 60


def event(number: int) -> bytes:
    """One a second."""
    site, label = ("x", 1) if number % 3 else ("y", 0)
    return json.dumps(
        {"t": START + number * 1000, "ad": number % 7, "site": site, "price": 1.0, "mobile": True, "label": label}
    ).encode()


def stream(bootstrap: str, topic: str, minutes: range) -> None:
    """One event a second of these minutes."""
    produce(bootstrap, topic, [(0, event(i)) for m in minutes for i in range(m * EVENTS, (m + 1) * EVENTS)])


def remade_by_operator(bootstrap: str, topic: str, partitions: int, policy: str) -> None:
    """The topic as an operator would have made it, with what it holds, placed by key."""
    held = read_all(bootstrap, topic)
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.delete_topics([topic])
    settings = {"cleanup.policy": policy, "max.message.bytes": "5000000"}
    admin.create_topics([KafkaNewTopic(topic, partitions, 1, topic_configs=settings)])
    admin.close()
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for record in held:
        producer.send(topic, key=record.key, value=record.value)
    producer.close()


def sparsewatch(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def refused(*arguments: str) -> str:
    """Message of a command that must be refused."""
    result = sparsewatch(*arguments)
    assert isinstance(result.exception, ConfigError), result.output
    return str(result.exception)


def run(job_file: Path) -> Result:
    result = sparsewatch("run", str(job_file), "--until", "latest", "--runner", "inprocess", "--keep-open")
    assert result.exception is None, result.exception
    return result


# Marked here: a broker that is asked for by its name is not seen among a test's fixtures.
EMBEDDED = pytest.param("embedded", marks=pytest.mark.broker)
KAFKA = pytest.param("kafka", marks=[pytest.mark.broker, pytest.mark.kafka])


@pytest.fixture(params=[EMBEDDED, KAFKA])
def bootstrap(request: pytest.FixtureRequest) -> str:
    broker: EmbeddedBroker | KafkaBroker = request.getfixturevalue(f"{request.param}_broker")
    return broker.bootstrap


def job_that_stands(bootstrap: str, folder: Path, name: str) -> Path:
    """A click job with a sliding view that has closed four of its five minutes."""
    create_topic(bootstrap, name)
    job_file = write_click_job(folder, bootstrap, name)
    job_file.write_text(job_file.read_text() + "\n[ranking]\npanes = 4\n")
    stream(bootstrap, name, range(5))
    run(job_file)
    return job_file


def state(bootstrap: str, name: str) -> dict[bytes, bytes]:
    kafka = KafkaSettings(bootstrap_servers=[bootstrap])
    found: dict[bytes, bytes] = {}
    for topic in (f"{name}.progress", f"{name}.panes"):
        with Compacted(kafka, topic, 4 << 20) as records:
            found |= records.newest()
    return found


def commands_in(message: str) -> list[list[str]]:
    """What a message says is to be done, in order, each once."""
    return [shlex.split(command) for command in dict.fromkeys(re.findall("`(.*?)`", message))]


def test_a_job_resumes_where_it_stood_once_its_topics_are_mended_as_the_message_says(
    bootstrap: str, tmp_path: Path
) -> None:
    name = "operators"
    job_file = job_that_stands(bootstrap, tmp_path, name)
    before, held = load_job_progress(load_job(job_file)), state(bootstrap, name)
    assert before is not None
    for topic in ("progress", "panes"):
        remade_by_operator(bootstrap, f"{name}.{topic}", 3, "compact")
    # Whatever the partitions, what is read is right already.
    assert (load_job_progress(load_job(job_file)), state(bootstrap, name)) == (before, held)

    message = refused("check", str(job_file))
    assert message == refused("run", str(job_file), "--until", "latest")
    for topic in ("progress", "panes"):
        assert f"topic '{name}.{topic}' has 3 partitions, expected 1" in message
    for program, *arguments in commands_in(message):
        assert program == "sparsewatch"
        result = sparsewatch(*arguments)
        assert result.exit_code == 0, result.exception

    assert state(bootstrap, name) == held
    assert sparsewatch("check", str(job_file)).exit_code == 0
    stream(bootstrap, name, range(5, 8))
    assert f"{7 * EVENTS} read = {7 * EVENTS} counted" in run(job_file).output
    windows = newest_by_key(read_all(bootstrap, f"{name}.windows"))
    assert [w["rows"] for w in windows.values()] == [EVENTS] * 7
    assert len(read_all(bootstrap, f"{name}.windows")) == 7
    assert "nothing was changed" in sparsewatch("mend", str(job_file)).output


def test_a_topic_that_is_deleted_from_is_refused_until_it_is_compacted(
    kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    bootstrap, name = kafka_broker.bootstrap, "retained"
    job_file = job_that_stands(bootstrap, tmp_path, name)
    before = load_job_progress(load_job(job_file))
    remade_by_operator(bootstrap, f"{name}.progress", 1, "delete")
    remade_by_operator(bootstrap, f"{name}.panes", 1, "compact,delete")
    message = refused("check", str(job_file))
    assert message == refused("run", str(job_file), "--until", "latest")
    assert f"'{name}.progress' has cleanup.policy=delete (retention.ms=604800000), expected compact" in message
    assert f"'{name}.panes' has cleanup.policy=compact,delete (retention.ms=604800000)" in message
    first, second = commands_in(message)
    _kafka_configs(first)
    assert f"{name}.progress" not in refused("check", str(job_file))
    # The other one as `sparsewatch mend` does it.
    assert f"{name}.panes: cleanup.policy=compact, was compact,delete" in sparsewatch("mend", str(job_file)).output
    assert second[second.index("--entity-name") + 1] == f"{name}.panes"
    assert sparsewatch("check", str(job_file)).exit_code == 0
    assert load_job_progress(load_job(job_file)) == before


def _kafka_configs(command: Sequence[str]) -> None:
    """The script of Apache Kafka by its class, which is all that the script calls."""
    assert command[0] == "kafka-configs.sh"
    line = [java(), "-Xmx256m", "-cp", kafka_classpath(), "kafka.admin.ConfigCommand", *command[1:]]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_replicas_and_settings_of_the_topic_stay(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    bootstrap, name = kafka_broker.bootstrap, "likeness"
    job_file = job_that_stands(bootstrap, tmp_path, name)
    remade_by_operator(bootstrap, f"{name}.progress", 2, "delete")
    assert sparsewatch("mend", str(job_file)).exit_code == 0
    admin = KafkaPythonAdmin(load_job(job_file).kafka)
    settings = admin.settings_of(f"{name}.progress")
    admin.close()
    assert (settings["max.message.bytes"], settings["cleanup.policy"]) == ("5000000", "compact")


def test_a_topic_of_too_small_records_gets_larger_ones() -> None:
    with FakeBroker() as broker, closing(broker.admin()) as admin:
        broker.create("s", compact=True)
        admin.change_settings("s", {"max.message.bytes": "100"})
        [found] = look_at(admin, [NewTopic("s", compact=True, max_record_bytes=4 << 20)])
        assert list(mend_topic(broker.settings, admin, found)) == ["s: max.message.bytes=4194304, was 100"]
        assert admin.settings_of("s")["max.message.bytes"] == "4194304"


class CutError(Exception):
    """The process ended here."""


def cut_at(monkeypatch: pytest.MonkeyPatch, admin: type[Admin], number: int, *, before: bool) -> None:
    """Let a mend end before or behind its step of this number."""
    steps = 0

    def cutting(step: Callable[..., object]) -> Callable[..., object]:
        def cut(*arguments: object, **options: object) -> object:
            nonlocal steps
            steps += 1
            if steps == number and before:
                raise CutError
            result = step(*arguments, **options)
            if steps == number:
                raise CutError
            return result

        return cut

    monkeypatch.setattr(remake, "_write", cutting(remake._write))
    for step in ("create_like", "delete_topic"):
        monkeypatch.setattr(admin, step, cutting(getattr(admin, step)))


TOPIC = NewTopic("s", compact=True)
#: Steps of a mend: make the copy, fill it, delete, make anew, fill, delete the copy.
_STEPS = 6


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("number", range(1, _STEPS + 1))
def test_a_mend_that_is_cut_off_loses_nothing_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, number: int, before: bool
) -> None:
    held = {b"k%d" % i: b"v" for i in range(6)}
    with FakeBroker() as broker, closing(broker.admin()) as admin:
        broker.create("s", 3, compact=True)
        with closing(broker.writer()) as writer:
            for key, value in held.items():
                writer.send("s", key, value)
        with monkeypatch.context() as patched:
            cut_at(patched, FakeAdmin, number, before=before)
            with pytest.raises(CutError):
                mend_now(broker.settings, admin)
        [found] = look_at(admin, [TOPIC])
        done = (number, before) == (_STEPS, False)
        assert bool(faults_of(found, broker.settings, "x.toml")) is not done
        mend_now(broker.settings, admin)
        assert broker.newest("s") == held
        assert look_at(admin, [TOPIC]) == [StateTopic("s", 1, found.settings or admin.settings_of("s"))]


def mend_now(kafka: KafkaSettings, admin: Admin) -> list[str]:
    return [line for found in look_at(admin, [TOPIC]) for line in mend_topic(kafka, admin, found)]


def test_a_topic_that_a_client_made_again_in_between_does_not_win(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    bootstrap, name = embedded_broker.bootstrap, "again"
    job_file = job_that_stands(bootstrap, tmp_path, name)
    held = state(bootstrap, name)
    remade_by_operator(bootstrap, f"{name}.progress", 3, "compact")
    with pytest.MonkeyPatch.context() as patched:
        cut_at(patched, KafkaPythonAdmin, 3, before=False)
        sparsewatch("mend", str(job_file))
    create_topic(bootstrap, f"{name}.progress", 3)
    assert "being recreated" in refused("check", str(job_file))
    assert sparsewatch("mend", str(job_file)).exit_code == 0
    assert state(bootstrap, name) == held


def test_a_topic_that_is_written_to_is_not_deleted(
    embedded_broker: EmbeddedBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bootstrap, name = embedded_broker.bootstrap, "busy"
    job_file = job_that_stands(bootstrap, tmp_path, name)
    remade_by_operator(bootstrap, f"{name}.progress", 3, "compact")
    write = remake._write

    def while_writing(*arguments: object) -> None:
        write(*arguments)  # type: ignore[arg-type]
        produce(bootstrap, f"{name}.progress", [(1, b"news")], key=b"job")

    monkeypatch.setattr(remake, "_write", while_writing)
    assert "is written to: stop the job" in refused("mend", str(job_file))
    monkeypatch.setattr(remake, "_write", write)
    assert sparsewatch("mend", str(job_file)).exit_code == 0
    assert state(bootstrap, name)[b"job"] == b"news"


def test_every_topic_that_is_missing_and_may_not_be_made_is_named(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    bootstrap, name = embedded_broker.bootstrap, "unmade"
    create_topic(bootstrap, name)
    create_topic(bootstrap, f"{name}.progress")
    job_file = write_click_job(tmp_path, bootstrap, name)
    message = refused("check", str(job_file), "--set", "output.create_topics=false")
    for ending in ("windows", "alerts", "metrics", "rejects", "late"):
        assert f"'{name}.{ending}'" in message
    assert f"'{name}.progress'" not in message


def test_check_says_what_the_broker_does_not_tell(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    bootstrap, name = embedded_broker.bootstrap, "untold"
    create_topic(bootstrap, name)
    create_topic(bootstrap, f"{name}.progress")
    output = sparsewatch("check", str(write_click_job(tmp_path, bootstrap, name))).output
    assert f"does not report the cleanup.policy of '{name}.progress'" in output
