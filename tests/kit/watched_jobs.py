"""A click job on a broker in memory, that runs when a test says so and is asked by commands."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import pyarrow as pa
import pytest
from click.testing import CliRunner

from sparsewatch.detectors.clicks.reference import fit_reference
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.run.run import run_job
from sparsewatch.schemas.orders import Order
from sparsewatch.testing import FakeBroker
from tests.kit.job_files import write_click_job

MINUTE_MS = 60_000
MINUTE_US = 1000 * MINUTE_MS
START_MS = 1_700_000_000_000 // MINUTE_MS * MINUTE_MS
START_US = 1000 * START_MS


class WatchedJob:
    """A job `clicks` whose windows are a minute long.

    Args:
        broker: Where it reads and writes.
        folder: Of its file.
    """

    def __init__(self, broker: FakeBroker, folder: Path) -> None:
        self.broker = broker
        self.folder = folder
        #: Settings of its runs, beside those of its file.
        self.settings: list[str] = []
        broker.create("clicks", 2)
        server = broker.settings.bootstrap_servers[0]
        self.file = write_click_job(folder, server, "clicks", {"ad": "int", "label": "int"})

    def send(self, minutes: range, *, broken: int = 0, without_ad: bool = False, rows: int = 20) -> None:
        """So many clicks a minute, some of them broken, or without their ad."""
        writer = self.broker.writer()
        for minute in minutes:
            for i in range(rows):
                at = START_MS + minute * MINUTE_MS + i
                row = {"t": at, "ad": None if without_ad else i % 3, "label": i % 2}
                value = b"{" if i < broken else msgspec.json.encode(row)
                writer.send("clicks", None, value, partition=i % 2, timestamp_ms=at)
        writer.flush()

    def run(self) -> None:
        """Read all there is, and close its windows."""
        run_job(load_job(self.file, self.settings), "latest", "inprocess")

    def asked(self, command: click.Command, *arguments: str) -> str:
        """What a command prints; an error that it makes on purpose is raised."""
        return CliRunner().invoke(command, list(arguments), catch_exceptions=False).stdout

    def alerts(self) -> list[tuple[int, str, str]]:
        """Minute, rule and incident of each alert."""
        found = [msgspec.json.decode(value or b"") for value in self.broker.values("clicks.alerts")]
        return [((one["window_start_us"] - START_US) // MINUTE_US, one["rule"], one["incident"]) for one in found]

    def incidents(self) -> list[dict[str, Any]]:
        """What was told of incidents, in its order."""
        return [msgspec.json.decode(value or b"") for value in self.broker.values("clicks.incidents")]

    def metric(self, name: str) -> float:
        """The newest sample of a metric without labels of its own."""
        found = [msgspec.json.decode(value) for value in self.broker.newest("clicks.metrics").values()]
        [value] = [sample["value"] for sample in found if sample["name"] == name]
        return float(value)

    def orders(self) -> list[Order]:
        """All orders to it."""
        return [msgspec.json.decode(value, type=Order) for value in self.broker.newest("clicks.orders").values()]


class FaultyJob(WatchedJob):
    """A job that compares with a version of a reference, while its clicks have lost their ad."""

    #: Of a minute.
    rows = 200

    def use_version(self, version: str) -> None:
        """Make a version of the reference the latest."""
        (self.folder / "reference" / "latest").write_text(version)

    def goes_on(self, minutes: range) -> list[int]:
        """Run over minutes in which the fault goes on; gives those with new alerts."""
        before = len(self.alerts())
        self.send(minutes, without_ad=True, rows=self.rows)
        self.run()
        return sorted({minute for minute, _, _ in self.alerts()[before:]})


@pytest.fixture(name="job")
def faulty_job(tmp_path: Path) -> Iterator[FaultyJob]:
    """A job with a reference whose clicks lost their ad in minute 3: `clicks-1` fires."""
    rows = FaultyJob.rows
    counts = FeatureCounts(("ad",), "label")
    counts.update(pa.record_batch({"ad": [i % 3 for i in range(rows)], "label": [i % 2 for i in range(rows)]}))
    for _ in range(2):
        fit_reference([counts] * 8).save(tmp_path / "reference")
    with FakeBroker() as broker:
        job = FaultyJob(broker, tmp_path)
        job.file.write_text(f'{job.file.read_text()}[checks]\nreference = "{job.folder}/reference"\n')
        job.use_version("0001")
        job.send(range(3), rows=rows)
        job.send(range(3, 4), without_ad=True, rows=rows)
        job.run()
        yield job
