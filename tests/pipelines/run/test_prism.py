"""The continuous job on Prism: windows fire while data flow, and a kill -9 changes nothing."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.soak import Run, compare, prepared
from benchmarks.soak_stream import Stream
from sparsewatch.pipelines.job.job_file import load_job
from tests.kit.services import KafkaBroker
from tests.kit.topics import newest_by_key, read_all
from tests.kit.waiting import wait_for


@pytest.fixture
def own_broker(prism_binary: Path) -> Any:
    """A broker of its own: the soak's topic has a fixed name."""
    with KafkaBroker() as broker:
        yield broker


@pytest.mark.kafka
def test_windows_fire_while_data_flow_and_a_kill_loses_nothing(own_broker: KafkaBroker, tmp_path: Path) -> None:
    bootstrap = own_broker.bootstrap
    # The third partition never gets a record: it must not hold the windows.
    job_file = prepared(tmp_path, bootstrap, 3)
    stream = Stream(bootstrap, 400, 45, 2, dirty=True, seed=4)
    run = Run(job_file, tmp_path / "run.log").start()
    try:
        stream.start()

        def windows() -> int:
            assert run.process.poll() is None, run.log.read_text()[-3000:]
            return len(windows_of(bootstrap))

        wait_for(lambda: windows() >= 2, 120, "two windows")
        run.kill()
        before = windows_of(bootstrap)
        run.start()
        wait_for(lambda: windows() >= len(before) + 1, 120, "a window after the kill")
        wait_for(stream.done.is_set, 120, "the end of the stream")
    finally:
        run.kill()
    last = Run(job_file, tmp_path / "run.log", until="latest").start()
    assert last.process.wait(timeout=120) == 0, run.log.read_text()[-3000:]
    found = compare(load_job(job_file), bootstrap)
    assert found["records"] == stream.sent
    assert found["late"] > 0
    assert found["rejected"] > 0


def windows_of(bootstrap: str) -> dict[str, Any]:
    return {key: w["rows"] for key, w in newest_by_key(read_all(bootstrap, "soak.windows")).items()}
