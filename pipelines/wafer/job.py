"""The wafer job: blocks -> sparse network and novelty detector -> a result a wafer -> alerts, metrics."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam

from sparsewatch.detectors.artefacts.versions import resolve_version
from sparsewatch.detectors.sparse_net.points import validate_wafers
from sparsewatch.detectors.wafers.model import WaferModel
from sparsewatch.detectors.wafers.novel_wafers import novel_looking
from sparsewatch.detectors.wafers.window_counts import WaferCheck, WaferCounts, check_wafers
from sparsewatch.pipelines.job.closing import close_books, fixed_windows
from sparsewatch.pipelines.job.live_model import LiveModel
from sparsewatch.pipelines.job.thresholds import thresholds_of
from sparsewatch.pipelines.job.topics import topics_of
from sparsewatch.pipelines.patterns.book import PatternTopic
from sparsewatch.pipelines.wafer.emerging import PatternsView
from sparsewatch.pipelines.wafer.kept_wafers import pane_state
from sparsewatch.schemas.block import EVENT_TIME_US, OFFSET, PARTITION, ROW, Block
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.jobs import WaferJob
from sparsewatch.schemas.metrics import MetricSample
from sparsewatch.schemas.wafers import WaferResult
from sparsewatch.transforms.codecs.events import event_schema
from sparsewatch.transforms.kafka.source import ReadKafka, ReadSpec
from sparsewatch.transforms.window.close_windows import Conclusion, Window
from sparsewatch.transforms.window.recognise_wafers import Recognised, RecogniseWafers


@dataclass(frozen=True)
class LoadForJob:
    """Loads a version of the wafer model and holds it against what a job asks of it; a process loads it once."""

    false_novel_rate: float | None
    #: Patterns that the job states rates of.
    patterns: tuple[str, ...]

    def __call__(self, version: Path) -> WaferModel:
        """The model of a version's folder.

        Raises:
            ConfigError: If it does not know one of the patterns, or cannot keep to the rate.
            ModelError: If it is missing or damaged, or its smoke scores differ.
        """
        return _loaded(version, self)


@functools.lru_cache(maxsize=2)
def _loaded(version: Path, asked: LoadForJob) -> WaferModel:
    model = WaferModel.load(version)
    if unknown := sorted(set(asked.patterns) - set(model.classes)):
        raise ConfigError(
            f"wafers.thresholds.expected_rates: expected patterns of the model {model.classes}, got {unknown}"
        )
    return model if asked.false_novel_rate is None else model.with_false_novel_rate(asked.false_novel_rate)


@functools.lru_cache(maxsize=4)
def _model(path: str, load: LoadForJob) -> LiveModel[WaferModel]:
    return LiveModel(path, load)


#: What a result states of a verdict.
_TOLD = ["verdict", "pattern", "parts", "probability", "novelty", "p_value", "defects"]


@dataclass(frozen=True)
class CurrentModel:
    """The model a process recognises wafers with now."""

    model: str
    load: LoadForJob

    def __call__(self) -> WaferModel:
        """The newest version that could be taken."""
        return _model(self.model, self.load).current()


@dataclass(frozen=True)
class RecogniseBlock:
    """Verdicts of a block by one model whole; the model is a process's own and follows `latest`."""

    model: str
    load: LoadForJob
    #: Wafers of at most this p-value are kept for a look over several windows.
    level: float = 0.0

    def __call__(self, block: Block) -> Recognised:
        """See `sparsewatch.transforms.window.recognise_wafers.Recognise`."""
        model = CurrentModel(self.model, self.load)()
        verdicts, rate = model.recognise(block.rows), model.false_novel_rate
        topic = block.spans[0].topic
        keep = ["wafer_id", "lot", "step", "tool", PARTITION, OFFSET, ROW, EVENT_TIME_US]
        events = block.rows.select(keep).to_pylist()
        said = verdicts.select(_TOLD).to_pylist()
        results = [
            WaferResult(
                id=f"{topic}/{event[PARTITION]}/{event[OFFSET]}/{event[ROW]}",
                wafer_id=event["wafer_id"],
                lot=event["lot"],
                step=event["step"],
                tool=event["tool"],
                event_time_us=event[EVENT_TIME_US],
                model=model.id,
                false_novel_rate=rate,
                **verdict,
            )
            for event, verdict in zip(events, said, strict=True)
        ]
        return Recognised(results, novel_looking(block.rows, results, verdicts["embedding"], model.space, self.level))


@dataclass(frozen=True)
class ConcludeWafers:
    """Closes a window of wafers."""

    check: WaferCheck
    normal: str
    results_per_row: bool = True

    def __call__(self, window: Window, measures: Sequence[bytes]) -> Conclusion:
        """See `sparsewatch.transforms.window.close_windows.Conclude`."""
        del window
        counts = WaferCounts()
        for data in measures:
            counts.merge(WaferCounts.from_bytes(data))
        findings = check_wafers(counts, self.check, self.normal)
        return Conclusion(counts.wafers, counts.summary(), findings, wafer_metrics(counts), pane_state(counts))


def wafer_metrics(counts: WaferCounts) -> list[MetricSample]:
    """Samples of one window of wafers."""
    samples = [
        MetricSample(
            name="sparsewatch_window_wafers",
            kind="gauge",
            help="Wafers of the last closed window, by verdict.",
            value=counts.verdicts.get(verdict, 0),
            labels={"verdict": verdict},
        )
        for verdict in ("known", "normal", "novel")
    ]
    samples += [
        MetricSample(
            name="sparsewatch_window_pattern_wafers",
            kind="gauge",
            help="Wafers of the last closed window, by known pattern.",
            value=number,
            labels={"pattern": pattern},
        )
        for pattern, number in sorted(counts.patterns.items())
    ]
    return samples


def load_wafer_model(job: WaferJob) -> ConcludeWafers:
    """Load and check what the job names, and the closing step made of it.

    Raises:
        ConfigError: If a threshold is unknown or out of range.
        ModelError: If the model is missing or damaged.
    """
    check = _check_of(job)
    model = _load_for(job, check)(resolve_version(job.wafers.model).resolve())
    return ConcludeWafers(check, model.normal or "")


def _check_of(job: WaferJob) -> WaferCheck:
    return thresholds_of("wafers.thresholds", job.wafers.thresholds, WaferCheck)


def _load_for(job: WaferJob, check: WaferCheck) -> LoadForJob:
    return LoadForJob(job.wafers.false_novel_rate, tuple(sorted(check.expected_rates)))


def build_wafer(pipeline: beam.Pipeline, job: WaferJob, specs: tuple[ReadSpec, ...]) -> None:
    """The graph of a wafer job."""
    read = pipeline | "ReadWafers" >> ReadKafka(specs, event_schema(job, validate_wafers))
    live = str(Path(job.wafers.model).resolve()), _load_for(job, _check_of(job))
    recognise = RecogniseBlock(*live, level=job.wafers.patterns.level if job.wafers.patterns.windows else 0.0)
    parts = (
        read.blocks
        | "WindowBlocks" >> fixed_windows(job)
        | "RecogniseWafers" >> RecogniseWafers(job.name, job.kafka, topics_of(job).wafers, recognise)
    )
    view = patterns_view(job, CurrentModel(*live)) if job.wafers.patterns.windows else None
    close_books(job, read, [parts], load_wafer_model(job), view)


def patterns_view(job: WaferJob, model: Callable[[], WaferModel]) -> PatternsView:
    """The job's look over its last windows; `model` is what recognises wafers now."""
    topic = topics_of(job).patterns
    return PatternsView(job.name, topic, job.wafers.patterns, PatternTopic(job.kafka, topic), model)
