"""A real Prometheus for tests, with the settings and rules of `deploy/prometheus` on a clock that runs faster."""

import json
import re
import shutil
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from sparsewatch.testing.child_process import ChildProcess, free_port
from tests.kit.installed import REPO_ROOT
from tests.kit.waiting import wait_for

FOLDER = REPO_ROOT / "deploy" / "prometheus"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def prometheus_binary() -> str:
    """Path of the program; the test is skipped where there is none."""
    if (found := shutil.which("prometheus")) is None:
        pytest.skip("needs Prometheus (Debian package prometheus)")
    return found


def faster(rules: str, times: int) -> str:
    """Rules whose durations pass so many times as fast, also those that are compared as seconds with a clock.

    >>> faster("time() - x_timestamp_seconds > 900 and increase(x[1h]) > 0", 30)
    'time() - x_timestamp_seconds > 30 and increase(x[120s]) > 0'
    """

    def shorter(found: re.Match[str]) -> str:
        return f"{found[1]}{-(-int(found[2]) * _SECONDS[found[3]] // times)}s"

    scaled = re.sub(r"(\[|for: )(\d+)([smhd])\b", shorter, rules)
    return re.sub(r"(_seconds\S* > )(\d+)", lambda found: f"{found[1]}{int(found[2]) // times}", scaled)


class PrometheusProcess:
    """One Prometheus on a free port; a context manager that leaves nothing behind.

    Args:
        exporters: Addresses that it scrapes each second, `host:port`.
        alertmanagers: Addresses that it tells.
        times: How much faster its rules are.
    """

    def __init__(self, exporters: Sequence[str], alertmanagers: Sequence[str], times: int) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = Path(tempfile.mkdtemp(prefix="sparsewatch-prometheus-"))
        settings = (FOLDER / "prometheus.yml").read_text()
        for before, after in (
            ('"localhost:9464"', json.dumps(exporters)[1:-1]),
            ('"localhost:9093"', json.dumps(alertmanagers)[1:-1]),
            ("scrape_interval: 15s", "scrape_interval: 1s"),
            ("evaluation_interval: 15s", "evaluation_interval: 1s"),
        ):
            assert before in settings
            settings = settings.replace(before, after)
        config = self._folder / "prometheus.yml"
        config.write_text(settings)
        (self._folder / "rules.yml").write_text(faster((FOLDER / "rules.yml").read_text(), times))
        self._process = ChildProcess(
            [
                prometheus_binary(),
                f"--config.file={config}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--rules.alert.resend-delay=2s",
            ],
            log=self._folder / "log",
            cwd=self._folder,
        )

    def start(self) -> Self:
        """Start it, and return when it is ready."""
        self._process.start()
        wait_for(self._is_ready, 60, "Prometheus answers")
        return self

    def kill(self) -> None:
        """End it as a crash would; `start` brings it back with its data."""
        self._process.kill()

    def value(self, query: str) -> float | None:
        """The value of an expression that gives one series, None if it gives none."""
        found = self._asked(f"query?{urllib.parse.urlencode({'query': query})}")["result"]
        return float(found[0]["value"][1]) if found else None

    def labels(self, query: str) -> list[dict[str, str]]:
        """The labels of each series that an expression gives."""
        return [one["metric"] for one in self._asked(f"query?{urllib.parse.urlencode({'query': query})}")["result"]]

    def firing(self) -> set[str]:
        """Names of the rules that fire."""
        return {one["labels"]["alertname"] for one in self._asked("alerts")["alerts"] if one["state"] == "firing"}

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _asked(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}", timeout=5) as answer:
            return json.loads(answer.read())["data"]

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
