"""How many CPU threads torch uses, for a while.

The nets here are tiny: an operation is over soon, and torch's threads wait for each other actively. On a busy machine
several threads are many times slower than one, and on an idle one a second thread gains little.
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
