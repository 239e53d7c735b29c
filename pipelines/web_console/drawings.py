"""Pictures of figures over time, in the coordinates of an SVG that a template writes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsewatch.pipelines.report.over_time import marks, usual
from sparsewatch.pipelines.report.wording import quantity, share
from sparsewatch.pipelines.web_console.history import Series
from sparsewatch.schemas.units import moment_text

#: Units of a chart, and the room left of it for numbers, above and below.
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 900, 220, 64, 12, 24
#: Units of a sparkline.
SPARK_WIDTH, SPARK_HEIGHT = 120, 24
#: More windows than these are drawn as means of as many in a row as it takes.
_MOST_POINTS = 450
#: Part of the largest value that is left free above it.
_ROOM = 0.08


@dataclass(frozen=True, slots=True)
class Dot:
    """A window in which an alert was raised."""

    x: float
    y: float
    told: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure over time, and what it is compared with."""

    #: Paths of SVG; the band is empty where too few windows are without an alert.
    line: str
    band: str
    #: Heights; None where there is none.
    threshold: float | None
    baseline: float | None
    #: Where the incident is: left edge and width.
    shade: tuple[float, float] | None
    dots: tuple[Dot, ...]
    #: Places and names of moments.
    marks: tuple[tuple[float, str], ...]
    #: What the top and the bottom stand for.
    highest: str
    lowest: str
    #: The same in words, for those who do not see it.
    told: str
    #: Windows whose mean a point of the line is.
    windows_a_point: int = 1


@dataclass(frozen=True)
class Axes:
    """Where moments and values are in a chart."""

    start_us: int
    end_us: int
    lowest: float
    highest: float

    def x(self, time_us: int) -> float:
        """Place of a moment."""
        part = (min(max(time_us, self.start_us), self.end_us) - self.start_us) / max(1, self.end_us - self.start_us)
        return round(LEFT + part * (WIDTH - LEFT), 1)

    def y(self, value: float) -> float:
        """Place of a value."""
        part = (min(max(value, self.lowest), self.highest) - self.lowest) / (self.highest - self.lowest)
        return round(HEIGHT - BOTTOM - part * (HEIGHT - BOTTOM - TOP), 1)


def chart(
    series: Series,
    end_us: int,
    *,
    is_share: bool = False,
    threshold: float | None = None,
    baseline: float | None = None,
    shade_us: tuple[int, int] | None = None,
    alerts: Sequence[tuple[int, float, str]] = (),
) -> Chart:
    """A series of at least one window, and what it is compared with.

    Args:
        series: The figure.
        end_us: End of the last window, microseconds since the epoch.
        is_share: Whether the figure is a share in [0, 1].
        threshold: From which on a rule fires.
        baseline: What was expected.
        shade_us: The stretch of the incident.
        alerts: Start of the window, value and words of each alert.
    """
    all_windows, each = series, -(-len(series) // _MOST_POINTS)
    series = means(series, each)
    low, high = usual(series.starts_us, series.is_clean, series.values)
    levels = [level for level in (threshold, baseline) if level is not None]
    known = np.concatenate([series.values, high, low, np.array([*levels, *(v for _, v, _ in alerts)], np.float64)])
    lowest, highest = _range(known)
    axes = Axes(int(series.starts_us[0]), end_us, lowest, min(highest, 1.0) if is_share else highest)
    shown: Callable[[float], str] = share if is_share else quantity
    return Chart(
        line=_path(axes, series.starts_us, series.values),
        band=_band(axes, series.starts_us, low, high),
        threshold=None if threshold is None else axes.y(threshold),
        baseline=None if baseline is None else axes.y(baseline),
        shade=None if shade_us is None else _shade(axes, *shade_us),
        dots=tuple(Dot(axes.x(time_us), axes.y(value), told) for time_us, value, told in alerts),
        marks=tuple(marks(axes.start_us, axes.end_us, axes.x)),
        highest=shown(axes.highest),
        lowest=shown(axes.lowest),
        told=_told(all_windows, shown),
        windows_a_point=each,
    )


def means(series: Series, each: int) -> Series:
    """Means of so many windows in a row; such a mean is clean if all of them are."""
    if each == 1:
        return series
    begins = np.arange(0, len(series), each)
    is_known = ~np.isnan(series.values)
    sums = np.add.reduceat(np.where(is_known, series.values, 0.0), begins)
    numbers = np.add.reduceat(is_known.astype(np.float64), begins)
    values = np.divide(sums, numbers, out=np.full(len(begins), np.nan), where=numbers > 0)
    return Series(series.starts_us[begins], values, np.logical_and.reduceat(series.is_clean, begins))


def sparkline(values: NDArray[np.float64]) -> str:
    """A path of SVG over `SPARK_WIDTH` by `SPARK_HEIGHT`; empty with fewer than two values."""
    known = values[~np.isnan(values)]
    if len(known) < 2:
        return ""
    lowest, highest = _range(known)
    x = np.linspace(1, SPARK_WIDTH - 1, len(values))
    y = SPARK_HEIGHT - 1 - (values - lowest) / (highest - lowest) * (SPARK_HEIGHT - 2)
    return _joined(x, y)


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 1.0
    lowest, highest = min(0.0, float(known.min())), max(0.0, float(known.max()))
    return lowest, highest + _ROOM * (highest - lowest) if highest > lowest else lowest + 1.0


def _path(axes: Axes, starts_us: NDArray[np.int64], values: NDArray[np.float64]) -> str:
    return _joined(
        np.array([axes.x(start) for start in starts_us.tolist()]),
        np.array([axes.y(value) if np.isfinite(value) else np.nan for value in values.tolist()]),
    )


def _joined(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """A path through points; it is broken where there is none."""
    parts, pen = [], "M"
    for left, height in zip(x.tolist(), y.tolist(), strict=True):
        if np.isnan(height):
            pen = "M"
            continue
        parts.append(f"{pen}{left:.1f},{height:.1f}")
        pen = "L"
    return " ".join(parts)


def _band(axes: Axes, starts_us: NDArray[np.int64], low: NDArray[np.float64], high: NDArray[np.float64]) -> str:
    if np.isnan(low).any():
        return ""
    upper = [f"{axes.x(s)},{axes.y(v)}" for s, v in zip(starts_us.tolist(), high.tolist(), strict=True)]
    lower = [f"{axes.x(s)},{axes.y(v)}" for s, v in zip(starts_us.tolist(), low.tolist(), strict=True)]
    return f"M{' L'.join([*upper, *reversed(lower)])} Z"


def _shade(axes: Axes, start_us: int, end_us: int) -> tuple[float, float]:
    left = axes.x(start_us)
    return left, max(2.0, axes.x(end_us) - left)


def _told(series: Series, shown: Callable[[float], str]) -> str:
    known = series.values[~np.isnan(series.values)]
    if not len(known):
        return "no window states it"
    start, end = moment_text(int(series.starts_us[0])), moment_text(int(series.starts_us[-1]))
    return (
        f"{len(series)} windows from {start} to {end} UTC; the last is {shown(float(known[-1]))}, "
        f"the least {shown(float(known.min()))}, the most {shown(float(known.max()))}"
    )
