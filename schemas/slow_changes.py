"""Shares that a job watches over many windows: what a window shows of each, and what is remembered between windows."""

from typing import Any

import msgspec


class Observation(msgspec.Struct, frozen=True, array_like=True):
    """A share of the rows of one window, beside that expected of it; made where the baseline is known."""

    #: The rule that tells a change, and its subject.
    rule: str
    subject: str
    #: Rows that have what is counted, and all rows, > 0.
    count: int
    rows: int
    #: Share expected in this window, in (0, 1).
    expected: float
    #: Least change of the share that matters, > 0.
    step: float
    #: Deviation of the share between windows besides chance, as of their long run, and standard error of `expected`.
    spread: float
    level: float
    #: Windows of the baseline that know the deviation.
    windows: int
    #: Probability of a false alarm in one window.
    alpha: float
    #: Whether a fall matters as much as a rise.
    falls: bool = True


class Observed(msgspec.Struct, frozen=True, array_like=True):
    """All watched shares of one window."""

    shares: tuple[Observation, ...]
    #: What they are compared with, as alerts tell it; JSON types only.
    baseline: dict[str, Any] = {}


class Moved(msgspec.Struct, frozen=True, array_like=True):
    """A share that has moved and not come back yet."""

    #: Start of the window in which it is thought to have begun.
    since_us: int
    #: How far, in steps, and the precision of that, see `sparsewatch.detectors.sequential.evidence`.
    steps: float
    precision: float
    #: Bound on the probability of such evidence by chance, when it was first told.
    p_value: float
    #: Logarithm of the evidence that it is back.
    back: float = 0.0


class Watched(msgspec.Struct, frozen=True, array_like=True):
    """What is remembered of a share: evidence on which nothing is told yet, or the change that is."""

    rule: str
    subject: str
    evidence: bytes = b""
    moved: Moved | None = None
