"""Side records as they are written: every byte of their headers, whatever was written before them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sparsewatch.schemas.side_records import SideRecord
from sparsewatch.testing import FakeBroker
from sparsewatch.transforms.kafka.side_topics import side_headers, write_aside

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)


def plain_headers(record: SideRecord) -> list[tuple[str, bytes]]:
    """The headers, written down field by field."""
    texts = {
        "id": record.id,
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "timestamp-ms": str(record.timestamp_ms),
        "row": str(record.row),
        "events": str(record.events),
        "code": record.code,
        "message": record.message,
        "retriable": str(record.retriable).lower(),
        "key": "none" if record.key is None else "kept",
    }
    texts |= {name: text for name, text in (("era", record.era), ("topic-id", record.topic_id)) if text}
    return [*record.headers, *((f"sparsewatch.{name}", text.encode()) for name, text in texts.items())]


@st.composite
def side_records(draw: st.DrawFn) -> SideRecord:
    fields: dict[str, Any] = {
        "kind": draw(st.sampled_from(["reject", "late"])),
        "topic": draw(st.sampled_from(["t", "u", "clicks.eu"])),
        "partition": draw(st.sampled_from([-1, 0, 1, 10])),
        "offset": draw(st.integers(0, 2**63 - 1)),
        "timestamp_ms": draw(st.integers(-1, 2**60)),
        "key": draw(st.none() | st.binary(max_size=4)),
        "value": draw(st.none() | st.binary(max_size=4)),
        "headers": tuple(draw(st.lists(st.tuples(_TEXT, st.binary(max_size=4)), max_size=2))),
        "code": draw(st.sampled_from(["late", "broken_json", "wrong_type"])),
        "message": draw(_TEXT),
        "events": draw(st.integers(1, 3)),
        "row": draw(st.integers(-1, 2)),
        "retriable": draw(st.booleans()),
        "era": draw(st.sampled_from(["", "LrUU9CXG"])),
        "topic_id": draw(st.sampled_from(["", "LrUU9CXGRjOYLMEp8F562Q"])),
    }
    return SideRecord(**fields)


@given(st.lists(side_records(), max_size=8))
def test_side_records_are_written_in_order_each_with_its_own_headers(aside: list[SideRecord]) -> None:
    assert [side_headers(record) for record in aside] == [plain_headers(record) for record in aside]
    with FakeBroker() as broker:
        write_aside(broker.writer(), aside)
        for kind, suffix in (("reject", "rejects"), ("late", "late")):
            for topic in {record.topic for record in aside}:
                own = [record for record in aside if (record.topic, record.kind) == (topic, kind)]
                found = broker.records(f"{topic}.{suffix}") if own else []
                assert [(r.key, r.value, list(r.headers)) for r in found] == [
                    (r.id.encode() if r.key is None else r.key, r.value, plain_headers(r)) for r in own
                ]
