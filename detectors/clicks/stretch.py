"""The windows a reference is fitted to."""

import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sparsewatch.detectors.clicks.profile import WindowFigures
from sparsewatch.detectors.clicks.rhythm import Figures
from sparsewatch.detectors.clicks.tolerances import Floats
from sparsewatch.detectors.counts.counts import Counts
from sparsewatch.detectors.counts.window_values import WindowValues


class FeatureTables(NamedTuple):
    """Figures of features in windows, shape (n_features, n_windows); rows and click rate as if each had its own."""

    rows: Counts
    click_rate: Floats
    null_shares: Floats
    cardinalities: Counts
    scores: Floats
    noises: Floats
    normalised: Floats
    #: None if they are not known.
    starts_us: Counts | None

    def between(self, first: int, last: int) -> "FeatureTables":
        """Of some of the features."""
        return FeatureTables(
            self.rows[first:last],
            self.click_rate[first:last],
            self.null_shares[first:last],
            self.cardinalities[first:last],
            self.scores[first:last],
            self.noises[first:last],
            self.normalised[first:last],
            None if self.starts_us is None else self.starts_us[first:last],
        )


@dataclass(frozen=True)
class Stretch:
    """Windows with rows, in the order of time."""

    windows: Sequence[WindowValues]
    profiles: Sequence[WindowFigures]
    #: Start of each window, microseconds since the epoch; None if they are not known.
    starts_us: Sequence[int] | None = None

    def without(self, places: Collection[int]) -> "Stretch":
        """The windows at all other places."""
        if not places:
            return self
        return self.at([place for place in range(len(self.windows)) if place not in places])

    def at(self, places: Sequence[int]) -> "Stretch":
        """The windows at these places."""
        return Stretch(
            [self.windows[place] for place in places],
            [self.profiles[place] for place in places],
            None if self.starts_us is None else [self.starts_us[place] for place in places],
        )

    def figures(self, values: Sequence[float], *, share: bool) -> Figures | None:
        """A figure of each window with its time; None if that is not known."""
        if self.starts_us is None:
            return None
        rows = [profile.rows for profile in self.profiles]
        return Figures(np.asarray(values, float), np.asarray(rows, float), np.asarray(self.starts_us, np.int64), share)

    @functools.cached_property
    def tables(self) -> FeatureTables:
        """The figures of all features."""
        shape, profiles = (len(self.windows[0].counts.features), len(self.windows)), self.profiles
        return FeatureTables(
            np.broadcast_to(np.array([one.rows for one in profiles], np.int64), shape),
            np.broadcast_to(np.array([one.click_rate for one in profiles]), shape),
            np.stack([one.null_shares for one in profiles], axis=1),
            np.stack([one.cardinalities for one in profiles], axis=1),
            np.stack([one.scores for one in profiles], axis=1),
            np.stack([one.noises for one in profiles], axis=1),
            np.stack([one.normalised for one in profiles], axis=1),
            None if self.starts_us is None else np.broadcast_to(np.array(self.starts_us, np.int64), shape),
        )
