"""README's first job, literally, where there is the wheel and nothing else: no make, Java, Go, Prism, no cache at home.

The environment has the wheel and its dependencies: taken from the environment of the tests, or, where slow tests run,
installed as a user does. The broker is Apache Kafka, which runs outside of it.
"""

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.kit.installed import REPO_ROOT
from tests.kit.services import KafkaBroker
from tests.kit.topics import create_topic, newest_by_key, produce, read_all
from tests.kit.waiting import wait_for
from tests.test_wheel import Away, away, pip_wheel, sdist, tree_copy, wheel

__all__ = ["away", "sdist", "wheel"]

pytestmark = [pytest.mark.wheel, pytest.mark.long]

WINDOW_MS = 300_000
START_MS = 1_767_225_600_000
ROWS = 2_000


def first_job() -> tuple[str, list[str]]:
    """The job file of README, and the commands that follow it, without their remarks."""
    section = (REPO_ROOT / "README.md").read_text().split("## Watch your own stream\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```(\w*)\n(.*?)```", section, re.DOTALL)
    [job] = [text for kind, text in blocks if kind == "toml"]
    lines = [line for kind, text in blocks if kind != "toml" for line in text.splitlines()]
    return job, [line.split("#")[0].strip() for line in lines if line.startswith("sparsewatch ")]


def clicks(windows: range) -> pl.DataFrame:
    rng = np.random.default_rng(windows.start)
    n = ROWS * len(windows)
    site, ad = rng.integers(0, 20, n), rng.integers(0, 50, n)
    return pl.DataFrame(
        {
            "time": START_MS + np.arange(n) * WINDOW_MS // ROWS + windows.start * WINDOW_MS,
            "site": pl.Series([f"s{i}" for i in site]),
            "ad": ad,
            "price": rng.uniform(0.1, 3.0, n),
            "click": (rng.random(n) < 0.05 + 0.02 * site).astype(np.int64),
        }
    )


def publish(bootstrap: str, rows: pl.DataFrame) -> None:
    produce(bootstrap, "clicks", ((i % 2, json.dumps(row).encode()) for i, row in enumerate(rows.to_dicts())))


@dataclass(frozen=True)
class Clean:
    """A folder of a user, and an environment that is all the user has."""

    folder: Path
    programs: Path

    def _started(self, command: str, output: int) -> subprocess.Popen[str]:
        program, *arguments = shlex.split(command)
        return subprocess.Popen(
            [str(self.programs / program), *arguments],
            cwd=self.folder,
            env={"PATH": str(self.programs), "HOME": str(self.folder), "OMP_NUM_THREADS": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str) -> str:
        """What a command prints that ends by itself."""
        process = self._started(command, subprocess.PIPE)
        output, _ = process.communicate(timeout=240)
        assert process.returncode == 0, f"{command}: {output[-4000:]}"
        return output

    @contextmanager
    def running(self, command: str) -> Iterator[Path]:
        """The log of a command that goes on until it is stopped."""
        log = self.folder / "log"
        with log.open("w") as output:
            process = self._started(command, output.fileno())
        try:
            yield log
            assert process.poll() is None, log.read_text()
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, log.read_text()
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def clean(request: pytest.FixtureRequest, tmp_path: Path) -> Clean:
    programs = request.getfixturevalue(request.param)
    return Clean(tmp_path, programs.programs if isinstance(programs, Away) else programs)


@pytest.fixture
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Programs of an environment into which the wheel was installed with all its dependencies."""
    home = tmp_path_factory.mktemp("installed")
    made = pip_wheel(tree_copy(home / "tree"), home / "wheels")
    uv = shutil.which("uv", path=str(REPO_ROOT / ".cache" / "uv" / "bin")) or shutil.which("uv")
    venv.create(home / "venv", with_pip=uv is None)
    python = str(home / "venv" / "bin" / "python")
    pip = [python, "-m", "pip", "-q", "install"] if uv is None else [uv, "pip", "install", "-q", "--python", python]
    subprocess.run([*pip, f"{made}[console]"], check=True)
    yield home / "venv" / "bin"
    # Gigabytes.
    shutil.rmtree(home)


@pytest.mark.kafka
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("clean", ["away", pytest.param("installed", marks=pytest.mark.slow)], indirect=True)
def test_the_first_job_runs_without_end_where_there_is_only_the_wheel(kafka_broker: KafkaBroker, clean: Clean) -> None:
    job, commands = first_job()
    init, check, run, train, backtest, run_bounded, status, windows, incidents, *orders = commands[:-4]
    exporter, notify, console, rejects = commands[-4:]
    assert run == "sparsewatch run clicks.toml"
    bootstrap = kafka_broker.bootstrap
    create_topic(bootstrap, "clicks", 2)
    publish(bootstrap, clicks(range(20, 22)).vstack(clicks(range(22, 23)).head(200)))

    clean.run(init.replace("localhost:9092", bootstrap))
    drafted = tomllib.loads((clean.folder / "clicks.toml").read_text())
    written = tomllib.loads(job)
    assert {key: drafted[key] for key in ("kind", "name", "label", "columns")} == {
        key: written[key] for key in ("kind", "name", "label", "columns")
    }
    assert (drafted["source"]["time_column"], drafted["windows"]["length"]) == ("time", "5m")
    assert "is sound" in clean.run(check)

    (clean.folder / "clicks.toml").write_text(job.replace("localhost:9092", bootstrap))
    clicks(range(12)).write_parquet(clean.folder / "last_week.parquet")
    clean.run(train)
    assert "is sound" in clean.run(check)
    assert "clicks: 12 windows" in clean.run(backtest)
    assert "Click rate" in (clean.folder / "last_week.html").read_text()

    with clean.running(run) as log:
        wait_for(lambda: rows_of_windows(bootstrap) == [ROWS, ROWS], 120, "windows that were there before")
        later = clicks(range(22, 23))[200:].vstack(clicks(range(23, 24)).head(400))
        publish(bootstrap, later.with_columns(site=pl.lit(None, dtype=pl.String)))
        wait_for(lambda: rows_of_windows(bootstrap) == [ROWS] * 3, 120, "a window of events that came later")
    assert log.read_text().startswith("Without Prism")
    assert "2026-01-01 01:45:00 to 01:50:00  2,000 rows, 0 late, 0 rejected" in log.read_text()
    assert "Traceback" not in log.read_text()

    produce(bootstrap, "clicks", [(0, b'{"time": 1')])
    read = 3 * ROWS + 401
    assert f"{read} read = {read - 1} counted + 1 rejected + 0 late, in 4 windows" in clean.run(run_bounded)
    assert f"{ROWS:,}" in clean.run(windows) or str(ROWS) in clean.run(windows)
    assert "feature_nulls" in clean.run(incidents)
    assert "feature_nulls" in clean.run(status)
    [known] = set(re.findall(r"clicks-\d+", clean.run(incidents)))
    assert [order.split()[2] for order in orders] == ["mute", "accept"]
    for order in orders:
        assert known in clean.run(order.replace("clicks-17", known))
    with clean.running("sparsewatch alerts list clicks.toml --follow") as log:
        wait_for(lambda: "feature_nulls" in log.read_text(), 60, "the alert that was planted")
    with clean.running(f"{exporter} --port 0") as log:
        wait_for(lambda: "serving" in log.read_text(), 60, "the exporter")
        [url] = re.findall(r"http://\S+", log.read_text())
        wait_for(lambda: b'outcome="rejected"} 1.0' in scraped(url), 30, "the metrics")
    with clean.running(notify) as log:
        wait_for(lambda: "telling 1 Alertmanager of clicks.incidents" in log.read_text(), 60, "the notifications")
    with clean.running(f"{console} --port 0") as log:
        wait_for(lambda: "http://" in log.read_text(), 60, "the console")
        [url] = re.findall(r"http://[\w.:]+", log.read_text())
        wait_for(lambda: known.encode() in scraped(url), 30, "the incident in the console")
    assert "1 reject" in clean.run(rejects)


def rows_of_windows(bootstrap: str) -> list[int]:
    found = newest_by_key(read_all(bootstrap, "clicks.windows"))
    return [found[key]["rows"] for key in sorted(found)]


def scraped(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        content: bytes = answer.read()
    return content
