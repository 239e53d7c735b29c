"""How far shares move between stretches of the training data in their own order: what independent rows cannot tell.

Rows of a stream depend on those before them, so the share of rows below a cut varies between windows by more than the
sampling error of as many independent rows. The surplus is measured on *blocks* of consecutive training rows (batch
means: Flegal and Jones, "Batch means and spectral variance estimators in Markov chain Monte Carlo", Annals of
Statistics 38, 2010), at block sizes that double: the variance of a block's share, less that of as many independent
rows. A longer stretch averages over more, so its surplus is at most that of a shorter one; hence a window longer than
the largest blocks is judged by them.

A window is not among the rows that it is compared with. So a block of one half of the training data is compared with
the mean of the other half: the deviation is that from the mean of its own half, and the distance of the halves. Data
that wander through the whole training stretch thus allow for as much again, and the fewer independent stretches the
estimate rests on, the fewer its degrees of freedom: the number of blocks, less what they repeat of each other
(Bartlett, "On the theoretical specification and sampling properties of autocorrelated time-series", JRSS Supplement 8,
1946), and one for the distance of the halves. They are joined by Satterthwaite's formula (Biometrics Bulletin 2, 1946).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv, stdtr, stdtrit

from sparsewatch.detectors.rows.windows.stored_arrays import StoredArrays

Floats = NDArray[np.float64]
#: Rows of the smallest blocks, blocks of the largest size, and most blocks of the smallest one: they bound the memory.
SMALLEST, FEWEST_BLOCKS, MOST_BLOCKS = 16, 16, 4096
#: Blocks without which nothing is estimated.
_LEAST_BLOCKS = 4
_LEAST_SHARE = 1e-6


class StoredSpread(msgspec.Struct, frozen=True, array_like=True):
    """The spread of shares of which there are few, where arrays do not fit: fields as of `BlockSpread`."""

    spans: tuple[int, ...]
    shares: tuple[float, ...]
    variance: tuple[tuple[float, ...], ...]
    error: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class BlockSpread(StoredArrays):
    """Shares of the training rows, and their surplus variance by length of the stretch: 8 bytes a share and length."""

    #: Rows of the stream that a block spans, rising; int64 of shape (s,).
    spans: NDArray[np.int64]
    #: Shares of all training rows, float32 of shape (...).
    shares: NDArray[np.float32]
    #: Variance of a share between blocks less the sampling error; float32 of shape (s, ...).
    variance: NDArray[np.float32]
    #: Standard error of that variance, of the same shape.
    error: NDArray[np.float32]

    def of_span(self, rows: float) -> "Surplus":
        """The surplus of a stretch of so many rows of the stream."""
        at = float(np.interp(np.log(max(rows, 1.0)), np.log(self.spans), np.arange(len(self.spans))))
        low = int(at)
        high, part = min(low + 1, len(self.spans) - 1), at - low
        return Surplus(
            self.shares.astype(np.float64),
            _between(self.variance, low, high, part),
            _between(self.error, low, high, part),
        )

    def independent_rows(self, rows: int) -> Floats:
        """How many independent rows tell as much of each share as a window of so many rows, shape (...)."""
        surplus = self.of_span(rows)
        own = surplus.shares * (1 - surplus.shares)
        variance = own / rows + surplus.variance
        independent: Floats = np.divide(own, variance, out=np.full(own.shape, float(rows)), where=variance > 0)
        return independent

    def stored(self) -> StoredSpread:
        """The same in plain numbers; shares of shape (k,)."""
        return StoredSpread(
            tuple(self.spans.tolist()),
            tuple(self.shares.tolist()),
            tuple(map(tuple, self.variance.tolist())),
            tuple(map(tuple, self.error.tolist())),
        )


def spread_of_stored(stored: StoredSpread) -> BlockSpread:
    """Inverse of `BlockSpread.stored`."""
    numbers = (np.array(own, dtype=np.float32) for own in (stored.shares, stored.variance, stored.error))
    return BlockSpread(np.array(stored.spans, dtype=np.int64), *numbers)


@dataclass(frozen=True, slots=True, eq=False)
class Surplus:
    """What shares of a stretch of rows vary by beyond the sampling error; three arrays of one shape."""

    #: Shares of the training rows, each judged by a model that knows no row nearby.
    shares: Floats
    variance: Floats
    #: Standard error of the variance.
    error: Floats

    def at(self, shares: Sequence[float], rate: float) -> "Surplus":
        """The surplus of another share, between those of some, linearly; arrays of shape (1,).

        Args:
            shares: Those that its arrays are of, of shape (k,), rising.
            rate: The other one.
        """
        numbers = (np.interp([rate], shares, own) for own in (self.shares, self.variance, self.error))
        return Surplus(*numbers)

    def chance(self, seen: Floats, known: "Known") -> Floats:
        """Probability that shares lie as far off or further, on either side, if the stream goes on as it was.

        The larger of two is taken: that of Student's distribution allows for the error of the variance, and that of the
        beta distribution of this mean and variance for shares near 0 or 1, which deviate seldom and then far (Skellam,
        "A probability distribution derived from the binomial distribution by regarding the probability of success as
        variable between the sets of trials", JRSS B 10, 1948).

        Args:
            seen: Shares of a window.
            known: Shares that the window is compared with. What lies between them and those of the training rows is
                no deviation.
        """
        low, high = np.minimum(known.smooth, self.shares), np.maximum(known.smooth, self.shares)
        expected = np.clip(seen, low, high)
        spread, freedom = self.spread(known.sampling_variance)
        by_error = stdtr(freedom, -np.abs(seen - expected) / spread)
        ones, zeros = _beta(expected, spread**2)
        above, below = betainc(zeros, ones, 1 - seen), betainc(ones, zeros, seen)
        by_shape = np.where(seen > expected, above, np.where(seen < expected, below, 0.5))
        chance: Floats = np.minimum(1.0, 2 * np.maximum(by_error, by_shape))
        return chance

    def highest(self, known: "Known", level: float) -> Floats:
        """Largest shares of a window that have a chance of at most `level` to be exceeded; else as `chance`."""
        expected = np.maximum(known.smooth, self.shares)
        spread, freedom = self.spread(known.sampling_variance)
        ones, zeros = _beta(expected, spread**2)
        highest: Floats = np.maximum(expected - stdtrit(freedom, level) * spread, 1 - betaincinv(zeros, ones, level))
        return np.minimum(highest, 1.0)

    def spread(self, sampling_variance: Floats) -> tuple[Floats, Floats]:
        """Standard deviation of a window's shares of this sampling error, and its degrees of freedom."""
        variance = sampling_variance + self.variance
        freedom = np.divide(2 * variance**2, self.error**2, out=np.full(variance.shape, 1e6), where=self.error > 0)
        return np.sqrt(variance), np.maximum(freedom, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """Shares of calibration rows, for a window of independent rows."""

    shares: Floats
    #: Calibration rows, and rows of the window.
    rows: int
    window: int

    @property
    def smooth(self) -> Floats:
        """The shares with one more hit and one more miss, never 0 or 1."""
        smooth: Floats = (self.shares * self.rows + 1) / (self.rows + 2)
        return smooth

    @property
    def sampling_variance(self) -> Floats:
        """Variance of the difference to the shares of the window."""
        variance: Floats = self.smooth * (1 - self.smooth) * (1 / self.window + 1 / self.rows)
        return variance


def _beta(mean: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Parameters of the beta distribution; where the variance is too large for it, of nearly the largest."""
    inside = np.clip(mean, _LEAST_SHARE, 1 - _LEAST_SHARE)
    whole = np.maximum(inside * (1 - inside) / variance - 1, _LEAST_SHARE)
    return inside * whole, (1 - inside) * whole


def _between(values: NDArray[np.float32], low: int, high: int, part: float) -> Floats:
    found: Floats = (1 - part) * values[low].astype(np.float64) + part * values[high].astype(np.float64)
    return found


def block_size(rows: int) -> int:
    """Rows of the smallest blocks of so many rows."""
    return max(SMALLEST, -(-rows // MOST_BLOCKS))


def block_sums(values: NDArray[Any]) -> NDArray[Any]:
    """Sums over the rows of each smallest block; (n, ...) to (blocks, ...), the last rows left out.

    Of whether rows are hit, how many are: bool to int64.
    """
    size = block_size(len(values))
    whole = len(values) // size
    sums: NDArray[Any] = values[: whole * size].reshape(whole, size, *values.shape[1:]).sum(axis=1)
    return sums


def spread_between(
    counts: NDArray[Any], size: int, rows_each: float = 1.0, *, own: Floats | None = None
) -> BlockSpread | None:
    """The surplus variance, of the counts of the smallest blocks, or of other sums over their rows.

    Args:
        counts: Rows of each block that are hit, in the order of the training data; shape (blocks, ...).
        size: Rows a block.
        rows_each: Rows of the stream that a training row stands for, at least 1.
        own: Variance of what is summed between single rows, shape (...); that of a hit if None.

    Returns:
        None for fewer than four blocks.
    """
    spans: list[int] = []
    variances, errors = [], []
    if len(counts) < _LEAST_BLOCKS:
        return None
    shares = (counts.mean(axis=0) / size).astype(np.float32)
    while len(counts) >= (FEWEST_BLOCKS if spans else _LEAST_BLOCKS):
        variance, error = _surplus(counts / size, size, own)
        spans.append(round(size * rows_each))
        variances.append(variance.astype(np.float32))
        errors.append(error.astype(np.float32))
        pairs = len(counts) // 2 * 2
        counts, size = counts[0:pairs:2] + counts[1:pairs:2], 2 * size
    return BlockSpread(np.array(spans, dtype=np.int64), shares, np.stack(variances), np.stack(errors))


def _surplus(shares: Floats, size: int, own: Floats | None) -> tuple[Floats, Floats]:
    """Surplus variance of shares of blocks of so many rows, and its standard error."""
    half = len(shares) // 2
    first, last = shares[:half], shares[half : 2 * half]
    inside, freedom = _inside(np.stack([first, last]))
    apart = np.maximum((first.mean(axis=0) - last.mean(axis=0)) ** 2 - 2 * inside / half, 0.0)
    mean = shares.mean(axis=0)
    total = inside + apart
    error = np.sqrt(2 * (inside**2 / freedom + apart**2))
    of_a_row = mean * (1 - mean) if own is None else own
    return np.maximum(total - of_a_row / size, 0.0), error


def _inside(halves: Floats) -> tuple[Floats, Floats]:
    """Variance of blocks inside their halves and its degrees of freedom; of shape (2, blocks, ...) to (...) each."""
    own = halves - halves.mean(axis=1, keepdims=True)
    blocks = 2 * (halves.shape[1] - 1)
    squares = (own**2).sum(axis=(0, 1))
    repeated = np.divide(
        (own[:, 1:] * own[:, :-1]).sum(axis=(0, 1)), squares, out=np.zeros(squares.shape), where=squares > 0
    )
    squared = np.clip(repeated, 0.0, 0.99) ** 2
    return squares / blocks, np.maximum(blocks * (1 - squared) / (1 + squared), 1.0)
