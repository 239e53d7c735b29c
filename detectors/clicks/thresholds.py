"""Thresholds of the checks on a window of clicks."""

from typing import Annotated

from sparsewatch.schemas.ranges import Count, Positive, Range
from sparsewatch.schemas.settings import Settings

_Part = Annotated[float, Range(above=0, below=1)]
_Multiple = Annotated[float, Range(above=1)]
_Deviations = Annotated[float, Range(above=1, below=20)]


class ClickThresholds(Settings, frozen=True, kw_only=True):
    """When a deviation from the reference is worth a person's time.

    A rule fires where chance is excluded *and* the effect is large enough to matter.
    """

    #: Chance is excluded beyond so many standard deviations; 5 is 1 in 3.5 million a check.
    z: _Deviations = 5.0
    #: As `z` for signal, which varies more and must change more to count.
    signal_z: _Deviations = 4.0
    #: Rows (with a value) below which a window or a feature is not judged; volume always is.
    min_rows: Count = 200
    #: Rows of each label below which signal is not judged.
    min_clicks: Count = 20
    #: Volume over the reference's mean.
    volume_low: _Part = 0.5
    volume_high: _Multiple = 2.0
    #: Relative change of the click rate.
    click_rate_change: Positive = 0.25
    #: Rise of the share of rows without a value.
    null_rise: _Part = 0.05
    #: A feature vanished below, and appeared from below, this part of the rows.
    absent_share: _Part = 0.01
    #: A feature that appears is in at least this part of the rows.
    appeared_share: _Part = 0.05
    #: Rise of the share of rows with a value the reference does not know.
    unseen_rise: _Part = 0.05
    #: Cardinality over that expected of the window's rows.
    cardinality_low: _Part = 0.5
    cardinality_high: _Multiple = 2.0
    #: Share of the label's entropy a feature must explain for its signal to be missed.
    min_signal: _Part = 0.005
    #: Signal that is left, over the reference's mean, when it counts as lost.
    signal_lost: _Part = 0.3
    #: Signal over the reference's mean, and its rise as a share of the label's entropy, to count as gained.
    signal_gained: _Multiple = 3.0
    signal_rise: _Part = 0.05
