"""Rows and clicks of a stream's past windows, more of them than are kept with their values."""

from typing import NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from sparsewatch.detectors.clicks.inflation import of_past
from sparsewatch.detectors.clicks.reference import Reference
from sparsewatch.detectors.clicks.rhythm import Figures
from sparsewatch.detectors.clicks.strays import rate_steadiness
from sparsewatch.detectors.clicks.tolerances import Statistic, statistic


class Past(NamedTuple):
    """Volume and click rate of windows in which nothing was wrong with either."""

    volume: Figures
    click_rate: Figures

    @classmethod
    def of(cls, history: NDArray[np.int64]) -> Self:
        """From start (microseconds since the epoch), rows and clicks of each window, shape (n_windows, 3)."""
        starts, rows = history[:, 0], history[:, 1].astype(np.float64)
        return cls(Figures(rows, rows, starts), Figures(history[:, 2] / rows, rows, starts, share=True))

    def judged(self, reference: Reference) -> Reference:
        """The reference with volume and click rate as these windows, judged by as many before them, show them."""
        rates, rows = self.click_rate.values, self.volume.values
        known = min(reference.windows, len(rows) // 2)
        rate = of_past(rates, lambda means: means * (1 - means) / rows[known:], known)
        volume = of_past(rows, lambda means: means, known)
        return msgspec.structs.replace(
            reference, click_rate=_widened(reference.click_rate, rate), volume=_widened(reference.volume, volume)
        )

    def of_click_rate(self, reference: Reference) -> Reference:
        """The reference with the click rate of all these windows; its features are those that it has.

        Args:
            reference: Of the last windows, with the rhythm of all.
        """
        rates, rows, starts = self.click_rate.values.tolist(), self.volume.values, self.volume.starts_us.tolist()
        if not rates:
            return reference
        return msgspec.structs.replace(
            reference,
            windows=len(rates),
            volume=statistic(rows.tolist()),
            click_rate=statistic(rates),
            click_rate_steadiness=rate_steadiness(rates, rows.tolist(), starts, reference.click_rate_by_hour),
            span_us=(starts[0], starts[-1] + (reference.window_us or 0)),
        )


def _widened(figure: Statistic, inflation: float) -> Statistic:
    return msgspec.structs.replace(figure, inflation=max(figure.inflation, inflation))
