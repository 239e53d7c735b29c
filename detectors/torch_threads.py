"""How many CPU threads torch uses, for a while.

The nets here are tiny: an operation takes some hundred microseconds, and torch's threads wait for each other actively.
On two cores with a load of four, scoring on two threads was six times slower than on one, training up to forty times;
on an idle machine a second thread gained a third.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Within the block torch uses so many threads, after it as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
