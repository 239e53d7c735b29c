"""The demo's jobs as processes: on Prism continuously, else as bounded runs repeated."""

import sys
import time
from pathlib import Path

from pipelines.demo.child_process import ChildProcess
from pipelines.demo.repeat import finish_file
from schemas.errors import SourceError

#: A last run reads what is left and closes all windows.
_LAST_RUN_S = 120.0


class JobWorker:
    """One job.

    On Prism a second process stands by with everything imported, for the bounded run that closes what the continuous
    one leaves open when it is stopped.
    """

    def __init__(self, job_file: Path, runner: str) -> None:
        python, log = sys.executable, job_file.with_suffix(".log")
        repeat = [python, "-W", "ignore", "-m", "pipelines.demo.repeat", str(job_file)]
        self._continuous: ChildProcess | None = None
        if runner == "prism":
            command = [python, "-W", "ignore", "-c", "from pipelines.cli import main; main()", "run", str(job_file)]
            self._continuous = ChildProcess([*command, "--runner", "prism"], log=log)
            repeat.append("--only-last")
        self._last = ChildProcess(repeat, log=log.with_suffix(".last.log") if self._continuous else log)
        self._finish = finish_file(job_file)
        self.name = job_file.stem

    def start(self) -> None:
        """Start what reads continuously."""
        (self._continuous or self._last).start()

    def stand_by(self) -> None:
        """Start what does the last run, if it does not run already."""
        if not self._last.running:
            self._last.start()

    def check(self) -> None:
        """Raise if the job has ended by itself.

        Raises:
            SourceError: With the end of its log.
        """
        worker = self._continuous or self._last
        if worker.exit_code is not None:
            raise SourceError(f"the {self.name} job ended with code {worker.exit_code}:\n{worker.log_tail()}")

    def finish(self) -> None:
        """Stop reading continuously; ask for the last run, which reads what is left and closes all windows."""
        if self._continuous is not None:
            self._continuous.kill()
        self.stand_by()
        self._finish.touch()

    def wait(self) -> None:
        """Wait for the last run.

        Raises:
            SourceError: If it fails or takes too long.
        """
        deadline = time.monotonic() + _LAST_RUN_S
        while self._last.running and time.monotonic() < deadline:
            time.sleep(0.1)
        if self._last.exit_code != 0:
            raise SourceError(f"the last run of the {self.name} job failed:\n{self._last.log_tail()}")

    def stop(self) -> None:
        """End all at once."""
        for process in (self._continuous, self._last):
            if process is not None:
                process.stop()
