"""Settings of the click-through job, `kind = "ctr"`, and what follows from them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from sparsewatch.detectors.clicks.calibration_checks import TESTS
from sparsewatch.detectors.clicks.thresholds import (
    CALIBRATION,
    FEATURE_FAMILIES,
    STREAM_FAMILIES,
    ClickThresholds,
    RankingThresholds,
)
from sparsewatch.detectors.counts.feature_counts import Bits
from sparsewatch.detectors.counts.number_bins import BITS, Counted, NumberBins, Numbers
from sparsewatch.detectors.counts.row_sample import DEFAULT_SAMPLE_ROWS, sampled_rows
from sparsewatch.pipelines.job.kind import Job, Learned, SideTopic
from sparsewatch.pipelines.job.learning import LearningSettings
from sparsewatch.pipelines.rows.settings import RowSettings, check_scoring_settings, learned_rows, row_tests, row_topics
from sparsewatch.schemas.errors import ConfigError, SettingError
from sparsewatch.schemas.jobs import ColumnType, check_columns
from sparsewatch.schemas.settings import Range, Settings, nearest
from sparsewatch.transforms.codecs.events import EventColumns, named_fields


class CheckSettings(Settings, frozen=True, kw_only=True):
    """The click-through job's reference and what is checked against it; see docs/alerts.md."""

    #: Folder of a reference made by `sparsewatch train reference`.
    reference: str | None = None
    #: Rows of a window sampled to tell in which rows a change is; 0 for none. Fewer of more than 500 columns.
    sample_rows: Annotated[int, Range(at_least=0, at_most=1 << 16)] = DEFAULT_SAMPLE_ROWS
    #: Ranked column, of probabilities, that predicts the label: its calibration is checked.
    prediction: str | None = None
    learning: LearningSettings = LearningSettings()
    thresholds: ClickThresholds = ClickThresholds()


class RankingSettings(Settings, frozen=True, kw_only=True):
    """What is computed of features besides their ranking in a window; see docs/ranking.md."""

    #: Windows of the sliding ranking and its drift, including the newest; 0 for none.
    panes: Annotated[int, Range(at_least=0, at_most=10_000)] = 0
    #: Rows of a window sampled for what needs whole rows: combinations, twins, leakage; 0 for none of these.
    sample_rows: Annotated[int, Range(at_least=0, at_most=1 << 20)] = 0
    #: Features per combination; 1 for none.
    interactions: Annotated[int, Range(at_least=1, at_most=3)] = 1
    #: Combinations per window; over many windows each has its turn.
    max_combinations: Annotated[int, Range(at_least=1, at_most=1 << 20)] = 256
    #: Distinct values of a feature that are counted exactly.
    max_values: Annotated[int, Range(at_least=1_024, at_most=1 << 24)] = 65_536
    #: How float columns are counted and ranked: numbers in bins, or each value as a name.
    numbers: Counted = "bins"
    #: Integer columns whose values are amounts, not names: counted as float columns are.
    number_columns: tuple[str, ...] = ()
    #: Binary digits that tell bins apart: a bin is at most 2**-number_bits of its values wide.
    number_bits: Bits = BITS
    #: Bytes of each feature, and its score per byte.
    costs: bool = False
    #: Least, greatest and mean value of numeric features, and quantiles.
    quantiles: bool = False
    thresholds: RankingThresholds = RankingThresholds()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.panes == 1:
            raise SettingError("panes: expected 0 or at least 2, got 1: a single window is no sliding view")
        if self.interactions > 1 and not self.sample_rows:
            raise SettingError("interactions: expected 1, combinations need whole rows, but sample_rows is 0")
        if self.number_columns and self.numbers == "values":
            raise SettingError('number_columns: expected none where numbers = "values", which counts all by value')

    def number_bins_of(self, features: Sequence[str], declared: Mapping[str, str]) -> NumberBins:
        """Features that are counted in bins.

        Args:
            features: Those that are counted.
            declared: Types of columns.
        """
        floats = [name for name, kind in declared.items() if kind == "float"]
        return self.counted_numbers.bins(features, floats)

    @property
    def counted_numbers(self) -> Numbers:
        """How numbers are counted."""
        return Numbers(self.numbers, self.number_columns, self.number_bits)

    @property
    def needs_rows(self) -> bool:
        """Whether anything needs whole rows, not only counts."""
        return bool(self.sample_rows or self.costs or self.quantiles)


class CtrJob(Job, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="ctr"):
    """A click-through job."""

    prepared_by: ClassVar[str] = "sparsewatch.pipelines.ctr.job:prepare_clicks"
    drafted_by: ClassVar[str] = "sparsewatch.pipelines.ctr.draft:draft_clicks"
    scores_rows: ClassVar[bool] = True

    #: Type of each column of an event, but the time column.
    columns: dict[str, ColumnType]
    #: Column of clicks, 0 or 1.
    label: str
    #: Columns to rank; all but label and time if absent.
    features: list[str] | None = None
    ranking: RankingSettings = RankingSettings()
    checks: CheckSettings = CheckSettings()
    rows: RowSettings = RowSettings()

    @property
    def learns(self) -> bool:
        """Whether it learns its baseline: it is given none."""
        return self.checks.reference is None and self.checks.learning.enabled

    @property
    def ranked_features(self) -> tuple[str, ...]:
        """Columns to rank, in a fixed order."""
        if self.features is not None:
            return tuple(self.features)
        return tuple(c for c in self.columns if c not in (self.label, self.source.time_column))

    @property
    def counted_numbers(self) -> Numbers:
        """See `Job`."""
        return self.ranking.counted_numbers

    @property
    def number_bins(self) -> NumberBins:
        """Features that are counted in bins."""
        return self.ranking.number_bins_of(self.ranked_features, self.columns)

    def learned(self) -> list[Learned]:
        """See `Job`."""
        made_by = "sparsewatch train reference JOB.toml FILE"
        named = (
            [] if (path := self.checks.reference) is None else [Learned("reference", "checks.reference", path, made_by)]
        )
        return named + learned_rows(self.rows)

    @property
    def sample_rows(self) -> int:
        """Rows of a window sampled to tell in which rows a change is; 0 where nothing is checked."""
        if not (self.checks.reference or self.learns) or not self.checks.sample_rows:
            return 0
        return sampled_rows(self.checks.sample_rows, len(self.ranked_features) + 1)

    @property
    def scored_columns(self) -> tuple[str, ...]:
        """See `Job`."""
        return self.ranked_features

    def check(self) -> None:
        """See `Job`."""
        if self.label not in self.columns:
            raise ConfigError(
                f"label: expected one of the columns {sorted(self.columns)}, "
                f"got {self.label!r}{nearest(self.label, self.columns)}"
            )
        if self.columns[self.label] != "int":
            raise ConfigError(
                f"label: expected a column of type 'int' (0 or 1), {self.label!r} is {self.columns[self.label]!r}"
            )
        check_columns(self.source.time_column, self.columns)
        if unknown := sorted(set(self.ranked_features) - set(self.columns)):
            raise ConfigError(f"features: expected names of columns, got {unknown}")
        if self.label in self.ranked_features or len(set(self.ranked_features)) < len(self.ranked_features):
            raise ConfigError(f"features: expected each column once, without the label, got {self.features}")
        if not self.ranked_features:
            raise ConfigError("columns: expected at least one feature besides the label")
        counted = {name for name in self.ranked_features if self.columns[name] in ("int", "float")}
        if unknown := sorted(set(self.ranking.number_columns) - counted):
            raise ConfigError(f"ranking.number_columns: expected ranked columns of type 'int', got {unknown}")
        if (named := self.checks.prediction) is not None and (
            named not in self.ranked_features or self.columns[named] != "float"
        ):
            raise ConfigError(
                f"checks.prediction: expected a ranked column of type 'float', got {named!r}"
                f"{nearest(named, self.ranked_features)}"
            )
        check_scoring_settings(self.rows, self.columns)

    def event_columns(self) -> EventColumns:
        """See `Job`."""
        return EventColumns(
            named_fields(self.columns),
            required=(self.label,),
            label=self.label,
            lenient=tuple(name for name in self.columns if name != self.label),
        )

    def tests(self) -> dict[str, int]:
        """See `Job`."""
        on_ranking = {"rank_drift": 1} if self.ranking.panes else {}
        on_ranking |= {"leakage": 1} if self.ranking.sample_rows else {}
        on_prediction = {} if self.checks.prediction is None else {CALIBRATION: TESTS}
        return {
            **super().tests(),
            **dict.fromkeys(STREAM_FAMILIES, 1),
            **dict.fromkeys(FEATURE_FAMILIES, len(self.ranked_features)),
            **on_ranking,
            **on_prediction,
            **row_tests(self.rows),
        }

    def side_topics(self) -> list[SideTopic]:
        """See `Job`."""
        panes = [SideTopic("panes", state=True)] if self.ranking.panes else []
        baseline = [SideTopic("baseline", state=True)] if self.learns else []
        return row_topics(self.rows) + panes + baseline
