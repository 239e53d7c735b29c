"""A real Alertmanager for tests, and a receiver of what it tells."""

import json
import shutil
import tempfile
import threading
import urllib.request
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from sparsewatch.testing.child_process import ChildProcess, free_port
from tests.kit.waiting import wait_for

_CONFIG = """
route:
  receiver: hook
  group_by: [job, incident]
  group_wait: {group_wait}
  group_interval: {group_interval}
  repeat_interval: 1h
  routes:
    - matchers: [alertname="SparsewatchWatchdog"]
      receiver: nobody
inhibit_rules:
  - source_matchers: [severity="critical"]
    target_matchers: [severity=~"warning|info"]
    equal: [job, incident]
receivers:
  - name: nobody
  - name: hook
    webhook_configs:
      - url: http://127.0.0.1:{port}/
        send_resolved: true
"""


def alertmanager_binary() -> str:
    """Path of the program; the test is skipped where there is none."""
    for name in ("alertmanager", "prometheus-alertmanager"):
        if (found := shutil.which(name)) is not None:
            return found
    pytest.skip("needs Alertmanager (Debian package prometheus-alertmanager)")


class Receiver:
    """Keeps the JSON bodies that are posted to it, and answers as it is told to; a context manager."""

    def __init__(self, port: int = 0) -> None:
        self.bodies: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
                if receiver.status < 300:
                    receiver.bodies.append(json.loads(body))
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


class AlertmanagerProcess:
    """One Alertmanager on a free port, which tells a receiver; a context manager that leaves nothing behind.

    Args:
        receiver: Is told of groups of alerts, one a job and incident.
        group_wait: Before the first notification of a group.
        group_interval: Before a change of a group is told.
        gossip: Ports of those that gossip, its own first; none if it stands alone.
    """

    def __init__(
        self, receiver: Receiver, group_wait: str = "0s", group_interval: str = "1s", gossip: Sequence[int] = ()
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = Path(tempfile.mkdtemp(prefix="sparsewatch-alertmanager-"))
        config = self._folder / "alertmanager.yml"
        settings = {"port": receiver.port, "group_wait": group_wait, "group_interval": group_interval}
        config.write_text(_CONFIG.format(**settings))
        self._process = ChildProcess(
            [
                alertmanager_binary(),
                f"--config.file={config}",
                f"--storage.path={self._folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                *_gossiping(gossip),
            ],
            log=self._folder / "log",
            cwd=self._folder,
        )

    def start(self) -> Self:
        """Start it, and return when it is ready."""
        self._process.start()
        wait_for(self._is_ready, 30, "Alertmanager answers")
        return self

    def kill(self) -> None:
        """End it as a crash would; `start` brings it back with its data."""
        self._process.kill()

    def alerts(self) -> list[Any]:
        """What it holds."""
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts", timeout=5) as answer:
            return list(json.loads(answer.read()))

    def silence(self, by: str, why: str, **labels: str) -> None:
        """Silence alerts of these labels for an hour."""
        silence = {
            "matchers": [{"name": name, "value": value, "isRegex": False} for name, value in labels.items()],
            "startsAt": "2026-01-01T00:00:00Z",
            "endsAt": "2099-01-01T00:00:00Z",
            "createdBy": by,
            "comment": why,
        }
        request = urllib.request.Request(
            f"{self.url}/api/v2/silences", json.dumps(silence).encode(), {"content-type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=5).close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def _gossiping(ports: Sequence[int]) -> list[str]:
    if not ports:
        return ["--cluster.listen-address="]
    own, *others = (f"127.0.0.1:{port}" for port in ports)
    # As usual, the second waits a fraction of the interval of groups for the first to say that it told.
    timing = ["--cluster.gossip-interval=50ms", "--cluster.pushpull-interval=1s", "--cluster.peer-timeout=600ms"]
    return [f"--cluster.listen-address={own}", *(f"--cluster.peer={other}" for other in others), *timing]
