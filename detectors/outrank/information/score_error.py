"""How far the score of a feature above the cap may lie from that of exact counts.

Two things are not known there (see `sparsewatch.detectors.counts.capped_counts`): light values outside the sample, and
what else is in the counter of a heavy value. Both errors are sums of many small ones, so the bound is a multiple of
their standard deviation.

In 600 estimates of features of 30,000 to 400,000 values with 8,192 stored, from all alike to Zipf's law with exponent
1.2, with and without signal, the largest error was 3.9 standard deviations.

The variance of the first is that of a calibrated estimate: of the residuals of a regression on rows and clicks
(Deville and Särndal, JASA 87, 1992, sec. 2). The second is linearised in the rows and clicks of the background, and for
two heavy values in one counter it is at most what they add to the score.
"""

import math
from typing import NamedTuple

import numpy as np

from sparsewatch.detectors.counts.capped_counts import Background, Floats
from sparsewatch.detectors.counts.counts import Counts
from sparsewatch.detectors.counts.value_estimates import Marginals

#: Standard deviations in the bound.
BOUND = 5.0


class ScoreError(NamedTuple):
    """Error of an estimated score."""

    #: Nats squared; 0 where counts are exact.
    variance: float
    #: Nats.
    bound: float


def score_error(marginals: Marginals, parts: Floats, rate: float) -> ScoreError:
    """Error of the sum of weights times `parts` over rows.

    Args:
        marginals: Counts and weights of values, not all exact.
        parts: Part of each value in n times the score, shape (n_values,).
        rate: Clicks a row, inside (0, 1).
    """
    light = slice(marginals.light)
    mixed = slice(marginals.light, marginals.light + marginals.mixed)
    variance, slopes = _sampling(marginals.rows[light], marginals.clicks[light], marginals.weights[light], parts[light])
    if marginals.background is not None:
        variance += _background_variance(
            marginals.rows[mixed], marginals.clicks[mixed], marginals.background, rate, slopes
        )
        variance += marginals.mixed / (2 * marginals.counters) * float(parts[mixed] @ parts[mixed])
    variance /= float(np.sum(marginals.weights * marginals.rows)) ** 2
    return ScoreError(variance, BOUND * math.sqrt(variance))


def _sampling(rows: Counts, clicks: Counts, weights: Floats, parts: Floats) -> tuple[float, Floats]:
    """Variance that the sample of light values leaves, and the slopes of their parts on clicks and other rows."""
    if not rows.size:
        return 0.0, np.zeros(2)
    scale = np.sqrt(weights / rows)
    counts = np.stack([clicks, rows - clicks], axis=1)
    slopes = np.linalg.lstsq(counts * scale[:, None], parts * scale, rcond=None)[0]
    left = parts - counts @ slopes
    return float(np.sum(weights * np.maximum(weights - 1, 0) * left**2)), slopes


def _background_variance(rows: Counts, clicks: Counts, background: Background, rate: float, slopes: Floats) -> float:
    """Of the mixed values: what the background in their counters differs from its mean.

    What it takes from them it gives to the light values, whose known totals change.
    """
    # Half a click more keeps the logarithms finite.
    own = (clicks + 0.5) / (rows + 1)
    per_click = np.log(own * (1 - rate) / (rate * (1 - own))) - (slopes[0] - slopes[1])
    per_row = np.log((1 - own) / (1 - rate)) - slopes[1] + background.rate * per_click
    return float(
        background.rows_variance * (per_row @ per_row)
        + 2 * background.covariance * (per_row @ per_click)
        + background.clicks_variance * (per_click @ per_click)
    )
