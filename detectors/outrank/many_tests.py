"""Which of many tests are significant."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def holm(p_values: Sequence[float], alpha: float) -> NDArray[np.bool_]:
    """Tests that are significant, so that any false positive among them has probability `alpha` at most.

    Holds however the tests depend on each other (Holm, Scandinavian Journal of Statistics 6, 1979).

    Args:
        p_values: Shape (n_tests,), in [0, 1].
        alpha: Between 0 and 1.
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    passed = np.logical_and.accumulate(p[order] <= alpha / np.arange(p.size, 0, -1))
    significant = np.zeros(p.size, np.bool_)
    significant[order] = passed
    return significant
