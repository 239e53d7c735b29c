"""One thread for torch, for a while.

The nets here are tiny: a layer of a chunk takes some hundred microseconds, and torch's threads wait for each other
actively. On two cores with a load of four, scoring on two threads was six times slower than on one, training up to
forty times; on an idle machine a second thread gained a third.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Within the block, torch runs the caller's operations on its own thread only."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
