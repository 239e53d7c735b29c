"""Parts, scaling and targets of the authors' labelled protocol, see `labelled`."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.rows.methods.apre.mean_shift import Rows, shifts_of_many
from sparsewatch.schemas.errors import SchemaError

#: Added to a standard deviation; from the authors' code.
_SCALE_EPSILON = 1e-5

#: Number of shifts, and k: what a score compares a reconstruction with. (0, 1) is the row itself.
Target = tuple[int, int]
PLAIN: Target = (0, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Places of the rows of each part."""

    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    test: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """A data set, split and scaled."""

    #: Rows of train, then of valid: the network sees both.
    fit: Rows
    #: Rows of valid, a part of `fit`.
    valid: Rows
    test: Rows
    #: Whether each is an outlier.
    y_valid: NDArray[np.bool_]
    y_test: NDArray[np.bool_]

    @classmethod
    def of(cls, X: NDArray[np.floating], y: NDArray[np.integer | np.bool_], seed: int) -> "Parts":
        """Split and scale; arguments and errors of `split_by_class`.

        Raises:
            SchemaError: Also if `X` and `y` do not fit together.
        """
        if X.ndim != 2 or y.shape != X.shape[:1]:
            raise SchemaError(f"expected X of shape (n, d) and y of shape (n,), got {X.shape} and {y.shape}")
        split = split_by_class(y, seed)
        fit, test = z_scored(X[np.concatenate([split.train, split.valid])], X[split.test])
        return cls(fit, fit[len(split.train) :], test, y[split.valid] == 1, y[split.test] == 1)

    def targets(self, most_shifts: Mapping[int, int], threads: int = 1) -> dict[Target, tuple[Rows, Rows]]:
        """Rows of valid and test that a reconstruction is compared with, for each target.

        Valid rows are moved as members of the reference, test rows as others.

        Args:
            most_shifts: Number of shifts of each k.
            threads: Of the neighbour search.
        """
        targets = {PLAIN: (self.valid, self.test)}
        if most_shifts:
            for k, shifts, members, others in shifts_of_many(self.fit, self.test, most_shifts, threads):
                targets[shifts, k] = (members[-len(self.valid) :], others)
        return targets


def split_by_class(y: NDArray[np.integer | np.bool_], seed: int = 42) -> Split:
    """Half of each class to train, a quarter each to valid and test, in random order.

    Args:
        y: 0 or 1, shape (n,).
        seed: Of the legacy generator that the authors use, so that their rows come in the same parts.

    Raises:
        SchemaError: If a class has fewer than 4 rows: some part would lack it.
    """
    rng = np.random.RandomState(seed)
    parts: list[list[NDArray[np.int64]]] = [[], [], []]
    for label in (0, 1):
        places = np.flatnonzero(y == label)
        n = len(places)
        if n < 4:
            raise SchemaError(f"y: expected at least 4 rows of class {label}, got {n}")
        cuts = [-(-n // 2), -(-3 * n // 4)]
        for part, chosen in zip(parts, np.split(places[rng.permutation(n)], cuts), strict=True):
            part.append(chosen)
    return Split(*(np.concatenate(part) for part in parts))


def z_scored(fit: NDArray[np.floating], other: NDArray[np.floating]) -> tuple[Rows, Rows]:
    """Both scaled by mean and unbiased standard deviation (plus 1e-5) of `fit`; not clipped."""
    mean, spread = fit.mean(axis=0, dtype=np.float64), fit.std(axis=0, ddof=1, dtype=np.float64)
    scaled = [((X - mean) / (spread + _SCALE_EPSILON)).astype(np.float32) for X in (fit, other)]
    return scaled[0], scaled[1]
