"""Scores of rows in any Beam pipeline, by Beam's `RunInference` and by its anomaly detection.

    batches | RunInference(RowModelHandler("models/rows"))
    rows | AnomalyDetection(RowOfflineDetector("models/rows", alarm_rate=0.001))

For jobs on Kafka, with accounts and alerts, there is `sparsewatch run`.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.ml.anomaly.base import AnomalyPrediction
from apache_beam.ml.anomaly.detectors.offline import OfflineDetector
from apache_beam.ml.anomaly.specifiable import specifiable
from apache_beam.ml.anomaly.thresholds import FixedThreshold
from apache_beam.ml.inference.base import KeyedModelHandler, PredictionResult

from sparsewatch.detectors.rows.model import RowModel
from sparsewatch.detectors.rows.verdicts import judge_matrix
from sparsewatch.schemas.block import Block
from sparsewatch.schemas.settings import AlarmRate, Count, check_range
from sparsewatch.transforms.inference.examples import is_columnar, n_rows, rows_of_examples
from sparsewatch.transforms.inference.stored_model import StoredModelHandler, rows_of

#: Input: many rows as columns, or one row. Columns that the model does not know are ignored.
Rows: TypeAlias = pa.RecordBatch | Block | beam.Row | Mapping[str, Any]

#: Rows scored at once, by default.
BATCH_ROWS = 8192
#: Share of rows like the training data that may be above the threshold, by default.
ALARM_RATE = 0.01


class RowVerdict(NamedTuple):
    """The verdict on a row. As a number it is the score, which is what Beam's `score_prediction_adapter` needs."""

    #: Higher is more anomalous; not comparable between models.
    score: float
    #: Share of rows like the training data that score as high, in (0, 1].
    p_value: float
    #: Whether the score is above the threshold of the alarm rate.
    above: bool
    #: Columns that make it an outlier, main ones first; empty unless it is above.
    blamed: tuple[str, ...]

    def __float__(self) -> float:
        return self.score


class RowModelHandler(StoredModelHandler[RowModel]):
    """Rows in, `PredictionResult` out.

    For a `pa.RecordBatch` or `Block` its `inference` is a record batch of
    `sparsewatch.detectors.rows.verdicts.ROW_VERDICTS`, a row for each of the example's; for a `beam.Row` or mapping it
    is a `RowVerdict`. `model_id` names model and version. All rows of a batch are scored in one call, and a row's
    verdict does not depend on the others.

    Args:
        model: Folder of a model, whose latest version is taken when a worker starts, or of a version. Workers must see
            it. Nothing in it is unpickled, and a damaged model is refused.
        alarm_rate: Share of rows like the training data that may be above the threshold, in (0, 1).
        batch_rows: Rows scored at once, from 1.
        max_batch_duration_secs: Seconds that an example may wait for others, in a stream; by bundle if None.
        **options: Further options of Beam's `ModelHandler`, such as `large_model`.

    Raises:
        ConfigError: At once, if a number is out of range; when a worker starts, if the model's calibration is too
            small for the rate.
    """

    def __init__(
        self,
        model: str,
        *,
        alarm_rate: float = ALARM_RATE,
        batch_rows: int = BATCH_ROWS,
        max_batch_duration_secs: int | None = None,
        **options: Any,
    ) -> None:
        check_range(AlarmRate, alarm_rate, "alarm_rate")
        check_range(Count, batch_rows, "batch_rows")
        super().__init__(
            model,
            size_of=n_rows,
            batch_size=batch_rows,
            max_batch_duration_secs=max_batch_duration_secs,
            **options,
        )
        self._alarm_rate = alarm_rate

    def load_model(self) -> RowModel:
        """The model, once a process.

        Raises:
            ConfigError: If its calibration is too small for the alarm rate.
            ModelError: If it is missing or damaged, or its smoke scores differ.
        """
        model = RowModel.load(self._model)
        model.threshold(self._alarm_rate)
        return model

    def run_inference(
        self, batch: Sequence[Rows], model: RowModel, inference_args: dict[str, Any] | None = None
    ) -> Iterable[PredictionResult]:
        """Verdicts on each example of a batch.

        Raises:
            SchemaError: If a column is missing or of a type that does not fit.
        """
        del inference_args
        parts = _parts(batch, model)
        verdicts = judge_matrix(model, np.concatenate([X for _, X in parts]), self._alarm_rate)
        inferences: list[Any] = [None] * len(batch)
        first = 0
        for places, X in parts:
            own = verdicts.slice(first, len(X))
            for place, inference in zip(places, _answers(batch[places[0]], own), strict=True):
                inferences[place] = inference
            first += len(X)
        return [PredictionResult(*pair, model.id) for pair in zip(batch, inferences, strict=True)]

    def get_num_bytes(self, batch: Sequence[Rows]) -> int:
        """Bytes of the examples' columns; of single rows, 8 a field."""
        return sum(_n_bytes(example) for example in batch)

    def get_metrics_namespace(self) -> str:
        """Namespace of the metrics of `RunInference`."""
        return "sparsewatch_rows"


@specifiable(on_demand_init=False, just_in_time_init=False)  # type: ignore[untyped-decorator, unused-ignore]
class RowOfflineDetector(OfflineDetector):
    """A stored row model as a detector for Beam's `AnomalyDetection`; elements are `beam.Row`.

    A prediction's score is -log10 of the row's p-value, its threshold that of the alarm rate, so that labels stay
    right when the model is replaced, and detectors of several models can be averaged. Rows more anomalous than all
    calibration data share one score; for the models' own scores see `RowModelHandler`. The prediction's `info` states
    model and version, and the columns that make a row an outlier.

    Args:
        model: As for `RowModelHandler`.
        alarm_rate: Share of rows like the training data that may be labelled outliers, in (0, 1).
        batch_rows: As for `RowModelHandler`.
        run_inference_args: Further arguments of `RunInference`, such as `model_metadata_pcoll`.
        model_id: Names the detector in its predictions; the model's folder if None.
        **options: Further options of Beam's `AnomalyDetector`, such as `features`.

    Raises:
        ConfigError: As `RowModelHandler` does.
    """

    def __init__(
        self,
        model: str,
        *,
        alarm_rate: float = ALARM_RATE,
        batch_rows: int = BATCH_ROWS,
        run_inference_args: dict[str, Any] | None = None,
        model_id: str | None = None,
        **options: Any,
    ) -> None:
        handler = RowModelHandler(model, alarm_rate=alarm_rate, batch_rows=batch_rows)
        super().__init__(
            KeyedModelHandler(handler).with_postprocess_fn(keyed_prediction),
            run_inference_args=run_inference_args,
            # Beam shares loaded models by this name, so two folders must not have the same.
            model_id=str(model) if model_id is None else model_id,
            threshold_criterion=FixedThreshold(-math.log10(alarm_rate)),
            **options,
        )


def keyed_prediction(result: tuple[Any, PredictionResult]) -> tuple[Any, AnomalyPrediction]:
    """A key and the result of a `beam.Row`, to the key and Beam's prediction."""
    key, (_, verdict, model) = result
    blamed = f"; main columns: {', '.join(verdict.blamed)}" if verdict.blamed else ""
    info = f"model {model}, p {verdict.p_value:.2g}{blamed}"
    # Subtracted, since negating the 0 of p = 1 would give a negative zero.
    return key, AnomalyPrediction(model_id=model, score=0 - math.log10(verdict.p_value), info=info)


def _n_bytes(example: Any) -> int:
    return int(rows_of(example).nbytes) if is_columnar(example) else 8 * sum(1 for _ in example)


def _parts(batch: Sequence[Rows], model: RowModel) -> list[tuple[list[int], np.ndarray]]:
    """Encoded rows, and the places in the batch they come from: of one columnar example, or of all single rows."""
    encode = model.encoder.transform
    parts = [([i], encode(rows_of(example))) for i, example in enumerate(batch) if is_columnar(example)]
    if single := [i for i, example in enumerate(batch) if not is_columnar(example)]:
        parts.append((single, encode(rows_of_examples([batch[i] for i in single], model.encoder.names))))
    return parts


def _answers(example: Rows, verdicts: pa.RecordBatch) -> Iterator[Any]:
    """The inference of a columnar example, or those of single rows."""
    if is_columnar(example):
        yield verdicts
        return
    for score, p_value, above, blamed in zip(*(column.to_pylist() for column in verdicts.columns), strict=True):
        yield RowVerdict(score, p_value, above, tuple(blamed))
