"""Apache Kafka as others run it: with passwords, certificates and access control, and one way to it that can be cut."""

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType, TracebackType
from typing import Any, Self

from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ResourcePattern,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.transforms.kafka.client import Admin
from sparsewatch.transforms.kafka.open import open_admin
from tests.kit.certificates import Certificates, make_certificates
from tests.kit.proxy import Proxy
from tests.kit.services import KafkaBroker

#: Its users; the password is looked for in all that a test can read.
USER, PASSWORD = "watch", "canary-7d1f'\"\\pw"
_LISTENERS = MappingProxyType(
    {"PLAIN": "PLAINTEXT", "WAY": "PLAINTEXT", "SASL": "SASL_PLAINTEXT", "TLS": "SSL", "OLD": "SSL", "BOTH": "SASL_SSL"}
)
_PLAIN_LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM_LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule"


class GuardedBroker:
    """One node; a context manager. Without a password everything is allowed, `USER` may do what it was granted.

    Attributes:
        certificates: Of its listeners.
        way: To its listener `WAY`, which can be cut.
    """

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="sparsewatch-guarded-")
        self.certificates: Certificates = make_certificates(Path(self._folder.name))
        behind, *ports = _free_ports(1 + len(_LISTENERS))
        self.ports = dict(zip(_LISTENERS, ports, strict=True))
        self.way = Proxy(behind, self.ports["WAY"])
        self.broker = KafkaBroker(self._settings(behind))

    @property
    def bootstrap(self) -> str:
        """Address without a password."""
        return self.broker.bootstrap

    def address(self, listener: str) -> str:
        """Address of a listener: `SASL`, `TLS`, `OLD` (its certificate has expired), `BOTH`, `WAY`."""
        return f"127.0.0.1:{self.ports[listener]}"

    def grant(self, *topics: str, operations: str = "READ WRITE DESCRIBE DESCRIBE_CONFIGS") -> None:
        """Let `USER` do something with topics."""
        self._create([_acl(t, o, ACLPermissionType.ALLOW) for t in topics for o in operations.split()])

    @contextmanager
    def denied(self, topic: str, operation: str) -> Iterator[None]:
        """Meanwhile `USER` may not do this with a topic, whatever was granted."""
        acl = _acl(topic, operation, ACLPermissionType.DENY)
        self._create([acl])
        try:
            yield
        finally:
            with closing(KafkaAdminClient(bootstrap_servers=self.bootstrap)) as admin:
                admin.delete_acls([acl])

    @contextmanager
    def admin(self) -> Iterator[Admin]:
        """Topic administration with all rights."""
        with closing(open_admin(KafkaSettings(bootstrap_servers=[self.bootstrap]))) as admin:
            yield admin

    def _create(self, acls: list[ACL]) -> None:
        with closing(KafkaAdminClient(bootstrap_servers=self.bootstrap)) as admin:
            failed = admin.create_acls(acls)["failed"]
        assert not failed, failed

    def _settings(self, behind: int) -> dict[str, Any]:
        ports = {**self.ports, "WAY": behind}
        own = {n: p for n, p in ports.items() if n != "PLAIN"}
        listen = ["PLAINTEXT://127.0.0.1:$client_port", "CONTROLLER://127.0.0.1:$controller_port"]
        protocols = ["PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT", *(f"{n}:{_LISTENERS[n]}" for n in own)]
        shown = ["PLAINTEXT://127.0.0.1:$client_port", *(f"{n}://127.0.0.1:{self.ports[n]}" for n in own)]
        quoted = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
        plain = f'{_PLAIN_LOGIN} required user_{USER}="{quoted}";'.replace("\\", "\\\\")
        settings = {
            "listeners": ",".join([*listen, *(f"{n}://127.0.0.1:{p}" for n, p in own.items())]),
            "advertised.listeners": ",".join(shown),
            "listener.security.protocol.map": ",".join(protocols),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        }
        for name in ("sasl", "both"):
            settings[f"listener.name.{name}.plain.sasl.jaas.config"] = plain
            settings[f"listener.name.{name}.scram-sha-512.sasl.jaas.config"] = f"{_SCRAM_LOGIN} required;"
        keys = {"tls": self.certificates.broker, "both": self.certificates.broker, "old": self.certificates.expired}
        for name, path in keys.items():
            settings[f"listener.name.{name}.ssl.keystore.type"] = "PEM"
            settings[f"listener.name.{name}.ssl.keystore.location"] = str(path)
        return settings

    def __enter__(self) -> Self:
        try:
            self.broker.__enter__()
            self.way.mend()
            admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
            admin.alter_user_scram_credentials(
                [UserScramCredentialUpsertion(USER, ScramMechanism.SCRAM_SHA_512, PASSWORD)]
            )
            admin.close()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.way.cut()
        self.broker.close()
        self._folder.cleanup()


def _free_ports(number: int) -> list[int]:
    """Different ports, none of which the system gives to a connection that goes out while nothing listens there."""
    with ExitStack() as held:
        found: list[int] = []
        while len(found) < number:
            port = random.randrange(20_000, 32_000)
            with suppress(OSError):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
                found.append(port)
        return found


def _acl(topic: str, operation: str, permission: ACLPermissionType) -> ACL:
    resource = ResourcePattern(ResourceType.TOPIC, topic)
    return ACL(f"User:{USER}", "*", ACLOperation[operation], permission, resource)
