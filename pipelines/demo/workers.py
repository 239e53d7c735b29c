"""The demo's jobs as processes: on Prism continuously, else as bounded runs repeated."""

import sys
import time
from pathlib import Path

from pipelines.demo.child_process import ChildProcess
from pipelines.demo.repeat import finish_file
from pipelines.job_files import load_job
from pipelines.run import run_job
from schemas.errors import SourceError

#: A last run reads what is left and closes all windows.
_LAST_RUN_S = 120.0


class JobWorker:
    """One job: `sparsewatch run` on Prism, or bounded runs repeated in one process."""

    def __init__(self, job_file: Path, runner: str) -> None:
        python, self._on_prism = [sys.executable, "-W", "ignore"], runner == "prism"
        run = ["-c", "from pipelines.cli import main; main()", "run", str(job_file), "--runner", "prism"]
        repeat = ["-m", "pipelines.demo.repeat", str(job_file)]
        self._process = ChildProcess([*python, *(run if self._on_prism else repeat)], log=job_file.with_suffix(".log"))
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
            raise self._failed()

    def finish(self) -> None:
        """Read what is left and close all windows.

        Raises:
            SourceError: If that fails or takes too long.
        """
        if self._on_prism:
            # Killed, not asked: what it had not committed is read again.
            self._process.kill()
            run_job(load_job(self._job_file), "latest", "inprocess")
            return
        finish_file(self._job_file).touch()
        deadline = time.monotonic() + _LAST_RUN_S
        while self._process.running and time.monotonic() < deadline:
            time.sleep(0.1)
        if self._process.exit_code != 0:
            raise self._failed()

    def stop(self) -> None:
        """End it at once."""
        self._process.stop()

    def _failed(self) -> SourceError:
        code, log = self._process.exit_code, self._process.log_tail()
        return SourceError(f"the job {self._job_file.stem} ended with code {code}:\n{log}")
