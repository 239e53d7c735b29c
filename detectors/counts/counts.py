"""The array type of counts, in states and estimates."""

import numpy as np
from numpy.typing import NDArray

#: Numbers of rows, >= 0; the shape is documented at each use.
Counts = NDArray[np.int64]
