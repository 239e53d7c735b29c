"""How elements travel between stages: Arrow IPC for blocks, MessagePack for structs. Nothing is pickled.

A block's bytes are one Arrow IPC stream whose schema carries the spans, and the figures of mistyped cells and of
other fields if there are any, so they cost no second header.
"""

from typing import Any

import apache_beam as beam
import msgspec
import pyarrow as pa
from apache_beam import coders

from sparsewatch.detectors.counts.feature_counts import FeatureCounts
from sparsewatch.detectors.outrank.ranking import RankedFeature
from sparsewatch.schemas.accounts import MARKER, READER_STATE, Marker, ReaderState
from sparsewatch.schemas.block import Block, Span
from sparsewatch.schemas.mistyped import NONE_MISTYPED, MistypedCells
from sparsewatch.schemas.other_fields import NO_OTHERS, OtherFields
from sparsewatch.schemas.side_records import SideRecord
from sparsewatch.schemas.stored import Format, batch_from_bytes, table_to_bytes

_SPANS = b"sparsewatch.spans"
_MISTYPED = b"sparsewatch.mistyped"
_OTHERS = b"sparsewatch.others"
_VERSION = b"sparsewatch.block"
_BLOCK = Format("a block")
_BLOCK_VERSION = str(_BLOCK.version).encode()
_BATCH = Format("a record batch")


class Aside(msgspec.Struct, frozen=True):
    """Side records of one fetch, written together."""

    records: tuple[SideRecord, ...]


def encode_batch(batch: pa.RecordBatch) -> bytes:
    """Bytes of a record batch; of a slice, only its own rows."""
    return table_to_bytes(batch)


def decode_batch(data: bytes) -> pa.RecordBatch:
    """The record batch of `encode_batch`'s bytes.

    Raises:
        StateError: If the bytes are no record batch.
    """
    with _BATCH.reading(data):
        return batch_from_bytes(data)


def encode_block(block: Block) -> bytes:
    """Bytes of a block."""
    spans = msgspec.json.encode([(s.topic, s.partition, s.first_offset, s.end_offset) for s in block.spans])
    metadata = {_VERSION: _BLOCK_VERSION, _SPANS: spans}
    if block.mistyped.columns:
        metadata[_MISTYPED] = block.mistyped.to_bytes()
    if block.others:
        metadata[_OTHERS] = block.others.to_bytes()
    schema = block.rows.schema.with_metadata(metadata)
    return encode_batch(pa.RecordBatch.from_arrays(block.rows.columns, schema=schema))


def decode_block(data: bytes) -> Block:
    """The block of `encode_block`'s bytes.

    Raises:
        StateError: If the bytes are no block, or a block of another version.
    """
    with _BLOCK.reading(data):
        batch = batch_from_bytes(data)
        metadata = batch.schema.metadata or {}
        if metadata.get(_VERSION) != _BLOCK_VERSION:
            raise _BLOCK.other_version(metadata.get(_VERSION))
        spans = tuple(Span(*span) for span in msgspec.json.decode(metadata[_SPANS]))
        mistyped = MistypedCells.from_bytes(metadata[_MISTYPED]) if _MISTYPED in metadata else NONE_MISTYPED
        others = OtherFields.from_bytes(metadata[_OTHERS]) if _OTHERS in metadata else NO_OTHERS
        return Block(spans, batch.replace_schema_metadata(None), mistyped, others)


class BlockCoder(coders.Coder):
    """Beam coder of `Block`."""

    def encode(self, value: Block) -> bytes:
        """See `encode_block`."""
        return encode_block(value)

    def decode(self, encoded: bytes) -> Block:
        """See `decode_block`."""
        return decode_block(encoded)

    def estimate_size(self, value: Block) -> int:
        """Bytes of the columns. Beam samples sizes, nearly all if elements are few and large, and would encode each."""
        return int(value.rows.nbytes)

    def is_deterministic(self) -> bool:
        """Equal blocks may differ in buffers, so bytes are not compared."""
        return False


class RecordBatchCoder(coders.Coder):
    """Beam coder of an Arrow record batch."""

    def encode(self, value: pa.RecordBatch) -> bytes:
        """See `encode_batch`."""
        return encode_batch(value)

    def decode(self, encoded: bytes) -> pa.RecordBatch:
        """See `decode_batch`."""
        return decode_batch(encoded)

    def estimate_size(self, value: pa.RecordBatch) -> int:
        """Bytes of the columns, as for blocks."""
        return int(value.nbytes)

    def is_deterministic(self) -> bool:
        """As for blocks."""
        return False


class FeatureCountsCoder(coders.Coder):
    """Beam coder of `FeatureCounts`."""

    def encode(self, value: FeatureCounts) -> bytes:
        """See `FeatureCounts.to_bytes`."""
        return value.to_bytes()

    def decode(self, encoded: bytes) -> FeatureCounts:
        """See `FeatureCounts.from_bytes`."""
        return FeatureCounts.from_bytes(encoded)

    def estimate_size(self, value: FeatureCounts) -> int:
        """Upper bound of the numeric part only.

        The values themselves are not measured: that would merge the counts at each sampling.
        """
        return 24 * len(value.features) * min(value.rows, value.max_values)

    def is_deterministic(self) -> bool:
        """Equal counts have equal bytes."""
        return True


class StructCoder(coders.Coder):
    """Beam coder of one msgspec struct."""

    struct: type[Any]
    stored: Format

    def encode(self, value: Any) -> bytes:
        """MessagePack of the struct."""
        return msgspec.msgpack.encode(value)

    def decode(self, encoded: bytes) -> Any:
        """The struct; strict about types.

        Raises:
            StateError: If the bytes are no such struct.
        """
        return self.stored.unpack(encoded, self.struct)

    def is_deterministic(self) -> bool:
        """Structs have a fixed order of fields."""
        return True


class ReaderStateCoder(StructCoder):
    """Beam coder of the source's restriction."""

    struct = ReaderState
    stored = READER_STATE


class MarkerCoder(StructCoder):
    """Beam coder of `Marker`."""

    struct = Marker
    stored = MARKER


class AsideCoder(StructCoder):
    """Beam coder of `Aside`."""

    struct = Aside
    stored = Format("an Aside")

    def estimate_size(self, value: Aside) -> int:
        """Bytes of the values, as for blocks."""
        return sum(len(record.value or b"") for record in value.records)


class RankedFeatureCoder(StructCoder):
    """Beam coder of `RankedFeature`."""

    struct = RankedFeature
    stored = Format("a RankedFeature")


#: Coder of each type of element.
CODERS: dict[Any, type[Any]] = {
    Block: BlockCoder,
    Marker: MarkerCoder,
    Aside: AsideCoder,
    pa.RecordBatch: RecordBatchCoder,
    FeatureCounts: FeatureCountsCoder,
    RankedFeature: RankedFeatureCoder,
}


def register() -> None:
    """Make Beam use these coders for our element types."""
    for element, coder in CODERS.items():
        beam.coders.registry.register_coder(element, coder)
