"""What our handlers for Beam's `RunInference` share: a model in a folder of versions, and elements of many rows."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pyarrow as pa
from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from sparsewatch.schemas.block import Block
from sparsewatch.schemas.errors import ConfigError

Model = TypeVar("Model")


class StoredModelHandler(ModelHandler[Any, PredictionResult, Model]):
    """A handler whose model lies in a folder, and whose batches are formed by the size of their elements.

    Args:
        model: Folder of a model, whose latest version is taken when a worker starts, or of a version. Workers must see
            it.
        size_of: Size of an element; importable, since workers call it.
        batch_size: Size of a batch, in what `size_of` counts.
        max_batch_duration_secs: Seconds that an element may wait for others, in a stream; by bundle if None.
        **options: Further options of Beam's `ModelHandler`, such as `large_model`.
    """

    def __init__(
        self,
        model: str,
        *,
        size_of: Callable[[Any], int],
        batch_size: int,
        max_batch_duration_secs: int | None,
        **options: Any,
    ) -> None:
        super().__init__(
            min_batch_size=batch_size,
            max_batch_size=batch_size,
            max_batch_duration_secs=max_batch_duration_secs,
            element_size_fn=functools.partial(_unkeyed_size, size_of),
            **options,
        )
        self._model = str(model)

    def validate_inference_args(self, inference_args: dict[str, Any] | None) -> None:
        """Refuse arguments: there are none.

        Raises:
            ConfigError: If some are given.
        """
        if inference_args:
            raise ConfigError(f"inference_args: expected none, got {', '.join(inference_args)}")

    def update_model_path(self, model_path: str | None = None) -> None:
        """Use the model of another folder from the next load on."""
        self._model = model_path or self._model


def rows_of(example: pa.RecordBatch | Block) -> pa.RecordBatch:
    """The rows of a columnar example."""
    return example.rows if isinstance(example, Block) else example


def joined(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """At least one batch of the same columns as one; raises pa.ArrowInvalid if they are not the same."""
    whole = pa.Table.from_batches(batches).combine_chunks().to_batches()
    return whole[0] if whole else batches[0]


def unkeyed(element: Any) -> Any:
    """The element without its key, if it is a pair of both as `KeyedModelHandler` takes and gives them."""
    # Named tuples are no pairs.
    return element[1] if type(element) is tuple else element


def _unkeyed_size(size_of: Callable[[Any], int], element: Any) -> int:
    # `KeyedModelHandler` asks for the size of its pairs, not of what it passes on.
    return size_of(unkeyed(element))
