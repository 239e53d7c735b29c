"""How much an incident weighs: effect times reach times duration.

Example: a feature that lacks half of its values for four windows weighs 2, as do ten features that lack a tenth for
two windows. So a small fault is told as a warning, and is critical when it reaches far or lasts.
"""

from collections.abc import Iterable

from sparsewatch.detectors.incidents.causes import SHARES
from sparsewatch.schemas.alerts import Finding
from sparsewatch.schemas.incidents import Member


def effect(found: Finding | Member) -> float:
    """By how much what was found differs from what was expected, from 0 to 1.

    Of shares of rows that is the difference, of other figures the change as a part of the larger one.

    >>> lower = dict(value=0.01, threshold=0.02, baseline=0.04, message="")
    >>> effect(Finding(rule="click_rate_shift", subject="stream", severity="warning", **lower))
    0.75
    """
    change = abs(found.value - found.baseline)
    whole = 1.0 if found.rule in SHARES else max(abs(found.value), abs(found.baseline))
    return min(change / whole, 1.0) if whole else 0.0


def weight_of(found: Iterable[Finding | Member]) -> float:
    """What one window adds to the weight of an incident: the largest effect on each subject."""
    largest: dict[str, float] = {}
    for one in found:
        largest[one.subject] = max(effect(one), largest.get(one.subject, 0.0))
    return sum(largest[subject] for subject in sorted(largest))
