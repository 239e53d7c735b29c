"""A reader goes on after its topic changed while it was read."""

from collections.abc import Collection, Iterable
from contextlib import closing

import msgspec

from sparsewatch.schemas.accounts import NEVER_US, PartitionState, ReaderState
from sparsewatch.schemas.errors import SourceError
from sparsewatch.transforms.kafka.reader_start import (
    ReadSpec,
    bounded_state,
    log_notices,
    open_looking_reader,
    settled,
    stops,
)
from sparsewatch.transforms.kafka.source_changes import without_missing


def settled_again(spec: ReadSpec, state: ReaderState) -> ReaderState:
    """The state with which a reader goes on with its topic as it is now.

    A bounded run stops where a partition that began anew ends now; the others stop where they would have.

    Raises:
        SourceError: If the broker does not answer, or the topic is gone and not yet made again.
    """
    with closing(open_looking_reader(spec)) as reader:
        there = reader.look().partitions
        if not there:
            raise SourceError(f"the broker has no topic {spec.topic!r}")
        stop = dict(zip([part.partition for part in state.partitions], state.stop, strict=False))
        known = len(state.notices)
        state = without_missing(state, there) if _lacks(state, there) else state
        reader.assign({part.partition: 0 for part in state.partitions})
        # A client may also have gone back since the broker lost records that others have replaced by now.
        state = settled(reader, state, closely=True)
        notices = state.notices[known:]
        log_notices(spec.topic, notices)
        if not stop:
            return state
        moved = {notice.partition for notice in notices if notice.rule != "records_lost"}
        now = stops(spec, reader)
        return bounded_state(state, {p: now[p] if p in moved else stop[p] for p in now})


def _lacks(state: ReaderState, partitions: Collection[int]) -> bool:
    return any(part.partition not in partitions for part in state.partitions)


def with_partitions(spec: ReadSpec, state: ReaderState, added: Iterable[int]) -> ReaderState:
    """The state with partitions that were added while the topic was read: they begin at their begin.

    Args:
        spec: The reader.
        state: What it knew; not changed.
        added: Partitions that it does not hold.

    Raises:
        SourceError: If the broker does not answer.
    """
    with closing(open_looking_reader(spec)) as reader:
        reader.assign(dict.fromkeys(added, 0))
        begin = reader.begin_offsets()
    topic_id = max(part.topic_id for part in state.partitions)
    new = [PartitionState(p, begin[p], NEVER_US, begin[p], topic_id=topic_id) for p in added]
    parts = sorted([*state.partitions, *new], key=lambda part: part.partition)
    return msgspec.structs.replace(state, partitions=tuple(parts))
