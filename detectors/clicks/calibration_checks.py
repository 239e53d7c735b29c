"""The rule on the calibration of a prediction: clicks are more or fewer than it leads to expect, in all or in a bin.

A prediction need not be right to be watched: a model that always predicts twice the clicks is compared with the factors
that it had in the baseline, of each bin of the curve. So a change of the mix, which a good prediction follows, moves
the click rate and not the calibration.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from sparsewatch.detectors.budget.chance import p_value
from sparsewatch.detectors.clicks.calibration import BORDERS, Calibration
from sparsewatch.detectors.clicks.thresholds import ClickThresholds
from sparsewatch.detectors.clicks.tolerances import Floats, share_tolerances
from sparsewatch.detectors.clicks.value_shares import spread
from sparsewatch.schemas.alerts import Finding

#: Tests that a window makes: of all rows, and of each bin.
TESTS = len(BORDERS) + 2
#: Clicks of the baseline below which a bin is not judged, and takes the factor of all rows.
_LEAST_CLICKS = 20
#: A bin matters from this part of the window's clicks on.
_LEAST_PART = 0.05


class CurvePart(msgspec.Struct, frozen=True, array_like=True):
    """A bin of the curve, or all rows, over the windows of a baseline."""

    #: Clicks for each predicted one.
    factor: float
    #: Between windows, of the clicks a row less those expected of it; see `sparsewatch.detectors.clicks.value_shares`.
    sd: float
    #: Windows with such rows, how many that do not depend on one another tell as much, and mean rows of these.
    windows: int
    independent: float
    rows: float
    #: Whether it is judged.
    is_judged: bool = True


class CalibrationBefore(msgspec.Struct, frozen=True, array_like=True):
    """The calibration of a baseline."""

    prediction: str
    whole: CurvePart
    bins: tuple[CurvePart, ...]


def fit_calibration(windows: Sequence[Calibration]) -> CalibrationBefore | None:
    """The calibration of a baseline, of that of its windows; None where nothing is predicted or clicked."""
    if not windows:
        return None
    rows, predicted, clicks = (
        np.array([getattr(window, name) for window in windows], np.float64) for name in ("rows", "predicted", "clicks")
    )
    if predicted.sum() <= 0 or clicks.sum() < _LEAST_CLICKS:
        return None
    known = (clicks.sum(axis=0) >= _LEAST_CLICKS) & (predicted.sum(axis=0) > 0)
    factors = np.full(known.size, clicks.sum() / predicted.sum())
    factors[known] = clicks.sum(axis=0)[known] / predicted.sum(axis=0)[known]
    over = clicks - factors * predicted
    parts = [_part(over[:, at], rows[:, at], float(factors[at]), is_judged=bool(known[at])) for at in range(known.size)]
    return CalibrationBefore(windows[0].prediction, _part(over.sum(axis=1), rows.sum(axis=1), 1.0), tuple(parts))


def _part(over: Floats, rows: Floats, factor: float, *, is_judged: bool = True) -> CurvePart:
    some = rows > 0
    gaps = over[some] / rows[some]
    if gaps.size < 2:
        return CurvePart(factor, 0.0, gaps.size, gaps.size, 0.0, is_judged=False)
    (sd,), (independent,) = spread(gaps[:, None])
    return CurvePart(factor, float(sd), gaps.size, float(independent), float(rows[some].mean()), is_judged)


class _Seen(NamedTuple):
    """A part of the curve in a window."""

    before: CurvePart
    rows: int
    predicted: float
    clicks: int
    #: Clicks expected, by the factors of the baseline.
    expected: float
    #: Probabilities that are its bin; None for all rows.
    span: tuple[float, float] | None = None

    @property
    def deviation(self) -> float:
        """Clicks a row more than expected."""
        return (self.clicks - self.expected) / self.rows

    def tolerance(self, z: float) -> float:
        """How far it may lie from 0 by chance."""
        before, rate = self.before, np.array([min(1.0, self.expected / self.rows)])
        return float(
            share_tolerances(
                rate,
                np.array([before.sd]),
                before.windows,
                self.rows,
                before.rows,
                z,
                backing=before.independent,
                freedom=before.independent - 1,
            )[0]
        )

    def limit(self, settings: ClickThresholds, least: float) -> float:
        """Deviation from which on the rule fires; at least so many clicks."""
        effect = max(settings.calibration_change * self.expected, least) / self.rows
        return max(self.tolerance(settings.of_calibration), effect)

    def wording(self) -> str:
        where = "" if self.span is None else f" where it is in [{self.span[0]:g}, {self.span[1]:g})"
        return f"{self.clicks:,} clicks{where}, {self.expected:,.0f} expected of {self.predicted:,.0f} predicted"


def check_calibration(
    now: Calibration | None, before: CalibrationBefore | None, settings: ClickThresholds, name: str
) -> Finding | None:
    """Rule `calibration_shift`: clicks are more or fewer than predicted, by the factors that held before.

    Args:
        now: Of the window.
        before: Of the baseline.
        settings: When a deviation matters.
        name: How messages call the baseline.
    """
    if now is None or before is None or now.prediction != before.prediction or not sum(now.rows):
        return None
    whole, bins = _seen(now, before)
    least = _LEAST_PART * whole.expected
    far = [one for one in bins if one.before.is_judged and abs(one.deviation) >= one.limit(settings, least)]
    if whole.before.is_judged and abs(whole.deviation) >= whole.limit(settings, 0.0):
        told = whole
    elif far:
        told = max(far, key=lambda one: abs(one.deviation) / one.tolerance(settings.of_calibration))
    else:
        return None
    limit = told.limit(settings, 0.0 if told is whole else least)
    return Finding(
        rule="calibration_shift",
        subject=now.prediction,
        severity="warning",
        value=told.clicks / told.rows,
        threshold=told.expected / told.rows + np.copysign(limit, told.deviation).item(),
        baseline=told.expected / told.rows,
        message=f"{told.wording()} as in {name}",
        evidence={
            "rows": told.rows,
            "clicks": told.clicks,
            "predicted": told.predicted,
            "expected": told.expected,
            "effect": told.deviation,
            "span": told.span,
            "curve": [
                {"span": one.span, "rows": one.rows, "predicted": one.predicted, "clicks": one.clicks}
                | {"expected": one.expected}
                for one in bins
            ],
        },
        p_value=p_value(lambda z: abs(told.deviation) >= told.tolerance(z), settings.of_calibration),
    )


def smallest_change(before: CalibrationBefore | None, click_rate: float, settings: ClickThresholds) -> float | None:
    """Relative change of the clicks that is found in an average window, of all predictions; None if none is.

    Args:
        before: Of the baseline.
        click_rate: Its clicks a row.
        settings: When a deviation matters.
    """
    if before is None or not before.whole.is_judged or not click_rate:
        return None
    rows = round(before.whole.rows)
    clicks = rows * click_rate
    change = _Seen(before.whole, rows, clicks, round(clicks), clicks).limit(settings, 0.0) / click_rate
    return change if change < 1 else None


def _seen(now: Calibration, before: CalibrationBefore) -> tuple[_Seen, list[_Seen]]:
    """All rows, and those of each bin that has any."""
    edges = (0.0, *BORDERS, 1.0)
    bins = [
        _Seen(part, rows, predicted, clicks, part.factor * predicted, (edges[at], edges[at + 1]))
        for at, (part, rows, predicted, clicks) in enumerate(
            zip(before.bins, now.rows, now.predicted, now.clicks, strict=True)
        )
    ]
    expected = sum(one.expected for one in bins)
    whole = _Seen(before.whole, sum(now.rows), sum(now.predicted), sum(now.clicks), expected)
    return whole, [one for one in bins if one.rows]
