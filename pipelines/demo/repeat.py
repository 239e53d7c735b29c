"""A bounded run again and again in one process: `python -m pipelines.demo.repeat JOB.toml`, until it is stopped.

Where Prism is missing the demo goes on this way: each run reads what there is, closes the windows that have ended and
leaves the others to the next. The file `JOB.finish` asks for a last run that closes all; the process then ends.
"""

import logging
import sys
import time
from pathlib import Path

from pipelines.job_files import load_job
from pipelines.run import run_job

#: Pause between runs; a run on little data takes about a second.
_PAUSE_S = 0.5


def finish_file(job_file: Path) -> Path:
    """The file that asks for the last run of a job."""
    return job_file.with_suffix(".finish")


def main(job_file: str) -> None:
    """Run until told to finish."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    job = load_job(job_file)
    while not finish_file(Path(job_file)).exists():
        run_job(job, "latest", "inprocess", close_at_end=False)
        time.sleep(_PAUSE_S)
    run_job(job, "latest", "inprocess", close_at_end=True)


if __name__ == "__main__":
    main(sys.argv[1])
