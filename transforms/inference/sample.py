"""A sample of the inputs and outputs of a model, to train the row model that watches it.

results | beam.CombineGlobally(SampleInferenceFn(50_000, by=["id"])) | beam.Map(train)
"""

from collections.abc import Iterable, Sequence
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
import pyarrow as pa
from apache_beam import coders

from sparsewatch.detectors.counts.row_sample import Identities, RowSample
from sparsewatch.detectors.counts.value_hashes import HASH_RANGE, combine_hashes, hash_values
from sparsewatch.schemas.errors import SchemaError
from sparsewatch.schemas.settings import Count, check_range
from sparsewatch.schemas.stored import Format
from sparsewatch.transforms.coders import RecordBatchCoder
from sparsewatch.transforms.inference.examples import grouped, n_rows, rows_of_results
from sparsewatch.transforms.inference.stored_model import unkeyed

FORMAT = Format("the bytes of a sample of results")
#: Rows gathered before they are made columns.
_PENDING_ROWS = 4096


class _State(msgspec.Struct, frozen=True, array_like=True):
    capacity: int
    by: tuple[str, ...]
    columns: tuple[str, ...] | None
    booleans: tuple[str, ...]
    sample: bytes | None


class InferenceSample:
    """Rows of results, each sampled with the same probability; mergeable.

    Args:
        capacity: Rows to sample.
        columns: Columns to sample; those of the first rows if None.
        by: Columns that tell rows apart; in the sample only if `columns` names them. With them the sample is the same
            for any split and order of the results; without any, rows are drawn at random.

    Raises:
        ConfigError: If the capacity is below 1.
    """

    def __init__(self, capacity: int, columns: Sequence[str] | None = None, by: Sequence[str] = ()) -> None:
        check_range(Count, capacity, "capacity")
        self._capacity = capacity
        self._by = tuple(by)
        self._columns = None if columns is None else tuple(columns)
        self._sample: RowSample | None = None if columns is None else RowSample(columns, capacity)
        #: Columns of booleans, which a sample holds as integers.
        self._booleans: set[str] = set()
        self._pending: list[Any] = []
        self._pending_rows = 0

    def add(self, result: Any) -> None:
        """Add a result, or a key and a result.

        Raises:
            SchemaError: If a column is missing or cannot be sampled, in this result or one added before.
        """
        result = unkeyed(result)
        self._pending.append(result)
        self._pending_rows += n_rows(result.example)
        if self._pending_rows >= _PENDING_ROWS:
            self._settle()

    def merge(self, other: "InferenceSample") -> None:
        """Add the rows of `other`.

        Raises:
            SchemaError: As for `add`.
            StateError: If its columns or its capacity differ.
        """
        other._settle()
        if other._sample is None:
            return
        self._settle()
        if self._sample is None:
            self._sample = RowSample(other._sample.columns, self._capacity)
        self._sample.merge(other._sample)
        self._booleans |= other._booleans

    def rows(self) -> pa.RecordBatch:
        """The sample; without columns if none are stated and there were no results.

        Raises:
            SchemaError: As for `add`.
        """
        self._settle()
        if self._sample is None:
            return pa.record_batch([], names=[])
        rows = self._sample.rows()
        kinds = [pa.bool_() if field.name in self._booleans else field.type for field in rows.schema]
        return rows.cast(pa.schema(list(zip(rows.schema.names, kinds, strict=True))))

    def to_bytes(self) -> bytes:
        """The state; equal states give equal bytes."""
        self._settle()
        sample = None if self._sample is None else self._sample.to_bytes()
        booleans = tuple(sorted(self._booleans))
        return msgspec.msgpack.encode(_State(self._capacity, self._by, self._columns, booleans, sample))

    @classmethod
    def from_bytes(cls, data: bytes) -> "InferenceSample":
        """The state that `to_bytes` wrote.

        Raises:
            StateError: If the bytes are no such state.
        """
        state = FORMAT.unpack(data, _State)
        with FORMAT.reading(data):
            sample = cls(state.capacity, state.columns, state.by)
        sample._booleans = set(state.booleans)
        if state.sample is not None:
            sample._sample = RowSample.from_bytes(state.sample)
        return sample

    def _settle(self) -> None:
        """Make pending results rows of the sample."""
        pending, self._pending, self._pending_rows = self._pending, [], 0
        wanted = None if self._columns is None else (*self._columns, *self._by)
        for group in grouped(pending):
            self._update(rows_of_results(group, wanted))

    def _update(self, rows: pa.RecordBatch) -> None:
        identities = self._identities(rows)
        if self._sample is None:
            self._sample = RowSample(sorted(set(rows.schema.names) - set(self._by)), self._capacity)
        sampled = set(self._sample.columns)
        fields = [(field.name, pa.float64() if _is_whole(field.type) else field.type) for field in rows.schema]
        self._booleans |= {name for name, kind in fields if name in sampled and pa.types.is_boolean(kind)}
        # The type of a column must not depend on whether a batch happens to hold whole numbers only.
        self._sample.update(rows.cast(pa.schema(fields), safe=False), identities)

    def _identities(self, rows: pa.RecordBatch) -> Identities:
        if not self._by:
            # At random, since workers know nothing of each other.
            chance: Identities = np.random.default_rng().integers(0, HASH_RANGE, rows.num_rows, dtype=np.uint64)
            return chance
        if missing := set(self._by) - set(rows.schema.names):
            raise SchemaError(f"expected columns {sorted(missing)} to tell rows apart, got {sorted(rows.schema.names)}")
        return combine_hashes([hash_values(rows.column(name), name) for name in self._by])


class InferenceSampleCoder(coders.Coder):
    """Beam coder of `InferenceSample`."""

    def encode(self, value: InferenceSample) -> bytes:
        """See `InferenceSample.to_bytes`."""
        return value.to_bytes()

    def decode(self, encoded: bytes) -> InferenceSample:
        """See `InferenceSample.from_bytes`."""
        return InferenceSample.from_bytes(encoded)

    def is_deterministic(self) -> bool:
        """Equal states have equal bytes."""
        return True


@beam.typehints.with_output_types(pa.RecordBatch)
class SampleInferenceFn(beam.CombineFn):
    """`PredictionResult`s of any model, with or without keys, to a record batch that samples their rows.

    Columns are named as in `sparsewatch.transforms.inference.examples`. Numbers become floats, exact up to 2^53. The
    output is training data for `train_row_model`, whose model `MonitorInference` watches with.

    Args:
        capacity: As for `InferenceSample`.
        columns: As for `InferenceSample`.
        by: As for `InferenceSample`.

    Raises:
        ConfigError: At once, if the capacity is below 1.
    """

    def __init__(self, capacity: int, *, columns: Sequence[str] | None = None, by: Sequence[str] = ()) -> None:
        super().__init__()
        self._settings = (capacity, columns, by)
        InferenceSample(*self._settings)
        beam.coders.registry.register_coder(pa.RecordBatch, RecordBatchCoder)

    def create_accumulator(self) -> InferenceSample:
        """An empty sample."""
        return InferenceSample(*self._settings)

    def add_input(self, sample: InferenceSample, element: Any) -> InferenceSample:
        """The sample with one more result.

        Raises:
            SchemaError: See `InferenceSample.add`.
        """
        sample.add(element)
        return sample

    def merge_accumulators(self, accumulators: Iterable[InferenceSample]) -> InferenceSample:
        """A new sample of all."""
        total = self.create_accumulator()
        for sample in accumulators:
            total.merge(sample)
        return total

    def extract_output(self, sample: InferenceSample) -> pa.RecordBatch:
        """The rows of the sample."""
        return sample.rows()

    def get_accumulator_coder(self) -> InferenceSampleCoder:
        """The accumulators' bytes are those of `InferenceSample`."""
        return InferenceSampleCoder()


def _is_whole(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind))
