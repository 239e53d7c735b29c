"""What is usual at each hour of the day, or of the week, where that predicts a stream better than its mean.

A figure's mean in an hour is shrunk towards the mean of all windows by as much as chance explains (empirical Bayes:
Efron and Morris, JASA 68, 1973): strongly while few windows back it, hardly where hours differ much. Whether hours, of
day or week, are used at all is decided by leaving out each day and predicting its windows from the others.
"""

from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from sparsewatch.schemas.units import DAY_US, HOUR_US

Kind = Literal["hour of day", "hour of week"]
#: Hours that repeat, by kind; the simplest first.
PERIODS: dict[Kind, int] = {"hour of day": 24, "hour of week": 168}
#: The error of a prediction by hours must be below this part of that of the simpler one.
_BETTER = 0.9


class Hour(msgspec.Struct, frozen=True, array_like=True):
    """One hour of the day or week over the windows that start in it."""

    #: Since midnight UTC, or since midnight UTC before Thursday, on which the epoch began.
    hour: int
    #: Of the figure.
    mean: float
    #: Days of these windows, and their mean rows. Windows of one day stand in for each other: only days count.
    days: int
    rows: float


class Rhythm(msgspec.Struct, frozen=True, kw_only=True):
    """A figure by hour."""

    kind: Kind
    hours: tuple[Hour, ...]
    #: Standard deviation of a window from its hour's mean, as a part of that, sampling left out.
    spread: float
    #: Windows that know it: one more than its degrees of freedom.
    windows: int
    #: Least and most of a window, divided by its hour's mean.
    least: float
    most: float

    def at(self, start_us: int) -> Hour | None:
        """The hour in which a window starts; None if no window of the baseline did."""
        hour = start_us // HOUR_US % PERIODS[self.kind]
        return next((one for one in self.hours if one.hour == hour), None)


@dataclass(frozen=True, slots=True)
class Figures:
    """A figure of windows in the order of time; arrays of shape (n_windows,)."""

    values: NDArray[np.float64]
    #: Rows of each window.
    rows: NDArray[np.float64]
    #: Start of each, microseconds since the epoch.
    starts_us: NDArray[np.int64]
    #: Whether the figure is a share of the rows, and not their number.
    share: bool = False

    def at(self, places: NDArray[np.bool_]) -> "Figures":
        """Those of some windows."""
        return Figures(self.values[places], self.rows[places], self.starts_us[places], self.share)

    @property
    def weights(self) -> NDArray[np.float64]:
        """Of each window in a mean."""
        return self.rows if self.share else np.ones_like(self.rows)

    @property
    def mean(self) -> float:
        """Over all windows."""
        return float(np.average(self.values, weights=self.weights))

    def hours(self, kind: Kind) -> NDArray[np.int64]:
        """Hour of each window."""
        return self.starts_us // HOUR_US % PERIODS[kind]

    def sampling(self, means: NDArray[np.float64]) -> NDArray[np.float64]:
        """Variance of each window by its rows alone, if these were the means."""
        return means * (1 - means) / self.rows if self.share else means


def fit_rhythm(figures: Figures, window_us: int) -> Rhythm | None:
    """The rhythm of a stretch; None if it is too short, or if its mean predicts a day left out as well.

    Args:
        figures: Of its windows.
        window_us: Their length.
    """
    kind = best_kind(figures, window_us)
    if kind is None:
        return None
    hours = figures.hours(kind)
    means = hourly_means(figures, kind)
    ratios = _ratios(figures.values, means[hours])
    count = np.bincount(hours, minlength=PERIODS[kind])
    freedom = max(1, figures.values.size - int(np.count_nonzero(count)))
    sampling = float(np.mean(_ratios(figures.sampling(means[hours]), means[hours] ** 2)))
    excess = float(((ratios - 1) ** 2).sum()) / freedom - sampling
    rows = np.bincount(hours, figures.rows, PERIODS[kind]) / np.maximum(count, 1)
    return Rhythm(
        kind=kind,
        hours=tuple(
            Hour(
                hour, float(means[hour]), np.unique(figures.starts_us[hours == hour] // DAY_US).size, float(rows[hour])
            )
            for hour in np.flatnonzero(count).tolist()
        ),
        spread=float(np.sqrt(max(0.0, excess))),
        windows=freedom + 1,
        least=float(ratios.min()),
        most=float(ratios.max()),
    )


def best_kind(figures: Figures, window_us: int) -> Kind | None:
    """The hours that predict days left out best; None for none."""
    best: Kind | None = None
    if 2 * window_us >= DAY_US or not figures.values.size:
        return best
    span_us = int(figures.starts_us[-1] - figures.starts_us[0]) + window_us
    error = _error(figures, None)
    for kind, hours in PERIODS.items():
        # The first and the last window of a stretch are often cut off.
        if span_us + 2 * window_us >= 2 * hours * HOUR_US and (by_hour := _error(figures, kind)) < _BETTER * error:
            best, error = kind, by_hour
    return best


def usual_levels(figures: Figures, window_us: int) -> NDArray[np.float64]:
    """The median of each window's hour, which a bad window does not move; 1 where hours predict no better."""
    kind = best_kind(figures, window_us)
    levels = np.ones_like(figures.values)
    if kind is None:
        return levels
    hours = figures.hours(kind)
    for hour in np.unique(hours):
        levels[hours == hour] = np.median(figures.values[hours == hour])
    return np.where(levels > 0, levels, figures.mean)


def hourly_means(figures: Figures, kind: Kind) -> NDArray[np.float64]:
    """The shrunken mean of each hour; that of all windows where an hour has none."""
    hours, size, weights = figures.hours(kind), PERIODS[kind], figures.weights
    count = np.bincount(hours, minlength=size)
    seen, whole = count > 0, figures.mean
    means = np.where(seen, np.bincount(hours, weights * figures.values, size), whole)
    means[seen] /= np.bincount(hours, weights, size)[seen]
    freedom = figures.values.size - int(np.count_nonzero(seen))
    within = float(((_ratios(figures.values, means[hours]) - 1) ** 2).sum()) / max(1, freedom)
    chance = within * means**2 / np.maximum(count, 1)
    between = max(0.0, float(means[seen].var()) - float(chance[seen].mean()))
    return whole + (means - whole) * (_ratios(np.full(size, between), between + chance) if freedom else 1.0)


def _error(figures: Figures, kind: Kind | None) -> float:
    """Mean absolute error of predicting each hour from the other days: absolute, so that bad windows do not decide."""
    days, total = figures.starts_us // DAY_US, 0.0
    for day in np.unique(days):
        others, left = figures.at(days != day), figures.at(days == day)
        if not others.values.size:
            return float("inf")
        predicted = others.mean if kind is None else hourly_means(others, kind)[left.hours(kind)]
        errors = np.bincount(left.hours("hour of day"), left.weights * (left.values - predicted))
        total += float(np.abs(errors).sum())
    return total / float(figures.weights.sum())


def _ratios(values: NDArray[np.float64], means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values divided by means; 1 where the mean is 0."""
    return np.divide(values, means, out=np.ones_like(values), where=means > 0)
