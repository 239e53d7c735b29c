"""A continuous job that starts behind a backlog commits all of it, in order, while it runs."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sparsewatch.schemas.accounts import PROGRESS, Account, Progress
from tests.kit.flink import FlinkStack
from tests.kit.job_files import write_click_job
from tests.kit.services import KafkaBroker
from tests.kit.topics import Raw, create_topic, produce, read_all
from tests.kit.waiting import wait_for

WINDOW_MS = 60_000
START_MS = 1_700_000_000_000 // WINDOW_MS * WINDOW_MS
SPARSEWATCH = Path(sys.executable).parent / "sparsewatch"
ROWS = 20
#: From a window's record to the progress that covers it, by the broker's clock.
_COMMITTED_MS = 1_000


class Stream:
    """A topic of two partitions that was there before the job, with clicks at one each three seconds; it goes on."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.bootstrap, self.topic, self.sent = bootstrap, topic, 0
        create_topic(bootstrap, topic, 2)

    def send(self, clicks: int) -> None:
        numbers = range(self.sent, self.sent + clicks)
        produce(self.bootstrap, self.topic, ((i % 2, _click(i)) for i in numbers))
        self.sent += clicks

    def commits(self) -> list[tuple[Raw, Progress]]:
        """The progress after each commit."""
        records = read_all(self.bootstrap, f"{self.topic}.progress")
        own = [record for record in records if record.value and record.key == self.topic.encode()]
        return [(record, PROGRESS.parse(record.value or b"", Progress)) for record in own]

    def wait_until_committed(
        self, windows: int, running: Callable[[], bool], log: Callable[[], str], most_s: float = 120
    ) -> None:
        """Go on with the stream until so many windows are committed."""

        def done() -> bool:
            assert running(), log()
            self.send(2)
            return any(progress.windows >= windows for _, progress in self.commits())

        wait_for(done, most_s, f"{windows} windows committed")

    def check(self, windows: int) -> None:
        """Every window is written once, and committed in order within a second."""
        commits = self.commits()
        ends = [progress.closed_end_us for _, progress in commits]
        assert ends == sorted(ends)
        for _, progress in commits:
            assert progress.totals == Account(counted=progress.windows * ROWS)
        written = read_all(self.bootstrap, f"{self.topic}.windows")
        assert windows <= len(written) <= commits[-1][1].windows + 1
        for record in written[:windows]:
            window = json.loads(record.value or b"")
            assert window["rows"] == ROWS
            behind = next(commit for commit, p in commits if p.closed_end_us >= window["window_end_us"])
            assert behind.timestamp_ms - record.timestamp_ms <= _COMMITTED_MS


def _click(i: int) -> bytes:
    event = {"t": START_MS + i * WINDOW_MS // ROWS, "ad": i % 7, "site": f"s{i % 3}", "label": int(i % 5 == 0)}
    return json.dumps({**event, "price": 0.5, "mobile": True}).encode()


@pytest.mark.parametrize("windows", [3, 12, pytest.param(500, marks=pytest.mark.slow)])
def test_on_prism_a_backlog_is_committed_in_order_while_the_job_runs(
    prism_binary: Path, kafka_broker: KafkaBroker, tmp_path: Path, windows: int
) -> None:
    stream = Stream(kafka_broker.bootstrap, f"backlog-{windows}")
    stream.send(windows * ROWS + 10)
    job_file, log = write_click_job(tmp_path, stream.bootstrap, stream.topic), tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen([SPARSEWATCH, "run", job_file, "--runner", "prism"], stdout=out, stderr=out)
    try:
        stream.wait_until_committed(windows, lambda: process.poll() is None, log.read_text)
    finally:
        process.terminate()
        process.wait()
    stream.check(windows)


@pytest.mark.timeout(900)  # three JVMs on a busy machine
@pytest.mark.parametrize("windows", [3, 12, 500])
def test_on_flink_with_two_workers_a_backlog_is_committed_in_order_while_the_job_runs(
    flink: FlinkStack, kafka_broker: KafkaBroker, tmp_path: Path, windows: int
) -> None:
    stream = Stream(kafka_broker.bootstrap, f"backlog-flink-{windows}")
    stream.send(windows * ROWS + 10)
    job_file, log = write_click_job(tmp_path, stream.bootstrap, stream.topic), tmp_path / "log"
    # Readers and other steps both have two instances.
    options = ["--set", "source.readers=2", "--runner", "portable", "--"]
    options += flink.options(checkpointing_interval_ms=1000, workers=2)
    with log.open("wb") as out:
        process = subprocess.Popen([SPARSEWATCH, "run", job_file, *options], stdout=out, stderr=out)
    try:
        stream.wait_until_committed(
            windows, lambda: process.poll() is None, lambda: log.read_text() + flink.workers.log_tail(), 400
        )
    finally:
        process.terminate()
        process.wait()
        flink.cluster.cancel_jobs()
    stream.check(windows)
