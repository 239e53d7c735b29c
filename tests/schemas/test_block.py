"""What ids of records begin with."""

import pyarrow as pa

from sparsewatch.schemas.block import PARTITION, Block, Span


def block(*topics: str) -> Block:
    spans = tuple(Span(topic, partition, 0, 1) for partition, topic in enumerate(topics))
    return Block(spans, pa.record_batch({PARTITION: pa.array(range(len(topics)), pa.int32())}))


def test_rows_have_a_source_where_a_topic_was_made_anew() -> None:
    assert block("clicks", "clicks").source_of_rows() is None
    rows = block("clicks@1", "clicks", "clicks@2").source_of_rows()
    assert rows is not None
    assert rows.to_pylist() == ["clicks@1", "clicks", "clicks@2"]
