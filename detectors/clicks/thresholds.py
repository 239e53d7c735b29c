"""Thresholds of the checks on a window of clicks."""

import msgspec

from sparsewatch.schemas.errors import ConfigError


class CheckSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a deviation from the reference is worth a person's time.

    A rule fires where chance is excluded *and* the effect is large enough to matter.
    """

    #: Chance is excluded beyond so many standard deviations; 5 is 1 in 3.5 million a check.
    z: float = 5.0
    #: As `z` for signal, which varies more and must change more to count.
    signal_z: float = 4.0
    #: Rows (with a value) below which a window or a feature is not judged; volume always is.
    min_rows: int = 200
    #: Rows of each label below which signal is not judged.
    min_clicks: int = 20
    #: Volume over the reference's mean.
    volume_low: float = 0.5
    volume_high: float = 2.0
    #: Relative change of the click rate.
    click_rate_change: float = 0.25
    #: Rise of the share of rows without a value.
    null_rise: float = 0.05
    #: A feature vanished below, and appeared from below, this part of the rows.
    absent_share: float = 0.01
    #: A feature that appears is in at least this part of the rows.
    appeared_share: float = 0.05
    #: Rise of the share of rows with a value the reference does not know.
    unseen_rise: float = 0.05
    #: Cardinality over that expected of the window's rows.
    cardinality_low: float = 0.5
    cardinality_high: float = 2.0
    #: Share of the label's entropy a feature must explain for its signal to be missed.
    min_signal: float = 0.005
    #: Signal that is left, over the reference's mean, when it counts as lost.
    signal_lost: float = 0.3
    #: Signal over the reference's mean, and its rise as a share of the label's entropy, to count as gained.
    signal_gained: float = 3.0
    signal_rise: float = 0.05

    def __post_init__(self) -> None:
        shares = ("volume_low", "cardinality_low", "signal_lost", "absent_share", "appeared_share")
        for name in (*shares, "null_rise", "unseen_rise", "min_signal", "signal_rise"):
            _within(name, getattr(self, name), 0.0, 1.0)
        for name in ("volume_high", "cardinality_high", "signal_gained"):
            _within(name, getattr(self, name), 1.0, float("inf"))
        _within("z", self.z, 1.0, 20.0)
        _within("signal_z", self.signal_z, 1.0, 20.0)
        _within("click_rate_change", self.click_rate_change, 0.0, float("inf"))
        _within("min_rows", self.min_rows, 0, float("inf"))
        _within("min_clicks", self.min_clicks, 0, float("inf"))


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low < value < high:
        raise ConfigError(f"checks.{name}: expected a number between {low} and {high}, got {value}")
