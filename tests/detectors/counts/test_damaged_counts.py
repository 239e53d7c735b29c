"""Stored counts and samples of other types, sizes or values than they state are refused by name."""

from collections.abc import Callable
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.rows.encoding.columns import values_to_bytes
from sparsewatch.detectors.rows.encoding.statistics import EncoderStatistics
from sparsewatch.schemas.errors import StateError
from sparsewatch.schemas.stored import batch_from_bytes, table_to_bytes
from sparsewatch.transforms.inference.sample import InferenceSample
from tests.kit.stored_examples import encoder_statistics, feature_counts, inference_sample


def test_counts_whose_values_are_of_another_type_are_refused() -> None:
    batch = batch_from_bytes(feature_counts(1_000).to_bytes())
    at = next(i for i, name in enumerate(batch.schema.names) if batch.column(i).values.type == pa.float64())
    name = batch.schema.names[at]
    halves = pa.LargeListArray.from_arrays(batch.column(at).offsets, batch.column(at).values.cast(pa.float32()))
    other = batch.set_column(at, name, halves).replace_schema_metadata(batch.schema.metadata)
    with pytest.raises(StateError, match=f"expected the bytes of feature counts, got a list {name!r} of float"):
        FeatureCounts.from_bytes(table_to_bytes(other))


def without_room(state: Any) -> None:
    state[0] = 0


def without_a_value(state: Any) -> None:
    column = state["columns"]["site"]
    number = len(column["counts"]) // 8
    column["values"] = values_to_bytes(pa.array([None, *map(str, range(1, number))])).tobytes()


@pytest.mark.parametrize(
    ("make", "read", "damage", "what"),
    [
        (inference_sample, InferenceSample.from_bytes, without_room, "the bytes of a sample of results"),
        (encoder_statistics, EncoderStatistics.from_bytes, without_a_value, "encoder statistics"),
    ],
)
def test_states_of_no_room_or_of_missing_values_are_refused(
    make: Callable[[], Any], read: Callable[[bytes], Any], damage: Callable[[Any], None], what: str
) -> None:
    state = msgspec.msgpack.decode(make().to_bytes())
    damage(state)
    with pytest.raises(StateError, match=f"expected {what}"):
        read(msgspec.msgpack.encode(state))
