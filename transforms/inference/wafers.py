"""Verdicts on wafers in any Beam pipeline, by Beam's `RunInference`.

    batches | RunInference(WaferModelHandler("models/wafer"))

For jobs on Kafka, with accounts and alerts, there is `sparsewatch run`.
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import pyarrow as pa
from apache_beam.ml.inference.base import PredictionResult

from sparsewatch.detectors.wafers.model import WaferModel
from sparsewatch.schemas.block import Block
from sparsewatch.schemas.errors import SchemaError
from sparsewatch.schemas.settings import AlarmRate, Count, check_range
from sparsewatch.schemas.wafers import WAFER_COLUMNS
from sparsewatch.transforms.inference.stored_model import StoredModelHandler, joined, rows_of

#: Input: wafers with the columns of `WAFER_COLUMNS`; further columns are ignored.
Wafers: TypeAlias = pa.RecordBatch | Block

#: Points judged at once, by default.
BATCH_POINTS = 200_000


class WaferModelHandler(StoredModelHandler[WaferModel]):
    """`pa.RecordBatch` or `Block` of any number of wafers in, `PredictionResult` out.

    A result's `inference` is a record batch of `verdicts.VERDICT_COLUMNS`, a row for each wafer of its
    `example`; its `model_id` names model and version. Small examples are judged together, by their number of points.

    Args:
        model: Folder of a model, whose latest version is taken when a worker starts, or of a version. Workers must see
            it. Nothing in it is unpickled, and a damaged model is refused.
        false_novel_rate: Share of known wafers that may be called novel, in (0, 1); the model's own if None.
        batch_points: Points judged at once, from 1.
        max_batch_duration_secs: Seconds that an example may wait for others, in a stream; by bundle if None.
        **options: Further options of Beam's `ModelHandler`, such as `large_model`.

    Raises:
        ConfigError: At once, if a number is out of range; when a worker starts, if the model cannot keep to the rate.
    """

    def __init__(
        self,
        model: str,
        *,
        false_novel_rate: float | None = None,
        batch_points: int = BATCH_POINTS,
        max_batch_duration_secs: int | None = None,
        **options: Any,
    ) -> None:
        check_range(AlarmRate, false_novel_rate, "false_novel_rate")
        check_range(Count, batch_points, "batch_points")
        super().__init__(
            model,
            size_of=_points,
            batch_size=batch_points,
            max_batch_duration_secs=max_batch_duration_secs,
            **options,
        )
        self._false_novel_rate = false_novel_rate

    def load_model(self) -> WaferModel:
        """The model, once a process.

        Raises:
            ConfigError: If it cannot keep to the stated rate.
            ModelError: If it is missing or damaged, or its smoke scores differ.
        """
        model = WaferModel.load(self._model)
        return model if self._false_novel_rate is None else model.with_false_novel_rate(self._false_novel_rate)

    def run_inference(
        self, batch: Sequence[Wafers], model: WaferModel, inference_args: dict[str, Any] | None = None
    ) -> Iterable[PredictionResult]:
        """Verdicts on each example of a batch.

        Raises:
            SchemaError: If columns are missing or of other types, or a row is no wafer event.
        """
        del inference_args
        rows = [_wafer_rows(example) for example in batch]
        verdicts = model.recognise(joined(rows))
        first = 0
        for example, own in zip(batch, rows, strict=True):
            yield PredictionResult(example, verdicts.slice(first, own.num_rows), model.id)
            first += own.num_rows

    def get_num_bytes(self, batch: Sequence[Wafers]) -> int:
        """Bytes of the examples' columns."""
        return sum(rows_of(example).nbytes for example in batch)

    def get_metrics_namespace(self) -> str:
        """Namespace of the metrics of `RunInference`."""
        return "sparsewatch_wafers"


def _wafer_rows(example: Wafers) -> pa.RecordBatch:
    """The columns of `WAFER_COLUMNS`, of its types."""
    rows = rows_of(example)
    if missing := [name for name in WAFER_COLUMNS.names if name not in rows.schema.names]:
        raise SchemaError(f"expected the columns of wafer events, got none of {', '.join(missing)}")
    try:
        return rows.select(WAFER_COLUMNS.names).cast(WAFER_COLUMNS)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaError(f"expected columns of the types of wafer events: {error}") from error


def _points(example: Wafers) -> int:
    """Points and dies of an example, at least one a wafer."""
    rows = rows_of(example)
    return int(sum(len(rows[name].flatten()) for name in ("x_um", "map")) + rows.num_rows)
