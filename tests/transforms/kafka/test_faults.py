"""What a broker refuses is told in one message that names what to change: password, certificate, protocol, right."""

import re
from contextlib import closing
from typing import Any, Literal

import pytest

from sparsewatch.schemas.errors import AccessError, ConfigError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.transforms.kafka import opening
from sparsewatch.transforms.kafka.client import Reader
from sparsewatch.transforms.kafka.compacted import Compacted
from sparsewatch.transforms.kafka.fetching import until_ends
from sparsewatch.transforms.kafka.open import open_admin, open_reader, open_writer
from tests.kit.guarded_broker import PASSWORD, USER, GuardedBroker
from tests.kit.topics import create_topic, produce

pytest.importorskip("confluent_kafka", reason="needs the extra `confluent`")

Client = Literal["kafka-python", "confluent"]
_CLIENTS = pytest.mark.parametrize("client", ["kafka-python", "confluent"])
_PLAIN = {"sasl_mechanism": "PLAIN", "username": USER, "password_env": "RIGHT"}
_SCRAM = {**_PLAIN, "sasl_mechanism": "SCRAM-SHA-512"}
_WRONG = {"password_env": "WRONG"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_FIRST_TRY_S", 0.3)
    monkeypatch.setenv("RIGHT", PASSWORD)
    monkeypatch.setenv("WRONG", "not-the-password")


def _settings(broker: GuardedBroker, listener: str, protocol: Any, **more: Any) -> KafkaSettings:
    if "SSL" in protocol:
        more = {"ca_file": str(broker.certificates.authority), **more}
    return KafkaSettings(bootstrap_servers=[broker.address(listener)], security_protocol=protocol, timeout="5s", **more)


def _values(reader: Reader, topic: str) -> list[bytes | None]:
    reader.assign({0: 0})
    runs = until_ends(reader, topic, {0: 0}, reader.end_offsets())
    return [value for run in runs for value in run.values]


@_CLIENTS
@pytest.mark.parametrize(
    ("listener", "protocol", "more"),
    [
        ("SASL", "SASL_PLAINTEXT", _PLAIN),
        ("SASL", "SASL_PLAINTEXT", _SCRAM),
        ("TLS", "SSL", {}),
        ("BOTH", "SASL_SSL", _SCRAM),
    ],
)
def test_a_broker_with_password_and_certificate_is_read_and_written(
    guarded_broker: GuardedBroker, client: Client, listener: str, protocol: str, more: dict[str, Any]
) -> None:
    settings = _settings(guarded_broker, listener, protocol, client=client, **more)
    topic = f"secure-{client}-{listener}-{more.get('sasl_mechanism')}"
    create_topic(guarded_broker.bootstrap, topic)
    guarded_broker.grant(topic)
    with closing(open_writer(settings)) as writer:
        writer.send(topic, b"key", b"value")
        writer.flush()
    with closing(open_reader(settings, topic, 1000)) as reader:
        assert _values(reader, topic) == [b"value"]
    with Compacted(settings, topic, 1000) as records:
        assert records.newest() == {b"key": b"value"}


@pytest.mark.parametrize(
    ("listener", "protocol", "more", "says"),
    [
        ("SASL", "SASL_PLAINTEXT", {**_PLAIN, **_WRONG}, "refuses user 'watch' with its password .*password_env"),
        ("SASL", "SASL_PLAINTEXT", {**_SCRAM, **_WRONG}, "refuses user 'watch' with its password .*password_env"),
        ("BOTH", "SASL_SSL", {**_SCRAM, **_WRONG}, "refuses user 'watch' with its password .*password_env"),
        ("SASL", "SASL_PLAINTEXT", {**_SCRAM, "username": "nobody"}, "refuses user 'nobody'"),
        ("SASL", "SASL_PLAINTEXT", {**_SCRAM, "sasl_mechanism": "SCRAM-SHA-256"}, "takes .*'PLAIN' or 'SCRAM-SHA-512'"),
        ("TLS", "SSL", {"ca_file": "OTHER"}, "not accepted: .*issuer.*kafka.ca_file must hold"),
        ("TLS", "SSL", {"ca_file": None}, "not accepted: .*issuer.*kafka.ca_file .* not set"),
        ("OLD", "SSL", {}, "not accepted: certificate has expired.*needs a new certificate"),
        ("TLS", "PLAINTEXT", {}, "speaks TLS, .*'PLAINTEXT': set 'SSL'"),
        ("BOTH", "PLAINTEXT", {}, "speaks TLS, .*'PLAINTEXT': set 'SASL_SSL'"),
        ("BOTH", "SASL_PLAINTEXT", _PLAIN, "speaks TLS, .*'SASL_PLAINTEXT': set 'SASL_SSL'"),
        ("WAY", "SSL", {}, "does not speak TLS, .*'SSL': set 'PLAINTEXT'"),
        ("SASL", "SASL_SSL", _PLAIN, "does not speak TLS, .*'SASL_SSL': set 'SASL_PLAINTEXT'"),
        ("SASL", "PLAINTEXT", {}, "expects a password, .*'PLAINTEXT': set 'SASL_PLAINTEXT' .*PLAIN, SCRAM-SHA-512"),
        ("BOTH", "SSL", {}, "expects a password, .*'SSL': set 'SASL_SSL'"),
        ("WAY", "SASL_PLAINTEXT", _PLAIN, "takes no password, .*'SASL_PLAINTEXT': set 'PLAINTEXT'"),
        ("TLS", "SASL_SSL", _PLAIN, "takes no password, .*'SASL_SSL': set 'SSL'"),
    ],
)
def test_a_connection_that_is_refused_names_what_to_change(
    guarded_broker: GuardedBroker, listener: str, protocol: str, more: dict[str, Any], says: str
) -> None:
    if more.get("ca_file") == "OTHER":
        more = {"ca_file": str(guarded_broker.certificates.other_authority)}
    settings = _settings(guarded_broker, listener, protocol, **more)
    with pytest.raises(AccessError, match=says):
        open_admin(settings)


def test_a_name_that_the_certificate_does_not_have_is_told(guarded_broker: GuardedBroker) -> None:
    settings = KafkaSettings(
        bootstrap_servers=[f"localhost:{guarded_broker.ports['TLS']}"],
        security_protocol="SSL",
        ca_file=str(guarded_broker.certificates.authority),
    )
    with pytest.raises(AccessError, match=r"Hostname mismatch.*kafka\.bootstrap_servers must name"):
        open_admin(settings)


@_CLIENTS
@pytest.mark.parametrize("open_one", [open_writer, lambda settings: open_reader(settings, "t", 1000)])
def test_reader_and_writer_say_the_same(guarded_broker: GuardedBroker, client: Client, open_one: Any) -> None:
    settings = _settings(guarded_broker, "SASL", "SASL_PLAINTEXT", client=client, **{**_PLAIN, **_WRONG})
    with pytest.raises(AccessError, match="refuses user 'watch'"):
        open_one(settings)


@pytest.mark.parametrize(
    ("content", "says"), [(None, "cannot be read: No such file"), ("no certificate", "expected certificates")]
)
def test_a_file_of_authorities_that_is_none_is_refused(tmp_path: Any, content: str | None, says: str) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=f"kafka.ca_file: .*{says}"):
        open_admin(KafkaSettings(bootstrap_servers=["127.0.0.1:1"], security_protocol="SSL", ca_file=str(path)))


@pytest.fixture(params=["kafka-python", "confluent"])
def limited(request: pytest.FixtureRequest, guarded_broker: GuardedBroker) -> tuple[KafkaSettings, str]:
    """A user, and a topic with a record that this user may not use yet."""
    topic = f"limited-{request.param}-{re.sub('[^a-z]', '-', request.node.originalname)}"
    create_topic(guarded_broker.bootstrap, topic)
    produce(guarded_broker.bootstrap, topic, [(0, b"value")])
    return _settings(guarded_broker, "SASL", "SASL_PLAINTEXT", client=request.param, **_PLAIN), topic


def test_a_topic_that_we_may_not_see_is_not_a_topic_that_is_missing(limited: tuple[KafkaSettings, str]) -> None:
    settings, topic = limited
    with closing(open_reader(settings, topic, 1000)) as reader, pytest.raises(AccessError, match=f"{topic}.*describe"):
        reader.partitions()


def test_a_topic_that_we_may_not_read_ends_the_reading(
    guarded_broker: GuardedBroker, limited: tuple[KafkaSettings, str]
) -> None:
    settings, topic = limited
    guarded_broker.grant(topic, operations="DESCRIBE")
    with (
        closing(open_reader(settings, topic, 1000)) as reader,
        pytest.raises(AccessError, match=r"'watch' lacks .*read"),
    ):
        _values(reader, topic)
    with Compacted(settings, topic, 1000) as records, pytest.raises(AccessError, match=r"'watch' lacks .*read"):
        records.newest()


def test_a_topic_that_we_may_not_write_ends_the_writing(
    guarded_broker: GuardedBroker, limited: tuple[KafkaSettings, str]
) -> None:
    settings, topic = limited
    guarded_broker.grant(topic, operations="DESCRIBE")
    with closing(open_writer(settings)) as writer:
        writer.send(topic, None, b"value")
        with pytest.raises(AccessError, match=r"'watch' lacks .*write"):
            writer.flush()
