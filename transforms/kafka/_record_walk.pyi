import numpy as np
from numpy.typing import NDArray

#: Number of what follows.
INTERFACE: int

def walk(
    data: bytes | bytearray | memoryview,
    at: int,
    end: int,
    offset: int,
    timestamp: int,
    is_append_time: bool,
    cells: NDArray[np.int64],
    /,
) -> tuple[int, int]: ...
