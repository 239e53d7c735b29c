"""Thresholds of the checks on a window of clicks, and on its ranking."""

from typing import Annotated

import msgspec

from sparsewatch.detectors.budget.spending import Allowance
from sparsewatch.detectors.outrank.leak_settings import LeakSettings
from sparsewatch.schemas.errors import SettingError
from sparsewatch.schemas.settings import Count, Positive, Range, Settings, Share
from sparsewatch.schemas.units import DAY_US

#: Families of tests on the stream, one test a window each, and on features, one a feature.
STREAM_FAMILIES = ("volume", "click_rate", "repeated_rows", "slow_changes")
FEATURE_FAMILIES = ("missing_values", "unseen_values", "cardinality", "value_shares", "signal", "links")
#: Of the calibration of a prediction, where one is named.
CALIBRATION = "calibration"
#: Without a budget; no budget allows more false alarms of rankings and over many windows than so.
_STRICT_Z, _SIGNAL_Z, _FALSE_ALARMS_A_DAY = 5.0, 4.0, 0.01
_Rows = Annotated[int, Range(at_least=1, at_most=1 << 40)]
_Part = Annotated[float, Range(above=0, below=1)]
_Multiple = Annotated[float, Range(above=1)]
_Deviations = Annotated[float, Range(above=1, below=20)]
_SlowStep = Annotated[float, Range(at_least=0, at_most=0.5)]
_FalseAlarms = Annotated[float, Range(at_least=1e-6, at_most=100)]


class ClickThresholds(Settings, frozen=True, kw_only=True):
    """When a deviation from the reference is worth a person's time.

    A rule fires where chance is excluded *and* the effect is large enough to matter.
    """

    #: Chance is excluded above so many standard deviations; by the job's budget if absent (see `within`).
    z: _Deviations | None = None
    #: As `z` for signal, which varies more and must change more to count.
    signal_z: _Deviations | None = None
    #: As `z` for volume and click rate; `z` if that is set.
    stream_z: _Deviations | None = None
    #: Rows (with a value) below which a window or a feature is not judged; volume is always judged.
    min_rows: Count = 200
    #: Rows of each label below which signal is not judged.
    min_clicks: Count = 20
    #: Volume, divided by the reference's mean.
    volume_low: _Part = 0.85
    volume_high: _Multiple = 1.25
    #: Relative change of the click rate.
    click_rate_change: Positive = 0.25
    #: As `z` for the calibration of a prediction, and relative change of the clicks that it leads to expect.
    calibration_z: _Deviations | None = None
    calibration_change: Positive = 0.25
    #: A column's type has changed from this share of its values, and from so many cells; needs no reference.
    mistyped_share: _Part = 0.05
    mistyped_cells: Count = 10
    #: Rise of the share of rows without a value.
    null_rise: _Part = 0.05
    #: A feature vanished below, and appeared from below, this part of the rows.
    absent_share: _Part = 0.01
    #: A feature that appears is in at least this part of the rows.
    appeared_share: _Part = 0.05
    #: Rise of the share of rows with a value that is not in the reference.
    unseen_rise: _Part = 0.05
    #: Share of the rows with a value that moved from some known values to others.
    values_moved: _Part = 0.05
    #: Share of the rows with a number that moved across a border.
    numbers_moved: _Part = 0.05
    #: A known value of at least this share, in every window of the reference, vanished at this part of the least.
    value_share: _Part = 0.02
    value_left: _Part = 0.05
    #: Rise of the share of rows that repeat another one of their window in all columns.
    rows_duplicated: _Part = 0.015
    #: Rise of the share of rows in which a feature has another value than that which a second one says.
    links_broken: _Part = 0.08
    #: Cardinality, divided by that expected of the window's rows.
    cardinality_low: _Part = 0.5
    cardinality_high: _Multiple = 2.0
    #: Share of the label's entropy that a feature must explain in the reference before its signal can count as lost.
    min_signal: _Part = 0.005
    #: Signal, divided by the reference's mean, below which it counts as lost.
    signal_lost: _Part = 0.3
    #: Signal, divided by the reference's mean, and its rise as a share of the label's entropy, to count as gained.
    signal_gained: _Multiple = 3.0
    signal_rise: _Part = 0.05
    #: Over many windows: least relative change of the click rate, and least rise of the share of rows without a value,
    #: that are looked for; 0 for none.
    slow_click_rate: _SlowStep = 0.03
    slow_nulls: _SlowStep = 0.02
    #: Changes over many windows that chance alone raises, of either rule and of all features together, a day; by the
    #: job's budget if absent.
    slow_false_alarms_a_day: _FalseAlarms | None = None

    def slow_alpha(self, length_us: int) -> float:
        """Probability of a false alarm over many windows, for each window of this length."""
        return _alpha(self.slow_false_alarms_a_day, length_us)

    @property
    def of_features(self) -> float:
        """Standard deviations above which chance is excluded of a feature."""
        return _STRICT_Z if self.z is None else self.z

    @property
    def of_signal(self) -> float:
        """The same of its signal."""
        return _SIGNAL_Z if self.signal_z is None else self.signal_z

    @property
    def of_stream(self) -> float:
        """The same of volume and click rate."""
        return self.of_features if self.stream_z is None else self.stream_z

    @property
    def of_calibration(self) -> float:
        """The same of the calibration of a prediction."""
        return self.of_stream if self.calibration_z is None else self.calibration_z

    def within(self, allowance: Allowance) -> "ClickThresholds":
        """As strict as a job's budget asks where nothing else is set.

        Args:
            allowance: With `STREAM_FAMILIES` and `FEATURE_FAMILIES`; those of either are equally strict.
        """
        slow = min(_FALSE_ALARMS_A_DAY, allowance.share("slow_changes"))
        return msgspec.structs.replace(
            self,
            z=allowance.z("missing_values") if self.z is None else self.z,
            signal_z=allowance.z("signal") if self.signal_z is None else self.signal_z,
            stream_z=(allowance.z("volume") if self.z is None else self.z) if self.stream_z is None else self.stream_z,
            calibration_z=allowance.z(CALIBRATION)
            if self.calibration_z is None and self.z is None and CALIBRATION in allowance.tests
            else self.calibration_z,
            slow_false_alarms_a_day=slow if self.slow_false_alarms_a_day is None else self.slow_false_alarms_a_day,
        )


def _alpha(false_alarms_a_day: float | None, length_us: int) -> float:
    a_day = _FALSE_ALARMS_A_DAY if false_alarms_a_day is None else false_alarms_a_day
    return min(max(a_day * length_us / DAY_US, 1e-12), 0.5)


class RankingThresholds(Settings, frozen=True, kw_only=True):
    """When drift or a suspicion is worth a person's time."""

    #: Windows a day, on average, in which chance alone raises `rank_drift`; the same for `leakage_suspected`. By the
    #: job's budget if absent.
    false_alarms_a_day: _FalseAlarms | None = None
    #: Rows, and rows of each label, below which a window's ranking is not compared.
    min_rows: _Rows = 1_000
    min_label_rows: _Rows = 20
    #: Windows without a finding, among those before, that a comparison needs.
    min_panes: Annotated[int, Range(at_least=2, at_most=10_000)] = 3
    #: Change of the share of the label's entropy that matters whatever the share was.
    change: Annotated[float, Range(at_least=1e-6, at_most=1)] = 0.05
    #: Ratio of the share now and before that matters, and the least change that it must come with.
    factor: Annotated[float, Range(at_least=1, at_most=1e6)] = 3.0
    least_change: Share = 0.005
    #: A change must exceed the spread between the windows before by so many standard deviations.
    spread_z: Annotated[float, Range(at_least=1, at_most=20)] = 4.0
    #: Redundancy from which two features are twins.
    twins: Annotated[float, Range(at_least=0.01, at_most=1)] = 0.9
    #: Of these, `alpha` follows from `false_alarms_a_day`.
    leakage: LeakSettings = LeakSettings()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.leakage.alpha != LeakSettings().alpha:
            raise SettingError("leakage.alpha: expected no value here, it follows from false_alarms_a_day")

    def alpha(self, length_us: int) -> float:
        """Probability of a false alarm of one rule in a window of this length."""
        return _alpha(self.false_alarms_a_day, length_us)

    def within(self, allowance: Allowance) -> "RankingThresholds":
        """As strict as a job's budget asks where nothing else is set.

        Args:
            allowance: With the family `rank_drift`, and `leakage`, if rankings are compared.
        """
        if self.false_alarms_a_day is not None or "rank_drift" not in allowance.tests:
            return self
        return msgspec.structs.replace(self, false_alarms_a_day=min(_FALSE_ALARMS_A_DAY, allowance.share("rank_drift")))

    def leak_settings(self, length_us: int) -> LeakSettings:
        """Settings of the search for leaks in a window of this length."""
        return msgspec.structs.replace(self.leakage, alpha=self.alpha(length_us))

    def too_few(self, rows: int, clicks: int) -> str | None:
        """Why a window's ranking is not compared; None if it has enough rows."""
        if rows < self.min_rows:
            return f"{rows} rows, {self.min_rows} are needed"
        if (rare := min(clicks, rows - clicks)) < self.min_label_rows:
            return f"{rare} rows of the rarer label, {self.min_label_rows} are needed"
        return None
