"""A job with all that watches it, each a process of its own: exporter, notify, Prometheus, two Alertmanagers."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from sparsewatch.detectors.clicks.reference import fit_reference
from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.testing.child_process import ChildProcess, free_port
from tests.kit.alertmanager import AlertmanagerProcess, Receiver
from tests.kit.job_files import write_click_job
from tests.kit.prometheus import PrometheusProcess
from tests.kit.topics import create_topic, produce

MINUTE_MS = 60_000
START_MS = 1_790_000_040_000 // MINUTE_MS * MINUTE_MS
_ROWS = 200


class Killable(Protocol):
    """A process that a test ends as a crash would, and starts again."""

    def kill(self) -> None:
        """End it."""

    def start(self) -> object:
        """Start it, again."""


@dataclass(frozen=True)
class Observed:
    """The processes, and who is told."""

    bootstrap: str
    name: str
    file: Path
    prometheus: PrometheusProcess
    #: Told by the Alertmanagers; told by `notify` itself.
    on_call: Receiver
    tickets: Receiver
    processes: Mapping[str, Killable]

    def clicks(self, minute: int, *, is_broken: bool = False) -> None:
        """The events of a minute: of one that is broken neither `ad` nor `site` has a value."""
        rows = [
            {
                "t": START_MS + minute * MINUTE_MS + 290 * i,
                **_click(i),
                **({"ad": None, "site": None} if is_broken else {}),
            }
            for i in range(_ROWS)
        ]
        produce(self.bootstrap, self.name, [(i % 2, json.dumps(row).encode()) for i, row in enumerate(rows)])


def _click(i: int) -> dict[str, object]:
    return {"ad": i % 3, "site": "abcd"[i % 4], "label": i % 2}


@contextmanager
def observed_job(bootstrap: str, name: str, folder: Path, times: int) -> Iterator[Observed]:
    """All processes of a click job with a reference, while the context lasts.

    Args:
        bootstrap: Of a broker.
        name: Of the job and its topic.
        folder: For files and logs.
        times: How much faster the rules of Prometheus are.
    """
    file = _job_file(bootstrap, name, folder)
    create_topic(bootstrap, name, 2)
    port = free_port()
    with Receiver() as on_call, Receiver() as tickets, ExitStack() as stack:
        gossip = [free_port(), free_port()]
        first, second = (AlertmanagerProcess(on_call, "1s", "6s", ports) for ports in (gossip, gossip[::-1]))
        urls = [first.url, second.url]
        prometheus = PrometheusProcess([f"127.0.0.1:{port}"], [url.removeprefix("http://") for url in urls], times)
        notify = ["--resend", "10s", "--webhook", f"tickets={tickets.url}"]
        notify += [word for url in urls for word in ("--alertmanager", url)]
        processes: dict[str, AlertmanagerProcess | PrometheusProcess | ChildProcess] = {
            "Alertmanager": first,
            "the other Alertmanager": second,
            "Prometheus": prometheus,
            "the job": _command(folder, "run", file, "--repeat", "500ms"),
            "the exporter": _command(folder, "exporter", file, "--port", str(port)),
            "notify": _command(folder, "notify", file, *notify),
        }
        for process in processes.values():
            stack.enter_context(process)
        yield Observed(bootstrap, name, file, prometheus, on_call, tickets, processes)


def _command(folder: Path, command: str, file: Path, *options: str) -> ChildProcess:
    program = str(Path(sys.executable).parent / "sparsewatch")
    return ChildProcess([program, command, str(file), *options], log=folder / f"{command}.log")


def _job_file(bootstrap: str, name: str, folder: Path) -> Path:
    file = write_click_job(folder, bootstrap, name, {"ad": "int", "site": "str", "label": "int"})
    counts = FeatureCounts(("ad", "site"), "label")
    counts.update(pa.RecordBatch.from_pylist([_click(i) for i in range(_ROWS)]))
    fit_reference([counts] * 8).save(folder / "reference")
    (folder / "reference" / "latest").write_text("0001")
    file.write_text(f'{file.read_text()}[checks]\nreference = "{folder}/reference"\n')
    return file
