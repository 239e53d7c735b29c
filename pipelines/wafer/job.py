"""The wafer job: blocks -> sparse network and novelty detector -> a result per wafer -> alerts, metrics."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import get_args

from sparsewatch.detectors.type_changes import type_findings
from sparsewatch.detectors.wafers.model import WaferModel
from sparsewatch.detectors.wafers.novel_wafers import novel_looking
from sparsewatch.detectors.wafers.thresholds import WaferCheck
from sparsewatch.detectors.wafers.usual_rates import shown_of
from sparsewatch.detectors.wafers.window_counts import WaferCounts, Where, check_wafers
from sparsewatch.pipelines.job.model_in_use import ModelInUse
from sparsewatch.pipelines.job.ready import Prepared, Ready
from sparsewatch.pipelines.wafer.emerging import PatternsView
from sparsewatch.pipelines.wafer.findable import findable_wafers
from sparsewatch.pipelines.wafer.kept_wafers import pane_state
from sparsewatch.pipelines.wafer.learning import LearnedRates, learnable
from sparsewatch.pipelines.wafer.pattern_book import PatternTopic
from sparsewatch.pipelines.wafer.settings import PatternSettings, WaferJob
from sparsewatch.schemas import metrics
from sparsewatch.schemas.alerts import MetricSample
from sparsewatch.schemas.block import EVENT_TIME_US, OFFSET, PARTITION, ROW, Block
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.wafers import ATTRIBUTES, MISFIT, Verdict, WaferResult
from sparsewatch.transforms.window.measure import Conclusion, Window
from sparsewatch.transforms.window.recognise_wafers import Recognised, RecogniseWafers
from sparsewatch.transforms.window.types import mistyped_metrics, mistyped_summary

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadForJob:
    """Loads a version of the wafer model and checks that it fits the job."""

    false_novel_rate: float | None
    #: Patterns that the job states rates of.
    patterns: tuple[str, ...]

    def __call__(self, version: Path) -> WaferModel:
        """The model of a version's folder.

        Raises:
            ConfigError: If it does not know one of the patterns, or cannot keep to the rate.
            ModelError: If it is missing or damaged, or its smoke scores differ.
        """
        model = WaferModel.load(version)
        if unknown := sorted(set(self.patterns) - set(model.classes)):
            raise ConfigError(
                f"wafers.thresholds.expected_rates: expected patterns of the model {model.classes}, got {unknown}"
            )
        return model if self.false_novel_rate is None else model.with_false_novel_rate(self.false_novel_rate)


#: Columns of a verdict in a result.
_VERDICT = ["verdict", "pattern", "parts", "probability", "novelty", "p_value", "defects", "outside"]


@cache
def _warn_of_misfit(model: str, inputs: str) -> None:
    """Say once that wafers come as the model knows none."""
    _logger.warning(
        "the model %s knows wafers given as %s, and wafers come that are not: they get the verdict %s; give them a job "
        "and a model of their own (docs/wafers.md)",
        *(model, inputs, MISFIT),
    )


@dataclass(frozen=True)
class RecogniseBlock:
    """Verdicts of a whole block by one model."""

    model: ModelInUse[WaferModel]
    #: Wafers of at most this p-value are saved for the search over several windows.
    level: float = 0.0

    def __call__(self, block: Block) -> Recognised:
        """See `sparsewatch.transforms.window.recognise_wafers.Recognise`."""
        model = self.model.now()
        verdicts, rate = model.recognise(block.rows), model.false_novel_rate
        if MISFIT in verdicts["verdict"].to_pylist():
            _warn_of_misfit(model.id, model.inputs)
        sources = block.sources
        keep = ["wafer_id", "lot", "step", "tool", PARTITION, OFFSET, ROW, EVENT_TIME_US]
        events = block.rows.select(keep).to_pylist()
        columns = verdicts.select(_VERDICT).to_pylist()
        results = [
            WaferResult(
                id=f"{sources[event[PARTITION]]}/{event[PARTITION]}/{event[OFFSET]}/{event[ROW]}",
                wafer_id=event["wafer_id"],
                lot=event["lot"] or "",
                step=event["step"] or "",
                tool=event["tool"] or "",
                event_time_us=event[EVENT_TIME_US],
                model=model.id,
                false_novel_rate=rate,
                **verdict,
            )
            for event, verdict in zip(events, columns, strict=True)
        ]
        return Recognised(results, novel_looking(block.rows, results, verdicts["embedding"], model.space, self.level))


@dataclass(frozen=True)
class ConcludeWafers:
    """Closes a window of wafers."""

    check: WaferCheck
    normal: str
    #: Whether it learns of its windows what is usual.
    learns: bool = False
    results_per_row: bool = True

    def __call__(self, window: Window, measures: Sequence[bytes]) -> Conclusion:
        """See `sparsewatch.transforms.window.measure.Conclude`."""
        del window
        counts = WaferCounts()
        for data in measures:
            counts.merge(WaferCounts.from_bytes(data))
        types = counts.types()
        changes = type_findings(
            types,
            dict.fromkeys(ATTRIBUTES, "str"),
            least_share=self.check.mistyped_share,
            least_cells=self.check.mistyped_cells,
        )
        where = Where.of(counts, self.normal)
        findings = [*changes, *check_wafers(counts, self.check, self.normal, where)]
        told, state = learnable(findings, shown_of(counts), where.places) if self.learns else (findings, None)
        return Conclusion(
            counts.wafers,
            counts.summary() | {"mistyped": mistyped_summary(types)},
            told,
            [*wafer_metrics(counts), *mistyped_metrics(types, ATTRIBUTES)],
            pane_state(counts),
            learnable=state,
        )


def wafer_metrics(counts: WaferCounts) -> list[MetricSample]:
    """Samples of one window of wafers."""
    verdicts, patterns = get_args(Verdict), sorted(counts.patterns.items())
    return [
        *(metrics.WINDOW_WAFERS.sample(counts.verdicts.get(verdict, 0), verdict=verdict) for verdict in verdicts),
        *(metrics.PATTERN_WAFERS.sample(number, pattern=pattern) for pattern, number in patterns),
        metrics.DEFECTS_OUTSIDE.sample(counts.outside),
        metrics.DEFECTS_OUTSIDE_RATIO.sample(counts.outside_share),
    ]


def prepare_wafers(job: WaferJob, made: Ready) -> Prepared:
    """See `sparsewatch.pipelines.job.ready.prepare`."""
    check, patterns = job.wafers.thresholds.within(job.allowance), job.wafers.patterns.within(job.allowance)
    load = LoadForJob(job.wafers.false_novel_rate, tuple(sorted(check.expected_rates)))
    model = ModelInUse.at(job.wafers.model, load)
    found = model.check()
    rate = found.false_novel_rate if check.false_novel_rate is None else check.false_novel_rate
    recognise = RecogniseBlock(model, level=patterns.level if patterns.windows else 0.0)
    return Prepared(
        events="Wafers",
        measure="RecogniseWafers" >> RecogniseWafers(job.name, job.kafka, made.topics.named("wafers"), recognise),
        conclude=ConcludeWafers(check, found.normal or "", job.learns),
        look_back=_patterns_view(job, made, model, patterns) if patterns.windows else None,
        learning=LearnedRates(job.wafers.learning, check, found.normal or "") if job.learns else None,
        findable=tuple(findable_wafers(rate, check)),
    )


def _patterns_view(
    job: WaferJob, made: Ready, model: ModelInUse[WaferModel], patterns: PatternSettings
) -> PatternsView:
    topic = made.topics.named("patterns")
    return PatternsView(job.name, topic, patterns, PatternTopic(job.kafka, topic), model.now)
