"""The demo's jobs as processes: on Prism continuously, else as bounded runs repeated."""

import sys
from pathlib import Path

from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.run.run import run_job
from sparsewatch.schemas.errors import SourceError
from sparsewatch.testing.child_process import ChildProcess

#: Between two bounded runs; a run on little data takes some seconds.
_PAUSE = "200ms"


class JobWorker:
    """One job: `sparsewatch run` on Prism, or bounded runs repeated in one process."""

    def __init__(self, job_file: Path, runner: str) -> None:
        command = [sys.executable, "-W", "ignore", "-m", "sparsewatch", "run", str(job_file), "--runner", runner]
        if runner != "prism":
            command += ["--repeat", _PAUSE]
        self._process = ChildProcess(command, log=job_file.with_suffix(".log"))
        self._job_file = job_file

    def start(self) -> None:
        """Start reading."""
        self._process.start()

    def check(self) -> None:
        """Look whether it still runs.

        Raises:
            SourceError: If it has ended by itself; with the end of its log.
        """
        if not self._process.running:
            code, log = self._process.exit_code, self._process.log_tail()
            raise SourceError(f"the job {self._job_file.stem} ended with code {code}:\n{log}")

    def finish(self) -> None:
        """Read what is left and close all windows.

        The process is killed, not asked: what it had not committed is read again, here.
        """
        self.stop()
        run_job(load_job(self._job_file), "latest", "inprocess")

    def stop(self) -> None:
        """End it at once."""
        self._process.kill()
