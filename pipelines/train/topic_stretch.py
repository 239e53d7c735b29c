"""The events of a stretch of time in a job's topic, read once: what a job would decode, without a place in the topic.

Where the stretch begins is asked of the broker: an event may lie `source.max_ahead` ahead of its record's Kafka
timestamp and no further, so no record before that moment holds an event of the stretch. Timestamps do not say where it
ends, since a backfill is written long after its events: a partition is read until a whole block of it lies behind the
end by as much as the job waits for rows, or to the end that it has now.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np

from sparsewatch.pipelines.job.ready import Ready
from sparsewatch.pipelines.job.source_topic import expect_topic
from sparsewatch.schemas.block import EVENT_TIME_US, PARTITION
from sparsewatch.schemas.errors import ConfigError, SourceError
from sparsewatch.schemas.units import moment_text
from sparsewatch.transforms.codecs.decode import Decoded, decode
from sparsewatch.transforms.codecs.stretch import Stretch
from sparsewatch.transforms.kafka.client import Reader
from sparsewatch.transforms.kafka.open import open_reader
from sparsewatch.transforms.kafka.spans import Spans
from sparsewatch.transforms.records import Fetched

#: Records of each end of a partition by which is seen from when to when its events are.
_LOOKED_AT = 100
#: Records requested at once.
_MOST_RECORDS = 10_000
#: Called with the number of records just read, and with that of all to read, as far as it is known.
OnRecords = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """A stretch as a user asks for it: from and to a moment, or the last so many microseconds of the topic."""

    stretch: Stretch = field(default_factory=Stretch)
    last_us: int | None = None


class TopicStretch:
    """Reads a stretch of a job's source topic.

    Args:
        made: The job.
        asked: The stretch.

    Raises:
        ConfigError: If there is no such topic, it is empty, or holds no event of the stretch: from when to when its
            events are is in the message.
        SourceError: If the broker does not answer.
    """

    def __init__(self, made: Ready, asked: Asked) -> None:
        self._made = made
        self._topic = made.topics.source
        self._kafka = made.job.kafka
        partitions = expect_topic(self._kafka, self._topic).partitions
        with closing(self._open()) as reader:
            reader.assign(dict.fromkeys(partitions, 0))
            begin, end = reader.begin_offsets(), reader.end_offsets()
            self._filled = {p: (begin[p], end[p]) for p in partitions if begin[p] < end[p]}
            if not self._filled:
                raise ConfigError(f"topic {self._topic!r} is empty: there is nothing to learn from")
            #: First and last event time that its ends show, microseconds.
            self.holds = self._look(reader)
            self.stretch = self._stretch(asked)
            self._check_met()
            reader.assign(begin)
            since = self.stretch.since_us
            first = begin if since is None else reader.offsets_at((since - made.events.max_ahead_us) // 1_000)
        self._spans = {p: (max(first[p], start), stop) for p, (start, stop) in self._filled.items()}

    def decoded(self, on_records: OnRecords = lambda _read, _of: None) -> Iterator[Decoded]:
        """The events of the stretch, and the rejects among them, block by block.

        Raises:
            SourceError: If the broker does not answer, or sends nothing of what it says it has.
        """
        with closing(self._open()) as reader:
            spans = Spans(reader, self._spans)
            waiting, size = list[Fetched](), 0
            total = sum(max(0, stop - start) for start, stop in self._spans.values())
            for run in spans.runs(lambda: _MOST_RECORDS):
                waiting.append(run)
                size += len(run)
                on_records(len(run), total)
                if size >= self._made.job.source.block_rows:
                    yield self._block(waiting, spans)
                    waiting, size = [], 0
            if spans.left:
                raise SourceError(f"topic {self._topic!r}: the broker sends none of the records it says it has")
            if waiting:
                yield self._block(waiting, spans)

    def _block(self, runs: list[Fetched], spans: Spans) -> Decoded:
        # Each partition's runs stand together, as a reader's do.
        decoded = decode(self._topic, sorted(runs, key=lambda run: run.partition), self._made.events)
        until = self.stretch.until_us
        if until is not None:
            windows = self._made.windows
            behind = until + windows.length_us + windows.disorder_us
            for partition, times in _times(decoded).items():
                if times.min() >= behind:
                    spans.end(partition)
        return self.stretch.of(decoded)

    def _stretch(self, asked: Asked) -> Stretch:
        if asked.last_us is None:
            return asked.stretch
        length = self._made.windows.length_us
        until = -(-(self.holds[1] + 1) // length) * length
        return Stretch(until - asked.last_us, until)

    def _check_met(self) -> None:
        first, last = self.holds
        since, until = self.stretch.since_us, self.stretch.until_us
        if (since is not None and since > last) or (until is not None and until <= first):
            raise ConfigError(f"expected events in the stretch of time, got none: {self.held()}")

    def remarks(self) -> list[str]:
        """What a person should know of the stretch."""
        since = self.stretch.since_us
        if since is None or self.holds[0] < since + self._made.windows.length_us:
            return []
        return [f"{self.held()}: the stretch begins later than asked for"]

    def held(self) -> str:
        """From when to when the topic's events are, in words."""
        return (
            f"topic {self._topic!r} holds events from {moment_text(self.holds[0])} to {moment_text(self.holds[1])} UTC"
        )

    def _look(self, reader: Reader) -> tuple[int, int]:
        """First and last event time of the records at both ends of the partitions."""
        ends = [
            {p: (start, min(stop, start + _LOOKED_AT)) for p, (start, stop) in self._filled.items()},
            {p: (max(start, stop - _LOOKED_AT), stop) for p, (start, stop) in self._filled.items()},
        ]
        found = [
            decode(self._topic, sorted(Spans(reader, end).runs(lambda: _LOOKED_AT), key=_place), self._made.events)
            for end in ends
        ]
        times = np.concatenate([one.rows.column(EVENT_TIME_US).to_numpy() for one in found])
        if not len(times):
            reasons = sorted({reject.message for one in found for reject in one.rejects})
            raise ConfigError(
                f"topic {self._topic!r}: expected events that the job can use, got none at either end, for example: "
                f"{next(iter(reasons), 'no record')}"
            )
        return int(times.min()), int(times.max())

    def _open(self) -> Reader:
        return open_reader(self._kafka, self._topic, self._made.events.max_record_bytes)


def _place(run: Fetched) -> tuple[int, int]:
    return run.partition, run.next_offset


def _times(decoded: Decoded) -> Mapping[int, np.ndarray]:
    """Event times by partition."""
    times = decoded.rows.column(EVENT_TIME_US).to_numpy()
    partitions = decoded.rows.column(PARTITION).to_numpy()
    return {partition: times[partitions == partition] for partition in np.unique(partitions).tolist()}
