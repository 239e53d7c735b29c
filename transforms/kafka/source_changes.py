"""What became of a reader's partitions: recreated, cut short, or with records gone that were never read. No Kafka.

An offset alone does not say which record it means. A topic that was deleted and made again counts from 0 anew; a broker
that lost its newest records gives their offsets to others. So progress names the topic's id, and of each partition the
last record that was read (`LastRecord`). Where the broker gives no ids, the last record and the end decide.

* **Recreated:** read from the begin, nothing is skipped. Rows of the topic before that were counted in windows which
  are still open stay in them; they cannot be read again (`gone`).
* **Cut short:** the records behind the cut were read before they were lost, others have their offsets now. Reading
  goes on at the first record with a later timestamp than the last that was read.
* **Begins later:** retention or a person deleted records before they were read. Their offsets are *lost*. Gaps that
  compaction and transactions leave inside a partition are not: the partition still begins before them.
"""

import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from sparsewatch.schemas.accounts import NEVER_US, LastRecord, Notice, OpenWindow, PartitionState, ReaderState
from sparsewatch.schemas.alerts import counted
from sparsewatch.schemas.errors import SourceError
from sparsewatch.transforms.kafka.client import Sight
from sparsewatch.transforms.records import Fetched

#: Letters of a topic's id that set records of two topics of a name apart.
_ERA_LETTERS = 8


@dataclass(frozen=True, slots=True)
class Bounds:
    """What partitions hold now."""

    topic_id: str
    #: First offset, and the one behind the last of all records.
    begin: Mapping[int, int]
    end: Mapping[int, int]
    #: The record now at the offset of a partition's last record; absent if there is none, or nobody looked.
    found: Mapping[int, LastRecord] = field(default_factory=dict)
    #: Offset of the first record behind the last one's timestamp; absent if nobody asked, or there is none.
    later: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Share:
    """The partitions of one of several readers: every one whose number leaves `reader` when divided by `readers`."""

    reader: int
    readers: int

    def of(self, partitions: Iterable[int]) -> set[int]:
        """Those of these partitions."""
        return {p for p in partitions if p % self.readers == self.reader}


@dataclass(frozen=True, slots=True)
class Change:
    """A change after which a reader cannot simply read on."""

    #: Whether the offsets no longer mean the records that they meant.
    is_other: bool
    #: Partitions that the reader has to read from now on.
    added: tuple[int, ...] = ()


def change_of(
    state: ReaderState, sight: Sight | None, fetched: Iterable[Fetched], share: Share | None
) -> Change | None:
    """What changed since `state`, None if nothing did. A topic that is missing may come back.

    Args:
        state: What the reader knows.
        sight: The topic now; None if nobody looked.
        fetched: What was fetched from the positions of `state`.
        share: The reader's share, if it takes partitions that were added.
    """
    if runs_back(state, fetched) or (sight is not None and is_other_topic(state, sight)):
        return Change(is_other=True)
    if sight is None or share is None:
        return None
    added = share.of(sight.partitions) - {part.partition for part in state.partitions}
    return Change(is_other=False, added=tuple(sorted(added))) if added else None


def is_other_topic(state: ReaderState, sight: Sight) -> bool:
    """Whether a partition's offsets belong to a topic that was deleted."""
    return any(_is_other_id(part, sight.topic_id) for part in state.partitions)


def _is_other_id(part: PartitionState, topic_id: str) -> bool:
    return bool(part.topic_id and topic_id) and part.topic_id != topic_id


def is_beyond_end(part: PartitionState, end: Mapping[int, int]) -> bool:
    """Whether a partition was read further than it goes."""
    return max(part.position, part.high) > end[part.partition]


def runs_back(state: ReaderState, fetched: Iterable[Fetched]) -> bool:
    """Whether a client went back to an earlier offset: the broker does not have the one it asked for."""
    return any(min([*run.offsets[:1], run.next_offset]) < position for position, run in after_another(state, fetched))


def after_another(state: ReaderState, fetched: Iterable[Fetched]) -> Iterator[tuple[int, Fetched]]:
    """The runs of a batch, each with the offset from which it was read."""
    position = {part.partition: part.position for part in state.partitions}
    for run in fetched:
        yield position[run.partition], run
        position[run.partition] = run.next_offset


def settle(state: ReaderState, bounds: Bounds) -> ReaderState:
    """The state of a reader that goes on with its partitions as they are now.

    Args:
        state: What the reader knew; not changed.
        bounds: Of all its partitions.
    """
    parts, notices = [], []
    for part in state.partitions:
        settled, notice = _settle_partition(part, bounds)
        parts.append(settled)
        notices += [] if notice is None else [notice]
    return _with_notices(msgspec.structs.replace(state, partitions=tuple(parts)), notices)


def _with_notices(state: ReaderState, notices: Sequence[Notice]) -> ReaderState:
    return msgspec.structs.replace(
        state, notices=(*state.notices, *notices), lost=state.lost + sum(notice.lost for notice in notices)
    )


def _settle_partition(part: PartitionState, bounds: Bounds) -> tuple[PartitionState, Notice | None]:
    begin, end = bounds.begin[part.partition], bounds.end[part.partition]
    found = bounds.found.get(part.partition)
    is_cut = is_beyond_end(part, bounds.end) or (found is not None and found != part.last)
    is_same_id = bool(part.topic_id) and part.topic_id == bounds.topic_id
    if _is_other_id(part, bounds.topic_id) or (is_cut and not is_same_id):
        return _begun_anew(part, begin, bounds.topic_id)
    part = msgspec.structs.replace(part, topic_id=bounds.topic_id or part.topic_id)
    if is_cut:
        return _cut_short(part, begin, bounds.later.get(part.partition, end))
    if part.position < begin:
        return _begins_later(part, begin)
    return part, None


def _begun_anew(part: PartitionState, begin: int, topic_id: str) -> tuple[PartitionState, Notice]:
    # What an earlier run read behind its position were rows of windows that had not closed.
    lost = max(0, part.high - part.position)
    new = PartitionState(
        part.partition,
        begin,
        NEVER_US,
        begin,
        tuple(OpenWindow(w.window_us, begin, NEVER_US, w.rows, w.rows) for w in part.open_windows),
        topic_id=topic_id,
        # A broker that gives no ids leaves the count of its topics.
        era=topic_id[:_ERA_LETTERS] or str(int(part.era or 0) + 1),
    )
    return new, Notice("source_recreated", part.partition, part.position, begin, lost)


def _cut_short(part: PartitionState, begin: int, at: int) -> tuple[PartitionState, Notice]:
    at = max(begin, at)
    position = max(begin, min(part.position, at))
    new = msgspec.structs.replace(
        part,
        position=position,
        high=at,
        open_windows=tuple(
            w if w.first_offset < at else msgspec.structs.replace(w, first_offset=at, gone=w.rows)
            for w in part.open_windows
        ),
        last=None,
        era=f"{part.topic_id[:_ERA_LETTERS]}.{at}",
    )
    return new, Notice("source_truncated", part.partition, max(part.position, part.high), at)


def _begins_later(part: PartitionState, begin: int) -> tuple[PartitionState, Notice]:
    new = msgspec.structs.replace(part, position=begin, high=max(part.high, begin))
    return new, Notice("records_lost", part.partition, part.position, begin, begin - part.position)


def without_missing(state: ReaderState, partitions: Collection[int]) -> ReaderState:
    """The state without partitions that a recreated topic no longer has; another takes over the rows of open windows.

    Raises:
        SourceError: If none of the reader's partitions is left.
    """
    left = [part for part in state.partitions if part.partition in partitions]
    missing = [part for part in state.partitions if part.partition not in partitions]
    if not left:
        raise SourceError(
            f"the topic was recreated with {counted(len(partitions), 'partition')}, none of them this reader's: "
            "start the job again"
        )
    rows: Counter[int] = Counter()
    for part in (left[0], *missing):
        rows.update({w.window_us: w.rows for w in part.open_windows})
    heir = msgspec.structs.replace(
        left[0], open_windows=tuple(OpenWindow(w, left[0].position, NEVER_US, rows[w]) for w in sorted(rows))
    )
    gone = sum(max(0, part.high - part.position) for part in missing)
    return msgspec.structs.replace(state, partitions=(heir, *left[1:]), lost=state.lost + gone)


def with_gaps(positions: Mapping[int, int], fetched: Iterable[Fetched]) -> list[int]:
    """Partitions in which offsets were passed over in a batch that was read from these positions on."""
    records, ends = Counter[int](), dict[int, int]()
    for run in fetched:
        records[run.partition] += len(run)
        ends[run.partition] = run.next_offset
    return [partition for partition, end in ends.items() if end - positions[partition] > records[partition]]


def without_lost(state: ReaderState, fetched: Iterable[Fetched], begin: Mapping[int, int]) -> ReaderState:
    """The state with what was lost between the records of a batch added to its account.

    A partition that begins within a gap began there when it was read: the offsets before are gone.

    Args:
        state: Before the batch; not changed.
        fetched: The batch.
        begin: First offsets of the partitions in which offsets were passed over, asked after the batch was read.
    """
    notices = [
        Notice("records_lost", run.partition, before, begin[run.partition], begin[run.partition] - before)
        for position, run in after_another(state, fetched)
        if run.partition in begin
        for before, after in _gaps(position, run)
        if before < begin[run.partition] <= after
    ]
    return _with_notices(state, notices)


def _gaps(position: int, run: Fetched) -> list[tuple[int, int]]:
    first, after = np.append(position, run.offsets + 1), np.append(run.offsets, run.next_offset)
    at = np.flatnonzero(first < after)
    return list(zip(first[at].tolist(), after[at].tolist(), strict=True))


def with_last(state: ReaderState, fetched: Iterable[Fetched]) -> ReaderState:
    """The state that remembers the last record of a batch; an earlier run may have read further."""
    runs = {run.partition: run for run in fetched if len(run)}
    if not runs:
        return state
    return msgspec.structs.replace(
        state,
        partitions=tuple(
            _remembering(part, runs[part.partition]) if part.partition in runs else part for part in state.partitions
        ),
    )


def _remembering(part: PartitionState, run: Fetched) -> PartitionState:
    last = record_at(run, -1)
    return (
        part if part.last is not None and part.last.offset > last.offset else msgspec.structs.replace(part, last=last)
    )


def record_at(run: Fetched, i: int) -> LastRecord:
    """A record of a run, as it is remembered."""
    return LastRecord(int(run.offsets[i]), int(run.timestamps_ms[i]), zlib.crc32(run.values[i] or b""))
