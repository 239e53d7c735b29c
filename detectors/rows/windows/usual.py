"""What a row model finds in window after window, at the level that it came to have: told once, then usual.

Example: a sensor is exchanged, and 30 % of its values lie elsewhere than in the training data. The model says so of
every window until it is trained anew. Once the change has lasted, or a person accepted it, a window tells of it only if
it goes further than in the windows before: where half of the values lie elsewhere.

The level of a finding is its value, as the distance of a column from the training data. It is compared with those of
the windows that are learned (`sparsewatch.detectors.learned_windows`) in which the model found the same: with their
median, a prediction interval by Student's distribution (Hahn, JASA 64, 1969) of the spread by the median absolute
deviation, so that one window among them that is unlike the others does no harm, and the least effect that matters. A
level is no distribution: what changes in a column and leaves it as far from the training data is not seen.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np
from scipy.special import stdtrit

from sparsewatch.detectors.incidents.causes import is_of_stream
from sparsewatch.detectors.rows.windows.checks import DRIFT, UNLIKE_TRAINING
from sparsewatch.detectors.rows.windows.column_checks import BEYOND, LINK_LOST, MOVED
from sparsewatch.detectors.rows.windows.thresholds import RowCheck
from sparsewatch.schemas.alerts import Finding

#: Rules on all rows of a window: whatever column most outliers are laid to, the level is one.
_OF_ALL_ROWS = frozenset({UNLIKE_TRAINING, DRIFT})
#: Rules whose findings may become usual, and one that says nothing where the model describes few rows as usual.
LEVELLED = frozenset({*_OF_ALL_ROWS, MOVED, LINK_LOST})
JUDGED = LEVELLED | {BEYOND}
#: From a median absolute deviation to the standard deviation of a normal distribution.
_OF_MEDIAN = 1.4826


class Level(msgspec.Struct, frozen=True, array_like=True):
    """How far a rule's value went in a window."""

    rule: str
    #: The column; `rows` of a rule on all rows.
    subject: str
    value: float


def level_of(found: Finding) -> Level:
    """The level of a finding."""
    return Level(found.rule, "rows" if found.rule in _OF_ALL_ROWS else found.subject, found.value)


def levels_of(found: Iterable[Finding]) -> tuple[Level, ...]:
    """Those of all findings of a window that have one."""
    return tuple(level_of(one) for one in found if one.rule in LEVELLED)


def highest_usual(before: Sequence[float], least: float, level: float) -> float:
    """Largest value that is as usual.

    Args:
        before: Values of earlier windows, two at least.
        least: Least rise that matters.
        level: Probability that a window of those that go on so exceeds it.

    >>> highest_usual([0.3] * 12, 0.05, 1e-4)
    0.35
    """
    values = np.asarray(before, dtype=np.float64)
    middle = float(np.median(values))
    spread = _OF_MEDIAN * float(np.median(np.abs(values - middle)))
    factor = -float(stdtrit(values.size - 1, level)) * np.sqrt(1 + 1 / values.size)
    return middle + max(least, float(factor) * spread)


def usual_findings(
    found: Sequence[Finding], learned: Mapping[str, Sequence[Sequence[Level]]], needed: int, check: RowCheck
) -> list[Finding]:
    """Those of a window that go no further than it is usual.

    Args:
        found: By the model, of the rules `JUDGED`.
        learned: Levels of the windows that are learned of a subject, by subject.
        needed: Windows with the same finding that make it usual, two at least.
        check: Levels and least effects.
    """
    usual = [one for one in found if one.rule in LEVELLED and _is_usual(one, learned[one.subject], needed, check)]
    # Where the training data do not describe the stream, how far they went says nothing.
    if any(map(is_of_stream, usual)):
        usual += [one for one in found if one.rule == BEYOND]
    return usual


def _is_usual(found: Finding, learned: Sequence[Sequence[Level]], needed: int, check: RowCheck) -> bool:
    own = level_of(found)
    values = _values(learned, own.rule, own.subject)
    if len(values) >= needed and own.value <= highest_usual(values, _least(own.rule, check), check.of_stretches):
        return True
    # Where many outliers are usual, a window of fewer has rows that are less odd.
    return own.rule == DRIFT and len(_values(learned, UNLIKE_TRAINING, own.subject)) >= needed


def _values(learned: Sequence[Sequence[Level]], rule: str, subject: str) -> list[float]:
    return [one.value for levels in learned for one in levels if (one.rule, one.subject) == (rule, subject)]


def _least(rule: str, check: RowCheck) -> float:
    if rule == MOVED:
        return check.least_column_drift
    return check.least_link_loss if rule == LINK_LOST else check.least_drift
