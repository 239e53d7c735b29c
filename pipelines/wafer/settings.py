"""Settings of the wafer job, `kind = "wafer"`, and what follows from them."""

from typing import Any, ClassVar

import msgspec

from sparsewatch.detectors.sparse_net.points import validate_wafers
from sparsewatch.pipelines.job.kind import Job, SideTopic
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.wafers import WAFER_COLUMNS
from sparsewatch.transforms.codecs.events import EventColumns

#: Most bytes of an emerging pattern's record: embeddings of its members and a few maps.
PATTERN_RECORD_BYTES = 4 << 20


class PatternSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How emerging patterns are looked for; see docs/patterns.md."""

    #: Windows of wafers that a look goes over, the newest among them; 0 looks for none.
    windows: int = 20
    #: Windows before them whose wafers are taken for known, besides the model's calibration wafers.
    history: int = 180
    #: A wafer is looked at if its p-value is at most this.
    level: float = 0.1
    #: False patterns that known wafers may raise a day, as a mean.
    false_patterns_per_day: float = 1.0
    #: Fewest wafers and lots of a pattern.
    min_wafers: int = 4
    min_lots: int = 2


class WaferSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Recognition of wafer patterns."""

    #: Folder of a model made by `sparsewatch train wafer`.
    model: str
    #: Share of known wafers that may be called novel; the model's own rate if absent.
    false_novel_rate: float | None = None
    #: Thresholds by name, handed to the wafer check.
    thresholds: dict[str, Any] = {}
    patterns: PatternSettings = PatternSettings()


class WaferJob(Job, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="wafer"):
    """A wafer job. Events have the columns of `sparsewatch.schemas.wafers.WAFER_COLUMNS`."""

    prepared_by: ClassVar[str] = "sparsewatch.pipelines.wafer.job:prepare_wafers"

    wafers: WaferSettings

    def check(self) -> None:
        """See `Job`."""
        if self.source.time_column in WAFER_COLUMNS.names:
            raise ConfigError(f"source.time_column: {self.source.time_column!r} is another column of a wafer event")
        patterns = self.wafers.patterns
        for key, number, least, most in (
            ("windows", patterns.windows, 0, 1_000),
            ("history", patterns.history, 0, 10_000),
            ("min_wafers", patterns.min_wafers, 3, 1_000),
            ("min_lots", patterns.min_lots, 1, 1_000),
        ):
            if not least <= number <= most:
                raise ConfigError(f"wafers.patterns.{key}: expected {least} to {most}, got {number}")
        if not 0 < patterns.level <= 1:
            raise ConfigError(f"wafers.patterns.level: expected a share above 0 and up to 1, got {patterns.level}")
        if not (rate := patterns.false_patterns_per_day) > 0:
            raise ConfigError(f"wafers.patterns.false_patterns_per_day: expected a number above 0, got {rate}")
        if patterns.windows + patterns.history == 1:
            raise ConfigError("wafers.patterns.windows: expected 0, or at least 2 together with history")

    def event_columns(self) -> EventColumns:
        """See `Job`."""
        return EventColumns(
            [field.with_nullable(True) for field in WAFER_COLUMNS],
            required=tuple(field.name for field in WAFER_COLUMNS if not field.nullable),
            check=validate_wafers,
        )

    def side_topics(self) -> list[SideTopic]:
        """See `Job`."""
        results = [SideTopic("wafers")]
        if not self.wafers.patterns.windows:
            return results
        patterns = SideTopic("patterns", state=True, max_record_bytes=PATTERN_RECORD_BYTES)
        return [*results, patterns, SideTopic("panes", state=True)]
