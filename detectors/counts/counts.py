"""The array that counts are: what states hold and estimates take."""

import numpy as np
from numpy.typing import NDArray

#: Numbers of rows, >= 0; the shape is said where one is taken.
Counts = NDArray[np.int64]
