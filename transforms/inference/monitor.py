"""Whether the inputs and outputs of a model still look as they did: a report for each window.

    results = rows | RunInference(handler)
    watched = results | MonitorInference("models/inputs_and_outputs", every="10m")
    watched.reports | ...   # InferenceReport
    watched.unusable | ...  # UnusableResult

Any model can be watched, by a row model that was trained on its earlier examples and inferences (see
`sparsewatch.transforms.inference.sample`). That needs no labels: it finds inputs unlike those of the training, outputs
that do not go with their inputs, and outputs that became rare or frequent; not a model that was wrong from the start.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import PredictionResult
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.transforms.window import FixedWindows

from sparsewatch.detectors.artefacts.versions import resolve_version
from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.windows.checks import p_value_quantiles
from sparsewatch.detectors.rows.windows.monitored_inference import (
    FORMAT,
    REPORT,
    InferenceReport,
    WatchedRows,
    report_on,
    watch_rows,
)
from sparsewatch.detectors.rows.windows.thresholds import RowCheck
from sparsewatch.schemas.errors import SchemaError
from sparsewatch.schemas.settings import parse_duration_us
from sparsewatch.transforms.coders import StructCoder
from sparsewatch.transforms.inference.examples import grouped, n_rows, rows_of_results
from sparsewatch.transforms.inference.stored_model import unkeyed

#: Rows scored at once.
BATCH_ROWS = 4096

_UNUSABLE = "unusable"
_DECILES = np.linspace(0, 1, 11)


@dataclass(frozen=True, slots=True)
class UnusableResult:
    """A result the row model cannot score, and why."""

    result: PredictionResult
    reason: str


class Watched(NamedTuple):
    """What `MonitorInference` gives."""

    #: `InferenceReport`, one a window with results.
    reports: PCollection
    #: `UnusableResult`, each as it comes.
    unusable: PCollection


class MonitorInference(beam.PTransform):
    """`PredictionResult`s of any model, with or without keys, to `Watched`.

    Counts in Beam's metrics `sparsewatch/watched_rows`, `watched_rows_above`, `watched_unusable`, and has the deciles
    of each batch's p-values, per mille, as the distribution `watched_p_values_per_mille`.

    Args:
        model: Folder of a row model, whose latest version when the pipeline is built is used throughout, or of a
            version. Its columns are those of `sparsewatch.transforms.inference.examples`; other columns are ignored.
        every: Length of a window of event time, such as `"10m"`; the windows the results are in if None.
        alarm_rate: Share of rows like the training data that may be above the threshold, in (0, 1).
        check: When the rows of a window count as unlike the training data.
        max_wait_secs: Seconds that a result may wait for others, in a stream; by bundle if None.

    Raises:
        ConfigError: At once, if `every` is no duration, or the model's calibration is too small for the rate.
        ModelError: At once, if the model is missing or damaged.
    """

    def __init__(
        self,
        model: str,
        *,
        every: str | None = "10m",
        alarm_rate: float = 0.01,
        check: RowCheck | None = None,
        max_wait_secs: int | None = None,
    ) -> None:
        super().__init__()
        # Resolved once: workers must not follow `latest` to different versions.
        self._model = str(resolve_version(model).resolve())
        RowModel.load(self._model).threshold(alarm_rate)
        self._every_s = None if every is None else parse_duration_us(every) / 1e6
        self._alarm_rate = alarm_rate
        self._check = check or RowCheck()
        self._max_wait_secs = max_wait_secs

    def expand(self, results: PCollection[Any]) -> Any:
        """`Watched`: one report a window; a window without results has none."""
        beam.coders.registry.register_coder(WatchedRows, _WatchedRowsCoder)
        beam.coders.registry.register_coder(InferenceReport, _InferenceReportCoder)
        if self._every_s is not None:
            results = results | "Window" >> beam.WindowInto(FixedWindows(self._every_s))
        scored = (
            results
            | "Batch"
            >> beam.BatchElements(
                min_batch_size=BATCH_ROWS,
                max_batch_size=BATCH_ROWS,
                max_batch_duration_secs=self._max_wait_secs,
                element_size_fn=_size,
            )
            | "Score"
            >> beam.ParDo(_Score(self._model, self._alarm_rate))
            .with_output_types(WatchedRows)
            .with_outputs(_UNUSABLE, main="watched")
        )
        reports = (
            scored["watched"]
            | "AddUp" >> beam.CombineGlobally(_AddUp()).without_defaults()
            | "Report" >> beam.ParDo(_Report(self._check)).with_output_types(InferenceReport)
        )
        return Watched(reports, scored[_UNUSABLE])


class _Score(beam.DoFn):
    """Batches of results to one summary each."""

    def __init__(self, model: str, alarm_rate: float) -> None:
        self._path = model
        self._alarm_rate = alarm_rate
        self._rows = Metrics.counter("sparsewatch", "watched_rows")
        self._above = Metrics.counter("sparsewatch", "watched_rows_above")
        self._unusable = Metrics.counter("sparsewatch", "watched_unusable")
        self._p_values = Metrics.distribution("sparsewatch", "watched_p_values_per_mille")

    def setup(self) -> None:
        self._model = RowModel.load(self._path)

    def process(self, elements: Sequence[Any]) -> Iterator[Any]:
        unusable: list[UnusableResult] = []
        watched = WatchedRows()
        for results in grouped(unkeyed(element) for element in elements):
            watched = watched.merge(self._watch(results, unusable))
        self._count(watched)
        yield watched
        for result in unusable:
            yield TaggedOutput(_UNUSABLE, result)

    def _watch(self, results: Sequence[PredictionResult], unusable: list[UnusableResult]) -> WatchedRows:
        """The summary of results of one shape; split in halves until only those that cannot be used are left out."""
        by_model: Counter[str] = Counter()
        for result in results:
            by_model[result.model_id or ""] += n_rows(result.example)
        try:
            rows = rows_of_results(results, self._model.encoder.names)
            return watch_rows(self._model, rows, by_model, self._alarm_rate)
        except SchemaError as error:
            if len(results) == 1:
                unusable.append(UnusableResult(results[0], str(error)))
                return WatchedRows(unusable=1)
        middle = len(results) // 2
        return self._watch(results[:middle], unusable).merge(self._watch(results[middle:], unusable))

    def _count(self, watched: WatchedRows) -> None:
        self._rows.inc(watched.scores.rows)
        self._above.inc(watched.scores.above)
        self._unusable.inc(watched.unusable)
        if watched.scores.rows:
            for per_mille in p_value_quantiles(watched.scores, _DECILES) * 1000:
                self._p_values.update(int(per_mille))


@beam.typehints.with_input_types(WatchedRows)
@beam.typehints.with_output_types(WatchedRows)
class _AddUp(beam.CombineFn):
    def create_accumulator(self) -> WatchedRows:
        return WatchedRows()

    def add_input(self, total: WatchedRows, watched: WatchedRows) -> WatchedRows:
        return total.merge(watched)

    def merge_accumulators(self, accumulators: Iterable[WatchedRows]) -> WatchedRows:
        total = WatchedRows()
        for watched in accumulators:
            total = total.merge(watched)
        return total

    def extract_output(self, total: WatchedRows) -> WatchedRows:
        return total

    def get_accumulator_coder(self) -> "_WatchedRowsCoder":
        return _WatchedRowsCoder()


class _Report(beam.DoFn):
    def __init__(self, check: RowCheck) -> None:
        self._check = check

    def process(self, watched: WatchedRows, window: Any = beam.DoFn.WindowParam) -> Iterator[InferenceReport]:
        yield report_on(watched, self._check, (window.start.micros, window.end.micros))


class _WatchedRowsCoder(StructCoder):
    struct = WatchedRows
    stored = FORMAT


class _InferenceReportCoder(StructCoder):
    struct = InferenceReport
    stored = REPORT


def _size(element: Any) -> int:
    return n_rows(unkeyed(element).example)
