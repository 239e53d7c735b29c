"""Columns hold what kafka-python's own records hold, whatever a fetch holds and however it is taken in parts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka import TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.protocol.consumer import FetchResponse, IsolationLevel
from kafka.record import MemoryRecords

from sparsewatch.transforms.kafka import record_walk
from sparsewatch.transforms.kafka.record_batches import PartitionColumns
from tests.kit.record_batches import Record, batch, marker, old_batch, sealed, with_count

_PARTITION = TopicPartition("topic", 3)
_Aborted = FetchResponse.FetchableTopicResponse.PartitionData.AbortedTransaction

_field = st.none() | st.binary(max_size=20) | st.binary(min_size=60, max_size=70)
_headers = st.lists(st.tuples(st.text(max_size=3), st.none() | st.binary(max_size=3)), max_size=3)
_records = st.lists(
    st.builds(Record, _field, _field, st.just(()) | _headers, st.integers(0, 2**42), st.sampled_from([0, 0, 0, 5])),
    min_size=1,
    max_size=8,
)


class Step(NamedTuple):
    """What one `take` did."""

    records: list[tuple[Any, ...]]
    error: type[BaseException] | None
    next_offset: int
    leader_epoch: int
    #: Bytes and records that were read, once nothing is left; None before.
    counts: tuple[int, int] | None


def steps(kind: Any, data: bytes, takes: Sequence[int | None], fetch_offset: int = 0, **options: Any) -> list[Step]:
    """Every `take` until nothing is left, or one raises."""
    partition = kind(fetch_offset, _PARTITION, MemoryRecords(data), **options)
    found: list[Step] = []
    while partition and not (found and found[-1].error):
        taken: list[tuple[Any, ...]] = []
        error = None
        try:
            taken = _fields(partition.take(takes[len(found) % len(takes)]))
        except Exception as raised:  # noqa: BLE001  of whatever kind: both must raise it
            error = type(raised)
        counts = None if partition else (partition.bytes_read, partition.records_read)
        found.append(Step(taken, error, partition.next_fetch_offset, partition.leader_epoch, counts))
    return found


def _fields(taken: Any) -> list[tuple[Any, ...]]:
    if isinstance(taken, list):
        return [(r.offset, -1 if r.timestamp is None else r.timestamp, r.key, r.value, r.headers) for r in taken]
    found = [
        (int(run.offsets[i]), int(run.timestamps_ms[i]), run.keys(i), run.values[i], list(run.headers_at(i)))
        for columns in taken
        for run in [columns.run(_PARTITION.partition)]
        for i in range(len(run))
    ]
    assert len(taken) == len(found)
    return found


@st.composite
def _fetches(draw: st.DrawFn) -> bytes:
    """Batches behind one another."""
    parts: list[bytes] = []
    offset = draw(st.integers(0, 5))
    for _ in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["plain", "plain", "plain", "transaction", "marker", "old", "empty"]))
        records, producer = draw(_records), draw(st.integers(1, 2))
        gap_behind = draw(st.sampled_from([0, 0, 3]))
        if kind == "marker":
            parts.append(marker(offset, producer, is_abort=draw(st.booleans())))
            offset += 1
            continue
        if kind == "old":
            magic, codec = draw(st.integers(0, 1)), draw(st.integers(0, 2))
            parts.append(old_batch(records, offset, magic, codec))
            offset += len(records)
            continue
        made = batch(
            records,
            offset,
            codec=draw(st.integers(0, 4)),
            is_append_time=draw(st.booleans()),
            gap_behind=gap_behind,
            producer_id=producer if kind == "transaction" else -1,
            is_transactional=kind == "transaction",
        )
        parts.append(_emptied(made) if kind == "empty" else made)
        offset += sum(1 + record.gap for record in records) + gap_behind
    return b"".join(parts)


def _emptied(data: bytes) -> bytes:
    """A batch of which compaction has left the header."""
    header = bytearray(data[:61])
    header[8:12] = (61 - 12).to_bytes(4, "big")
    header[22] &= 0xF8
    return with_count(bytes(header), 0)


_takes = st.lists(st.none() | st.integers(1, 12), min_size=1, max_size=4)


@pytest.fixture(autouse=True, scope="module", params=["walk", "walk_in_python"])
def _walker(request: pytest.FixtureRequest) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_walk, "walk", getattr(record_walk, request.param))
        yield


@settings(max_examples=150)
@given(
    data=_fetches(),
    takes=_takes,
    skipped=st.integers(0, 20),
    aborted=st.lists(st.tuples(st.integers(1, 2), st.integers(0, 30)), max_size=3),
    isolation=st.sampled_from([IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED]),
)
def test_columns_are_the_librarys_records(
    data: bytes, takes: list[int | None], skipped: int, aborted: list[tuple[int, int]], isolation: Any
) -> None:
    options = {
        "isolation_level": isolation,
        "aborted_transactions": [_Aborted(producer_id=p, first_offset=at) for p, at in aborted],
    }
    expected = steps(Fetcher.PartitionRecords, data, takes, skipped, **options)
    assert steps(PartitionColumns, data, takes, skipped, **options) == expected


@settings(max_examples=300)
@given(
    records=_records,
    codec=st.sampled_from([0, 0, 0, 1]),
    is_append_time=st.booleans(),
    places=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255) | st.just(0xFF)), min_size=1, max_size=12),
    is_sealed=st.sampled_from([True, True, True, False]),
    takes=_takes,
)
def test_damage_is_found_where_the_library_finds_it(
    records: list[Record],
    codec: int,
    is_append_time: bool,
    places: list[tuple[float, int]],
    is_sealed: bool,
    takes: list[int | None],
) -> None:
    whole = batch(records, 5)
    damaged = bytearray(batch(records, 5, codec=codec, is_append_time=is_append_time))
    for place, byte in places:
        damaged[61 + int(place * (len(damaged) - 62))] = byte
    data = whole + (sealed(damaged) if is_sealed else bytes(damaged))
    theirs, ours = steps(Fetcher.PartitionRecords, data, takes), steps(PartitionColumns, data, takes)
    of_theirs, of_ours = (tuple(r for step in found for r in step.records) for found in (theirs, ours))
    assert ours[-1].error == theirs[-1].error
    if ours[-1].error is CorruptRecordError:
        # The library gives a record that ends behind its batch before it sees that it does.
        assert of_ours in (of_theirs, of_theirs[:-1])
    else:
        assert of_ours == of_theirs


@pytest.mark.parametrize("count", [-1, 0, 1, 3, 2**31 - 1])
def test_a_batch_that_counts_its_records_wrong_is_damaged(count: int) -> None:
    data = batch([Record(None, b"a"), Record(b"key", None)])
    expected = steps(Fetcher.PartitionRecords, with_count(data, count), [None])
    assert expected[-1].error is CorruptRecordError
    found = steps(PartitionColumns, with_count(data, count), [None])
    assert [(step.records, step.error) for step in found] == [(step.records, step.error) for step in expected]


def test_a_batch_that_was_damaged_is_not_left_to_be_taken_again() -> None:
    data = with_count(batch([Record(None, b"a")]), 2)
    partition = PartitionColumns(0, _PARTITION, MemoryRecords(data))
    assert len(partition.take(5)) == 1
    assert partition
    with pytest.raises(CorruptRecordError, match="expected 2 records and nothing behind them, got 1 and 0 bytes"):
        partition.take(5)
    assert not partition
