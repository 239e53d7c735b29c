"""One reader of a topic: what it reads, and where it starts and stops. Asks the broker."""

import logging
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from sparsewatch.schemas.accounts import LastRecord, Notice, Progress, ReaderState
from sparsewatch.schemas.jobs import JobIdentity, WindowTimes
from sparsewatch.transforms.kafka.client import Reader
from sparsewatch.transforms.kafka.open import open_quick_reader, open_reader
from sparsewatch.transforms.kafka.progress import load_progress
from sparsewatch.transforms.kafka.resume import start_state
from sparsewatch.transforms.kafka.source_changes import Bounds, Share, is_beyond_end, record_at, settle
from sparsewatch.transforms.kafka.source_findings import sentence
from sparsewatch.transforms.kafka.stream_clock import WindowRules

_logger = logging.getLogger(__name__)
#: Seconds of a poll, and empty polls in a row after which records that were read before count as gone.
_LOOK_S = 0.1
_PATIENCE = 20

#: When a run stops: never, once it has closed windows, at the records there are now, or at a Kafka timestamp in
#: milliseconds. An endless job is repeated runs of the second kind where a runner cannot run without end.
Until = Literal["forever", "window", "latest"] | int


class ReadSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One reader: the element of the source."""

    identity: JobIdentity
    windows: WindowTimes
    reader: int
    partitions: tuple[int, ...]
    #: Readers of the job: this one reads every partition whose number leaves `reader` when divided by it.
    readers: int = 1
    block_rows: int
    max_record_bytes: int
    start: Literal["earliest", "latest"]
    #: When to stop.
    until: Until = "forever"
    #: At the end of a bounded run: close what is open (a backfill), or leave it to the next run.
    close_at_end: bool = True

    @property
    def topic(self) -> str:
        """The topic to read."""
        return self.identity.topics.source

    @property
    def is_live(self) -> bool:
        """Whether it reads what comes; otherwise what was there when it began."""
        return self.until in ("forever", "window")

    @property
    def share(self) -> Share | None:
        """The partitions that are this reader's, also those to come; None if it reads what was there."""
        return Share(self.reader, self.readers) if self.is_live else None

    @property
    def rules(self) -> WindowRules:
        """How windows are cut."""
        return WindowRules(self.windows.length_us, self.windows.disorder_us, self.windows.idle_after_us)


def open_spec_reader(spec: ReadSpec) -> Reader:
    """The client that reads for `spec`."""
    return open_reader(spec.identity.kafka, spec.topic, spec.max_record_bytes)


def open_looking_reader(spec: ReadSpec) -> Reader:
    """One that looks where a topic begins and ends and what its last records are, see `open_quick_reader`."""
    return open_quick_reader(spec.identity.kafka, spec.topic, spec.max_record_bytes)


def initial_state(spec: ReadSpec) -> ReaderState:
    """Where a reader starts and, in bounded mode, stops.

    Raises:
        StateError: If the job's progress was written with other settings.
        SourceError: If the broker does not answer.
    """
    job = spec.identity
    progress = load_progress(job.kafka, job.topics.progress, job.job, job.settings_digest)
    reader = open_looking_reader(spec)
    try:
        state = standing(reader, progress, spec.partitions, spec.start, number=spec.reader)
        log_notices(spec.topic, state.notices)
        return state if spec.is_live else bounded_state(state, stops(spec, reader))
    finally:
        reader.close()


def standing(
    reader: Reader,
    progress: Progress | None,
    partitions: Iterable[int],
    start: Literal["earliest", "latest"],
    *,
    number: int = 0,
    closely: bool = False,
) -> ReaderState:
    """Where a reader of these partitions stands before it reads.

    Args:
        reader: Of the topic.
        progress: Of the job; None before its first run.
        partitions: Those to read.
        start: Where the first run begins.
        number: Of the reader, for its markers.
        closely: See `settled`.

    Raises:
        SourceError: If the broker does not answer.
    """
    mine = tuple(partitions)
    reader.assign(dict.fromkeys(mine, 0))
    at_end = progress is None and start == "latest"
    begin = reader.end_offsets() if at_end else reader.begin_offsets()
    return settled(reader, start_state(progress, mine, begin, number), closely=closely)


def settled(reader: Reader, state: ReaderState, *, closely: bool = False) -> ReaderState:
    """The state of a reader that goes on with its topic as it is now; see `source_changes`.

    Args:
        reader: Of the topic; assigned to all partitions of the state, from other offsets than theirs.
        state: What the reader knew; not changed.
        closely: Whether to read the last record of each partition again, to see whether it is the same.

    Raises:
        SourceError: If the broker does not answer.
    """
    topic_id, begin, end = reader.look().topic_id, reader.begin_offsets(), reader.end_offsets()
    if any(is_beyond_end(part, end) for part in state.partitions):
        # Perhaps only to a reader of committed records: then nothing is missing.
        end = {p: max(at, end[p]) for p, at in reader.log_ends().items()}
    found = _last_records(reader, state, begin, end) if closely else {}
    later = {
        part.partition: reader.offsets_at(part.last.timestamp_ms + 1)[part.partition]
        for part in state.partitions
        if part.last is not None and (is_beyond_end(part, end) or found.get(part.partition, part.last) != part.last)
    }
    return settle(state, Bounds(topic_id, begin, end, found, later))


def _last_records(
    reader: Reader, state: ReaderState, begin: Mapping[int, int], end: Mapping[int, int]
) -> dict[int, LastRecord]:
    """The records that are now where the last ones were; none where an offset holds no record any more."""
    left = {
        part.partition: part.last.offset
        for part in state.partitions
        if part.last is not None and begin[part.partition] <= part.last.offset < end[part.partition]
    }
    found: dict[int, LastRecord] = {}
    if left:
        reader.assign(left)
    silent = 0
    while left and silent < _PATIENCE:
        got = [run for run in reader.fetch(_LOOK_S, len(left)) if run.partition in left]
        silent = 0 if got else silent + 1
        for run in got:
            offset = left.pop(run.partition, -1)
            if len(run) and run.offsets[0] == offset:
                found[run.partition] = record_at(run, 0)
    reader.assign({part.partition: begin[part.partition] for part in state.partitions})
    return found


def stops(spec: ReadSpec, reader: Reader) -> dict[int, int]:
    """Where a bounded run stops, were it to begin now.

    Raises:
        SourceError: If the broker does not answer.
    """
    return reader.offsets_at(spec.until) if isinstance(spec.until, int) else reader.end_offsets()


def bounded_state(state: ReaderState, stop: Mapping[int, int]) -> ReaderState:
    """The state of a run that stops before these offsets, and no earlier than an earlier run.

    Rows that one had read are to be counted again in windows that are open: at its end the run may close those.
    """
    stops = {p.partition: max(stop[p.partition], p.high) for p in state.partitions}
    return msgspec.structs.replace(
        state,
        stop=tuple(stops.values()),
        silent=tuple(p.partition for p in state.partitions if p.position >= stops[p.partition]),
    )


def log_notices(topic: str, notices: Iterable[Notice]) -> None:
    """A line a notice."""
    for notice in notices:
        _logger.warning("%s", sentence(topic, notice))
