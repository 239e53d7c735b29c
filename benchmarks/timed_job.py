"""One bounded run of a job in a process of its own, timed from its first read to its last commit.

`python -m benchmarks.timed_job JOB.toml` does what `sparsewatch run JOB.toml --until latest --runner inprocess` does
and prints its times as JSON.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec

from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.run.run import load_job_progress, run_job
from sparsewatch.transforms.kafka import reading
from sparsewatch.transforms.kafka.client import Reader
from sparsewatch.transforms.kafka.reader_start import ReadSpec, open_spec_reader
from sparsewatch.transforms.records import Fetched
from sparsewatch.transforms.window.write_windows import WindowWriter


class Timing(msgspec.Struct, kw_only=True):
    """Moments by the system's monotonic clock, which all processes share; processor seconds of all threads."""

    first_read: float = 0.0
    last_commit: float = 0.0
    processor_at_first_read: float = 0.0
    processor_at_last_commit: float = 0.0
    #: Seconds that the machine's cores were busy, whoever kept them so: job and broker share them.
    machine_at_first_read: float = 0.0
    machine_at_last_commit: float = 0.0
    rows: int = 0
    rejected: int = 0
    #: Of the job's process, millions of bytes.
    peak_memory_mb: float = 0.0
    #: Seconds from the start of the process, filled in by whoever started it.
    start_up: float = 0.0
    summary: str = ""

    def read(self) -> None:
        """The job asks for records."""
        if not self.first_read:
            self.first_read, self.processor_at_first_read = time.monotonic(), time.process_time()
            self.machine_at_first_read = machine_busy_s()

    def committed(self) -> None:
        """A window's results are durable and its progress is written."""
        self.last_commit, self.processor_at_last_commit = time.monotonic(), time.process_time()
        self.machine_at_last_commit = machine_busy_s()

    @property
    def seconds(self) -> float:
        """From the first read to the last commit."""
        return self.last_commit - self.first_read

    @property
    def processor_s(self) -> float:
        """Processor seconds of the job in that time."""
        return self.processor_at_last_commit - self.processor_at_first_read

    @property
    def cores(self) -> float:
        """Cores of the machine that were busy in that time, on average."""
        return (self.machine_at_last_commit - self.machine_at_first_read) / self.seconds


def machine_busy_s(stat: str | None = None) -> float:
    """Seconds that all cores together were busy since the machine started.

    Args:
        stat: Text of `/proc/stat`; None reads it.
    """
    text = Path("/proc/stat").read_text(encoding="ascii") if stat is None else stat
    user, nice, system, _idle, _iowait, irq, softirq = map(int, text.split(maxsplit=8)[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


class _TimedReader:
    """A reader that notes when it was first called; all else is the reader's own."""

    def __init__(self, reader: Reader, timing: Timing) -> None:
        self._reader = reader
        self._timing = timing

    def fetch(self, timeout_s: float, max_records: int) -> list[Fetched]:
        self._timing.read()
        return self._reader.fetch(timeout_s, max_records)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


def timed_run(job_file: Path) -> Timing:
    """Run the job to the end of its topic."""
    timing, job = Timing(), load_job(job_file)
    open_reader, commit = open_spec_reader, WindowWriter.commit

    def timed_reader(spec: ReadSpec) -> Any:
        return _TimedReader(open_reader(spec), timing)

    def timed_commit(writer: WindowWriter, *arguments: Any, **more: Any) -> None:
        commit(writer, *arguments, **more)
        timing.committed()

    with patch.object(reading, "open_spec_reader", timed_reader), patch.object(WindowWriter, "commit", timed_commit):
        timing.summary = run_job(job, "latest", "inprocess")
    progress = load_job_progress(job)
    if progress is not None:
        timing.rows, timing.rejected = progress.totals.counted, progress.totals.rejected
    timing.peak_memory_mb = _peak_memory_mb()
    return timing


def _peak_memory_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024 / 1e6


def main() -> None:
    """Time one run of the job file named on the command line."""
    print(msgspec.json.encode(timed_run(Path(sys.argv[1]))).decode())


if __name__ == "__main__":
    main()
