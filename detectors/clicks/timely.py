"""Features whose values come and go with the time: an hour, a date, a counter, the id of a row.

Of such a feature each window to come has values that no window before had, and those that were known are gone. Neither
is news. So its values are not checked: what is new, what vanished, what moved. Its missing values, its number of
distinct values and its type are.
"""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from sparsewatch.detectors.clicks.feature_reference import FeatureReference
from sparsewatch.detectors.clicks.inflation import LEAST_WINDOWS
from sparsewatch.detectors.clicks.own_windows import Yes
from sparsewatch.detectors.clicks.values_over import ValuesOver
from sparsewatch.schemas.units import DAY_US, HOUR_US

#: Share of the rows with a value whose value comes and goes.
_NEARLY_ALL = 0.95
#: Microseconds of what a number may count since the epoch: days, hours, minutes, seconds, and parts of a second.
_UNITS_US = (DAY_US, HOUR_US, 60_000_000, 1_000_000, 1_000, 1)
#: A date at the begin of a text or a number, its year in four digits or in two.
_DATE = re.compile(r"(?:(\d\d)?(\d\d))[-/.]?(0\d|1[0-2])[-/.]?([0-2]\d|3[01])")


def follow_time(values: ValuesOver, own: Yes, starts_us: Sequence[int] | None) -> Yes:
    """Whether nearly all values of a feature live in a few windows in a row, or are what a clock shows.

    *A few* are half of all at most. A clock shows dates or times, or what changes at whole hours alone and never back.

    Args:
        values: Of features over windows in the order of time.
        own: Which of these are each feature's own, shape (n_features, n_windows).
        starts_us: Start of each window, microseconds since the epoch; None if they are not known.

    Returns:
        Shape (n_features,).
    """
    listed = values.listed
    judged = (own.sum(1) >= LEAST_WINDOWS) & ((listed > 0) | ~own).all(1)
    follow: Yes = judged & ((values.passing >= _NEARLY_ALL * listed) | ~own).all(1)
    if starts_us is None:
        return follow
    for feature in np.flatnonzero(judged & ~follow & ((values.leading >= 0) | ~own).all(1)).tolist():
        starts = np.asarray(starts_us)[own[feature]].tolist()
        follow[feature] = _shows_time(values, feature, values.leading[feature, own[feature]].tolist(), starts)
    return follow


def _shows_time(values: ValuesOver, feature: int, leading: Sequence[int], starts_us: Sequence[int]) -> bool:
    shown = zip(values.leading_values(feature), starts_us, strict=True)
    return all(reads_as_time(value, start_us) for value, start_us in shown) or _changes_by_the_hour(leading, starts_us)


def reads_as_time(value: Any, start_us: int) -> bool:
    """Whether a value, read as a date or as a time since the epoch, lies within a day of a window's start.

    >>> noon = 1_700_049_600_000_000
    >>> all(reads_as_time(value, noon) for value in ("2023-11-15", 20231115, 23111512, "2023/11/15 12:00", 472_236))
    True
    >>> [reads_as_time(value, noon) for value in ("2023-11-25", "site 7", 12, True, None, 1.5, math.inf)]
    [False, False, False, False, False, False, False]
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return False
    if isinstance(value, int | float):
        if not math.isfinite(value) or value < 0:
            return False
        if any(abs(value * unit - start_us) <= 1.5 * DAY_US for unit in _UNITS_US):
            return True
    found = _DATE.match(str(value))
    if found is None:
        return False
    century, year, month, day = (int(part or 20) for part in found.groups())
    try:
        date = datetime(100 * century + year, month, day, tzinfo=UTC)
    except ValueError:
        return False
    return abs(date.timestamp() * 1e6 + DAY_US / 2 - start_us) <= 1.5 * DAY_US


def _changes_by_the_hour(leading: Sequence[int], starts_us: Sequence[int]) -> bool:
    changes = [at for at in range(1, len(leading)) if leading[at] != leading[at - 1]]
    never_back = len(changes) + 1 == len(set(leading))
    # Where all windows start at whole hours that tells nothing.
    hourly = all(start_us % HOUR_US == 0 for start_us in starts_us)
    return bool(changes) and never_back and not hourly and all(starts_us[at] % HOUR_US == 0 for at in changes)


def timely(features: Mapping[str, FeatureReference]) -> list[str]:
    """Names of the features of a reference that follow the time, ascending."""
    return sorted(name for name, feature in features.items() if feature.follows_time)


def told(names: list[str]) -> str:
    """What a person should know about them.

    >>> told(["hour"]), told(["hour", "request"])
    ('hour follows the time: its values are not checked', 'hour, request follow the time: their values are not checked')
    """
    follow, their = ("follows", "its") if len(names) == 1 else ("follow", "their")
    return f"{', '.join(names)} {follow} the time: {their} values are not checked"
