"""Imported first: whatever starts threads of its own starts no more than there are cores for this process.

Libraries read these settings as they are loaded, and count the cores of the machine, not those that it may use.
"""

import os

_SETTINGS = (
    "OMP_NUM_THREADS",  # torch, scikit-learn and Arrow's computations
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "ARROW_IO_THREADS",
)


def _limit() -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = max(1, cores // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    for name in _SETTINGS:
        given = os.environ.get(name, "")
        os.environ[name] = str(min(share, int(given) if given.isdigit() else share))


_limit()
