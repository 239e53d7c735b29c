"""A bounded run again and again in one process, until it is killed.

`python -m sparsewatch.pipelines.run.repeat JOB.toml`.

Where Prism is missing the demo goes on this way: each run reads what there is, closes the windows that have ended and
leaves the others to the next. It may be killed at any moment: what was not committed is read again.
"""

import logging
import sys
import time

from sparsewatch.pipelines.job.job_file import load_job
from sparsewatch.pipelines.run.run import run_job

#: Pause between runs; a run on little data takes some seconds.
_PAUSE_S = 0.2


def main(job_file: str) -> None:
    """Run for ever."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    job = load_job(job_file)
    while True:
        run_job(job, "latest", "inprocess", close_at_end=False)
        time.sleep(_PAUSE_S)


if __name__ == "__main__":
    main(sys.argv[1])
