"""The wafer job: blocks -> sparse network and Gaussian mixture -> a result a wafer -> alerts, metrics."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import apache_beam as beam
import msgspec

from detectors.models import resolve_version
from detectors.sparse_net.events import validate_wafers
from detectors.wafer_counts import WaferCheck, WaferCounts, check_wafers
from detectors.wafer_model import WaferModel
from pipelines.books import close_books, fixed_windows
from pipelines.topics import topics_of
from schemas.block import EVENT_TIME_US, OFFSET, PARTITION, ROW, Block
from schemas.errors import ConfigError
from schemas.jobs import WaferJob
from schemas.metrics import MetricSample
from schemas.wafers import WaferResult
from transforms.close_books import Conclusion, Window
from transforms.codecs.events import event_schema
from transforms.kafka.source import ReadKafka, ReadSpec
from transforms.recognise_wafers import RecogniseWafers


@functools.lru_cache(maxsize=4)
def _model(path: str, false_novel_rate: float | None) -> WaferModel:
    model = WaferModel.load(path)
    return model if false_novel_rate is None else model.with_false_novel_rate(false_novel_rate)


@dataclass(frozen=True)
class RecogniseBlock:
    """Verdicts of a block; the model is loaded once a process."""

    model: str
    false_novel_rate: float | None

    def __call__(self, block: Block) -> list[WaferResult]:
        """See `transforms.recognise_wafers.Recognise`."""
        model = _model(self.model, self.false_novel_rate)
        verdicts = model.recognise(block.rows)
        topic = block.spans[0].topic
        keep = ["wafer_id", "lot", "step", "tool", PARTITION, OFFSET, ROW, EVENT_TIME_US]
        events = block.rows.select(keep).to_pylist()
        said = verdicts.select(["verdict", "pattern", "probability", "novelty", "p_value", "defects"]).to_pylist()
        return [
            WaferResult(
                id=f"{topic}/{event[PARTITION]}/{event[OFFSET]}/{event[ROW]}",
                wafer_id=event["wafer_id"],
                lot=event["lot"],
                step=event["step"],
                tool=event["tool"],
                event_time_us=event[EVENT_TIME_US],
                model=model.id,
                **verdict,
            )
            for event, verdict in zip(events, said, strict=True)
        ]


@dataclass(frozen=True)
class ConcludeWafers:
    """Closes a window of wafers."""

    check: WaferCheck
    normal: str
    results_per_row: bool = True

    def __call__(self, window: Window, measures: Sequence[bytes]) -> Conclusion:
        """See `transforms.close_books.Conclude`."""
        del window
        counts = WaferCounts()
        for data in measures:
            counts.merge(WaferCounts.from_bytes(data))
        findings = check_wafers(counts, self.check, self.normal)
        return Conclusion(counts.wafers, msgspec.to_builtins(counts), findings, wafer_metrics(counts))


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
    model = _model(job.wafers.model, job.wafers.false_novel_rate)
    given = {"false_novel_rate": model.false_novel_rate, **job.wafers.thresholds}
    try:
        check = msgspec.convert(given, WaferCheck)
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigError(f"wafers.thresholds: {error}") from error
    if unknown := sorted(set(check.expected_rates) - set(model.classes)):
        raise ConfigError(
            f"wafers.thresholds.expected_rates: expected patterns of the model {model.classes}, got {unknown}"
        )
    return ConcludeWafers(check, model.normal or "")


def build_wafer(pipeline: beam.Pipeline, job: WaferJob, specs: tuple[ReadSpec, ...]) -> None:
    """The graph of a wafer job."""
    read = pipeline | "ReadWafers" >> ReadKafka(specs, event_schema(job, validate_wafers))
    # Settled once: workers must not follow `latest` to different versions.
    recognise = RecogniseBlock(str(resolve_version(job.wafers.model).resolve()), job.wafers.false_novel_rate)
    parts = (
        read.blocks
        | "WindowBlocks" >> fixed_windows(job)
        | "RecogniseWafers" >> RecogniseWafers(job.name, job.kafka, topics_of(job).wafers, recognise)
    )
    close_books(job, read, [parts], load_wafer_model(job))
