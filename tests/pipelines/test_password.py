"""The broker's password is in nothing that a command prints, logs or stores, however loud it is and it fails."""

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import apache_beam as beam
import pytest

from sparsewatch.pipelines import cli
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.job.ready import prepare, ready
from sparsewatch.pipelines.run.run import build_graph, read_specs
from sparsewatch.schemas.errors import AccessError
from sparsewatch.transforms.kafka import opening
from sparsewatch.transforms.kafka.open import open_admin, open_reader, open_writer
from tests.kit.guarded_broker import PASSWORD, USER, GuardedBroker
from tests.kit.job_files import write_click_job
from tests.kit.topics import create_topic, produce

pytest.importorskip("confluent_kafka", reason="needs the extra `confluent`")

#: What no text and no file may hold: the part of the password without signs that some form might escape.
_CANARY = PASSWORD.split("'")[0]
_TOPIC = "password"
_COLUMNS = {"ad": "int", "label": "int"}
_CLIENTS = pytest.mark.parametrize("client", ["kafka-python", "confluent"])
#: Loggers that opening a connection changes.
_LOGGERS = ("", "kafka", "kafka.net.connection", "kafka.protocol.parser", "apache_beam", "PrismRunner")


@pytest.fixture(autouse=True)
def loud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The password in the environment, temporary files in sight, and logging as a fresh process has it."""
    monkeypatch.setenv("PW", PASSWORD)
    monkeypatch.setenv("BAD", _CANARY + "-wrong")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(opening, "_FIRST_TRY_S", 0.3)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.level, logger.handlers[:]) for logger in loggers]
    for logger in loggers[1:]:
        logger.setLevel(logging.NOTSET)
    yield
    for logger, (level, handlers) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.handlers[:] = handlers


@pytest.fixture(scope="module")
def topic(guarded_broker: GuardedBroker) -> str:
    create_topic(guarded_broker.bootstrap, _TOPIC)
    kinds = [
        "windows",
        "alerts",
        "incidents",
        "notified",
        "metrics",
        "progress",
        "orders",
        "baseline",
        "panes",
        "rejects",
        "late",
        "rejects.replayed",
        "late.replayed",
    ]
    guarded_broker.grant(_TOPIC, *(f"{_TOPIC}.{kind}" for kind in kinds))
    guarded_broker.grant(*(f"{_TOPIC}.{kind}" for kind in kinds), operations="CREATE DELETE")
    clicks = [b'{"t": %d, "ad": 1, "label": %d}' % (1_767_225_600_000 + 1000 * i, i % 2) for i in range(60)]
    produce(guarded_broker.bootstrap, _TOPIC, [(0, click) for click in [*clicks, b"broken"]])
    return _TOPIC


@pytest.fixture
def job(guarded_broker: GuardedBroker, topic: str, tmp_path: Path) -> Callable[..., Path]:
    """Writes the job's file."""

    def write(client: str, **more: str) -> Path:
        path = write_click_job(tmp_path, guarded_broker.address("SASL"), topic, _COLUMNS)
        login = {"client": client, "security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "username": USER}
        lines = [
            f'{key} = "{value}"' for key, value in {**login, "password_env": "PW", "timeout": "3s", **more}.items()
        ]
        path.write_text(path.read_text().replace("[source]", "\n".join([*lines, "[source]"])))
        return path

    return write


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs a command as a shell does; its exit code, and all that it printed and logged."""

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["sparsewatch", *map(str, arguments)])
        code: object = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
        assert isinstance(code, int)
        out, err = capfd.readouterr()
        return code, out + err

    return run


@pytest.fixture(scope="module")
def has_run() -> list[bool]:
    """Not empty once the job has run: its topics are there, whichever of the tests comes first."""
    return []


def _holders(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and _CANARY.encode() in path.read_bytes()]


@_CLIENTS
@pytest.mark.parametrize(
    "command",
    [
        ["check", "JOB"],
        ["run", "JOB", "--until", "latest", "--runner", "inprocess"],
        ["mend", "JOB"],
        ["windows", "list", "JOB"],
        ["alerts", "list", "JOB", "--json"],
        ["rejects", "list", "JOB"],
        ["rejects", "replay", "JOB", "--force"],
        ["late", "list", "JOB"],
        ["publish", "EVENTS", "--topic", _TOPIC, "--job", "JOB", "--time-column", "t"],
    ],
    ids=lambda command: "-".join(word for word in command if word.islower() and word.isalpha()),
)
def test_commands_do_not_show_or_store_it(
    said: Callable[..., tuple[int, str]],
    job: Callable[..., Path],
    guarded_broker: GuardedBroker,
    tmp_path: Path,
    has_run: list[bool],
    client: str,
    command: list[str],
) -> None:
    (tmp_path / "events.jsonl").write_text('{"t": 1767225600000, "ad": 1, "label": 0}\n')
    names = {"JOB": job(client), "EVENTS": tmp_path / "events.jsonl"}
    if not has_run and command[0] != "check":
        has_run.append(said("run", names["JOB"], "--until", "latest", "--runner", "inprocess")[0] == 0)
    code, text = said("-vv", *(names.get(word, word) for word in command))
    assert code == 0, text[-2000:]
    assert " DEBUG kafka." in text, "the client logged nothing, so that this test shows nothing"
    assert _CANARY not in text
    assert not _holders(tmp_path)
    assert not _holders(guarded_broker.broker.folder / "data")


@_CLIENTS
def test_a_drafted_job_names_it_and_does_not_hold_it(
    said: Callable[..., tuple[int, str]], guarded_broker: GuardedBroker, topic: str, tmp_path: Path, client: str
) -> None:
    out = tmp_path / "drafted.toml"
    login = {"client": client, "security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "username": USER}
    settings = [word for key, value in login.items() for word in ("--kafka", f"{key}={value}")]
    asked = ["-vv", "init", "--bootstrap", guarded_broker.address("SASL"), "--topic", topic, "--name", topic]
    code, text = said(*asked, "--out", out, *settings, "--kafka", "password_env=BAD")
    assert (code, "refuses user" in text, _CANARY in text, out.exists()) == (2, True, False, False), text[-2000:]
    code, text = said(*asked, "--out", out, *settings, "--kafka", "password_env=PW")
    assert (code, _CANARY in text) == (0, False), text[-2000:]
    assert 'password_env = "PW"' in out.read_text()
    assert not _holders(tmp_path)
    assert said("check", out)[0] == 0


@_CLIENTS
@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"password_env": "BAD"}, "refuses user"),
        ({"sasl_mechanism": "SCRAM-SHA-256"}, "takes kafka.sasl_mechanism"),
        ({"security_protocol": "SASL_SSL"}, "does not speak TLS"),
        ({"password_env": f"{_CANARY}"}, "no variable of that name"),
        ({"password_env": "UNSET"}, "no variable 'UNSET'"),
        ({"password": f"{_CANARY}"}, "password"),
    ],
)
@pytest.mark.parametrize("command", [["check"], ["run", "--until", "latest"], ["exporter", "--port", "0"]])
def test_errors_do_not_show_it(
    said: Callable[..., tuple[int, str]],
    job: Callable[..., Path],
    client: str,
    more: dict[str, str],
    says: str,
    command: list[str],
) -> None:
    code, text = said("-vv", command[0], job(client, **more), *command[1:])
    assert code == 2
    assert says in text.splitlines()[-1], text[-2000:]
    assert _CANARY not in text


def test_a_password_on_the_command_line_is_not_repeated(
    said: Callable[..., tuple[int, str]], job: Callable[..., Path]
) -> None:
    for setting in (f"kafka.password={_CANARY}", f"kafka.timeout.x={_CANARY}"):
        code, text = said("-vv", "check", job("kafka-python"), "--set", setting)
        assert (code, _CANARY in text) == (2, False), text


@_CLIENTS
def test_clients_do_not_log_it_in_a_process_that_logs_all(
    job: Callable[..., Path], caplog: pytest.LogCaptureFixture, client: str
) -> None:
    # Where our command line sets up no logging, there is no second line of defence.
    caplog.set_level(logging.DEBUG)
    for password, is_right in (("PW", True), ("BAD", False)):
        kafka = load_job(job(client, password_env=password)).kafka
        for opened in (open_admin, open_writer, lambda kafka: open_reader(kafka, _TOPIC, 1000)):
            if is_right:
                opened(kafka).close()
            else:
                with pytest.raises(AccessError):
                    opened(kafka)
        assert _CANARY not in repr(kafka)
    assert any(record.levelno == logging.DEBUG and record.name.startswith("kafka") for record in caplog.records)
    assert _CANARY not in caplog.text


def test_the_graph_that_runners_get_does_not_hold_it(job: Callable[..., Path]) -> None:
    made = ready(load_job(job("kafka-python")))
    pipeline = beam.Pipeline()
    build_graph(pipeline, made, prepare(made), read_specs(made, [0], "latest"))
    assert _CANARY.encode() not in pipeline.to_runner_api().SerializeToString()
    assert os.environ["PW"] == PASSWORD
