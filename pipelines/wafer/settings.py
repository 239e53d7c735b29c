"""Settings of the wafer job, `kind = "wafer"`, and what follows from them."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import msgspec

from sparsewatch.detectors.artefacts.artefact import read_manifest
from sparsewatch.detectors.artefacts.versions import resolve_version
from sparsewatch.detectors.budget.spending import Allowance
from sparsewatch.detectors.sparse_net.points import validate_wafers
from sparsewatch.detectors.wafers.thresholds import WaferCheck
from sparsewatch.pipelines.job.kind import Job, Learned, SideTopic
from sparsewatch.pipelines.job.learning import LearningSettings
from sparsewatch.schemas.errors import ConfigError, SettingError
from sparsewatch.schemas.settings import AlarmRate, Positive, Range, Settings
from sparsewatch.schemas.wafers import ATTRIBUTES, WAFER_COLUMNS
from sparsewatch.transforms.codecs.events import EventColumns

#: Most bytes of an emerging pattern's record: embeddings of its members and a few maps.
PATTERN_RECORD_BYTES = 4 << 20


#: Without a budget.
_FALSE_PATTERNS_PER_DAY = 1.0


class PatternSettings(Settings, frozen=True, kw_only=True):
    """How emerging patterns are looked for; see docs/patterns.md."""

    #: Windows that are searched for patterns, including the newest; 0 searches none.
    windows: Annotated[int, Range(at_least=0, at_most=1_000)] = 20
    #: Windows before them whose wafers are background, besides the model's calibration wafers.
    history: Annotated[int, Range(at_least=0, at_most=10_000)] = 180
    #: A wafer is a candidate for a pattern if its p-value is at most this.
    level: Annotated[float, Range(above=0, at_most=1)] = 0.1
    #: Mean number of false patterns per day that known wafers may raise; by the job's budget if absent.
    false_patterns_per_day: Positive | None = None
    #: Fewest wafers and lots of a pattern.
    min_wafers: Annotated[int, Range(at_least=3, at_most=1_000)] = 4
    min_lots: Annotated[int, Range(at_least=1, at_most=1_000)] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.windows + self.history == 1:
            raise SettingError("windows: expected 0, or at least 2 together with history")

    @property
    def of_patterns(self) -> float:
        """False patterns per day."""
        return _FALSE_PATTERNS_PER_DAY if self.false_patterns_per_day is None else self.false_patterns_per_day

    def within(self, allowance: Allowance) -> "PatternSettings":
        """As strict as a job's budget asks where nothing else is set.

        Args:
            allowance: With the family `patterns`, if any are searched.
        """
        if self.false_patterns_per_day is not None or "patterns" not in allowance.tests:
            return self
        return msgspec.structs.replace(
            self, false_patterns_per_day=min(_FALSE_PATTERNS_PER_DAY, allowance.share("patterns"))
        )


class WaferSettings(Settings, frozen=True, kw_only=True):
    """Recognition of wafer patterns."""

    #: Folder of a model made by `sparsewatch train wafer`.
    model: str
    #: Share of known wafers that may be called novel; the model's own rate if absent.
    false_novel_rate: AlarmRate | None = None
    thresholds: WaferCheck = WaferCheck()
    patterns: PatternSettings = PatternSettings()
    #: What it learns of its own windows beside the model.
    learning: LearningSettings = LearningSettings()


class WaferJob(Job, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="wafer"):
    """A wafer job. Events have the columns of `sparsewatch.schemas.wafers.WAFER_COLUMNS`."""

    prepared_by: ClassVar[str] = "sparsewatch.pipelines.wafer.job:prepare_wafers"
    drafted_by: ClassVar[str] = "sparsewatch.pipelines.wafer.draft:draft_wafers"

    learns_beside_model: ClassVar[bool] = True

    wafers: WaferSettings

    @property
    def learns(self) -> bool:
        """Whether it learns what share of wafers usually shows each pattern, beside its model."""
        return self.wafers.learning.enabled

    def learned_subjects(self, columns: Sequence[str]) -> tuple[str, ...]:
        """See `Job`: all wafers, and the patterns that the model knows."""
        del columns
        meta = read_manifest(resolve_version(self.wafers.model))[0].meta
        return tuple(dict.fromkeys(("wafers", *meta["outputs"], *meta["novelty"]["patterns"])))

    def check(self) -> None:
        """See `Job`."""
        if self.source.time_column in WAFER_COLUMNS.names:
            raise ConfigError(f"source.time_column: {self.source.time_column!r} is another column of a wafer event")

    def event_columns(self) -> EventColumns:
        """See `Job`."""
        return EventColumns(
            [field.with_nullable(True) for field in WAFER_COLUMNS],
            required=tuple(f.name for f in WAFER_COLUMNS if not f.nullable and f.name not in ATTRIBUTES),
            check=validate_wafers,
            # Not the defects: a list that cannot be read must never pass for a clean wafer.
            lenient=ATTRIBUTES,
        )

    def learned(self) -> list[Learned]:
        """See `Job`."""
        return [Learned("wafer model", "wafers.model", self.wafers.model, "sparsewatch train wafer FILE")]

    def tests(self) -> dict[str, int]:
        """See `Job`."""
        patterns = {"patterns": 1} if self.wafers.patterns.windows else {}
        # One for unknown patterns, and one for all shares that are compared with what is learned.
        looks = 1 + len(self.wafers.thresholds.expected_rates) + self.learns
        wafers = {"wafers": looks, "tools": 1}
        return {**super().tests(), **wafers, **patterns}

    def side_topics(self) -> list[SideTopic]:
        """See `Job`."""
        results = [SideTopic("wafers"), *([SideTopic("baseline", state=True)] if self.learns else [])]
        if not self.wafers.patterns.windows:
            return results
        patterns = SideTopic("patterns", state=True, max_record_bytes=PATTERN_RECORD_BYTES)
        return [*results, patterns, SideTopic("panes", state=True)]
