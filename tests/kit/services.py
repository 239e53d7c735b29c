"""Apache Kafka for tests: one KRaft node on free ports, in a folder of its own."""

import base64
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from string import Template
from types import TracebackType
from typing import Self

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from sparsewatch.testing.child_process import ChildProcess, free_port, port_answers
from tests.kit.installed import TEMPLATES, java, kafka_classpath
from tests.kit.waiting import wait_for

__all__ = ["KafkaBroker", "free_port"]

_READY_S = 60.0
_FORMAT_S = 60


class KafkaBroker:
    """One Apache Kafka node; a context manager that leaves neither process nor file behind.

    `kill` ends it as a crash would; `start` then brings it back at the same address with its data.

    Args:
        settings: Broker settings added to `deploy/services/kafka/server.properties`, winning over
            it; `$client_port`, `$controller_port` and `$data_dir` in a value are filled in.
        heap: Java's largest heap.

    Attributes:
        port: Port of the plain-text listener.
        bootstrap: Address as Kafka clients take it, `host:port`.
        folder: Settings, data and log.

    Raises:
        ServiceMissingError: No Java here, or no jars and no way to fetch them.
    """

    def __init__(self, settings: Mapping[str, str] | None = None, *, heap: str = "512m") -> None:
        self.port = free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self._java = [java(), f"-Xmx{heap}", *_JVM_FLAGS, "-cp", kafka_classpath()]
        self.folder = Path(tempfile.mkdtemp(prefix="sparsewatch-kafka-"))
        self._properties = self.folder / "server.properties"
        self._properties.write_text(_filled(self.port, self.folder / "data", settings or {}))
        self._process = ChildProcess(
            [*self._java, "kafka.Kafka", str(self._properties)],
            log=self.folder / "broker.log",
            cwd=self.folder,
        )

    @property
    def running(self) -> bool:
        """Whether the broker's process runs."""
        return self._process.running

    def start(self) -> Self:
        """Start the broker and return when it serves its cluster's metadata.

        Raises:
            AssertionError: It does not within a minute; the message holds the end of its log.
        """
        if not (self.folder / "data" / "meta.properties").exists():
            self._format()
        self._process.start()
        try:
            wait_for(self._settled, _READY_S, "Apache Kafka answers or ends")
        except AssertionError as error:
            self.stop()
            raise AssertionError(f"{error}\n{self.log_tail()}") from error
        assert self.running, f"Apache Kafka ended: {self.log_tail()}"
        return self

    def stop(self) -> None:
        """Stop the broker in good order; its data stays for another start."""
        self._process.stop()

    def kill(self) -> None:
        """End the broker as a crash would (SIGKILL)."""
        self._process.kill()

    def log_tail(self) -> str:
        """Return the end of the broker's log."""
        return self._process.log_tail()

    def _settled(self) -> bool:
        return not self.running or _serves(self.port)

    def _format(self) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        command = [*self._java, "kafka.tools.StorageTool", "format"]
        command += [f"--cluster-id={cluster}", "-c", str(self._properties)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_FORMAT_S, check=False, cwd=self.folder)
        assert done.returncode == 0, f"cannot format: {done.stdout[-1000:]}{done.stderr[-1000:]}"

    def close(self) -> None:
        """Stop the broker and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


_JVM_FLAGS = (
    "-XX:+UseSerialGC",  # a small heap on few cores
    "-XX:TieredStopAtLevel=1",  # ready sooner; a test is over before the second compiler pays
    f"-Dlog4j2.configurationFile={TEMPLATES / 'kafka' / 'log4j2.properties'}",
)


def _filled(port: int, data: Path, settings: Mapping[str, str]) -> str:
    template = (TEMPLATES / "kafka" / "server.properties").read_text()
    added = "".join(f"{name}={value}\n" for name, value in settings.items())
    places = {"client_port": port, "controller_port": free_port(), "data_dir": data}
    return Template(template + added).safe_substitute(places)


def _serves(port: int) -> bool:
    if not port_answers(port):  # spares the client's complaints while nothing listens yet
        return False
    try:
        client = KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{port}", request_timeout_ms=5000)
    except KafkaError:
        return False
    try:
        return bool(client.describe_cluster()["brokers"])
    except KafkaError:
        return False
    finally:
        client.close()
