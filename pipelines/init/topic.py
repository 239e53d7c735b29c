"""The sample of a topic: of each partition its oldest and its newest records, as many as are wanted at most."""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass

from sparsewatch.pipelines.job.source_topic import expect_topic
from sparsewatch.schemas.errors import ConfigError, SchemaError, SourceError
from sparsewatch.schemas.jobs import KafkaSettings, SourceSettings
from sparsewatch.schemas.settings import parse_size
from sparsewatch.transforms.codecs.arrow import read_arrow
from sparsewatch.transforms.codecs.decode import are_arrow
from sparsewatch.transforms.kafka.client import Reader
from sparsewatch.transforms.kafka.open import open_reader
from sparsewatch.transforms.kafka.spans import Spans
from sparsewatch.transforms.records import Fetched

#: Records requested at once, and while their size is not known.
_MOST_RECORDS, _FIRST_RECORDS = 10_000, 16
#: Bytes of values that are read at most.
MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Looked:
    """Records of a topic."""

    #: Runs by partition and offset.
    fetched: list[Fetched]
    partitions: int
    #: Records of the topic.
    records: int
    #: Names of the broker's topics.
    topics: frozenset[str]


def look_at_topic(
    kafka: KafkaSettings, topic: str, most_events: int, on_records: Callable[[int], None] = lambda _: None
) -> Looked:
    """Read a sample of a topic.

    Args:
        kafka: The broker.
        topic: The topic.
        most_events: How many events are wanted; of records of many events fewer are read.
        on_records: Called with the number of records just read.

    Raises:
        ConfigError: If there is no such topic, or it is empty.
        SourceError: If the broker does not answer, or sends nothing of what it says it has.
    """
    partitions, topics = expect_topic(kafka, topic)
    largest = parse_size(SourceSettings(topic=topic, time_column="").max_record_bytes)
    with closing(open_reader(kafka, topic, largest)) as reader:
        reader.assign(dict.fromkeys(partitions, 0))
        begin, end = reader.begin_offsets(), reader.end_offsets()
        filled = {p: (begin[p], end[p]) for p in partitions if end[p] > begin[p]}
        if not filled:
            raise ConfigError(_empty(topic, had_records=any(end.values())))
        fetched = _Stretches(reader, topic, on_records).read(filled, most_events)
    total = sum(last - first for first, last in filled.values())
    return Looked(fetched, len(partitions), total, topics)


class _Stretches:
    """Reads the begin and the end of partitions."""

    def __init__(self, reader: Reader, topic: str, on_records: Callable[[int], None]) -> None:
        self._reader = reader
        self._topic = topic
        self._on_records = on_records
        self._runs: list[Fetched] = []
        self._records = self._bytes = 0

    def read(self, filled: Mapping[int, tuple[int, int]], most_events: int) -> list[Fetched]:
        """Runs of records of partitions, given by their first offset and the one after the last."""
        # A few tell how many events a record holds, and how many bytes: no partition's share may be cut short.
        one, (first, last) = next(iter(filled.items()))
        self._stretch({one: (first, min(last, first + _FIRST_RECORDS))}, MOST_BYTES)
        fitting = MOST_BYTES * self._records // max(1, self._bytes)
        share = max(1, min(most_events // self._events_a_record(), fitting) // (2 * len(filled)))
        self._runs, self._records, self._bytes = [], 0, 0
        old = {p: (first, min(last, first + share)) for p, (first, last) in filled.items()}
        new = {p: (max(old[p][1], last - share), last) for p, (_, last) in filled.items()}
        self._stretch(old, MOST_BYTES // 2)
        self._stretch({p: span for p, span in new.items() if span[0] < span[1]}, MOST_BYTES)
        if not self._records:
            raise SourceError(f"topic {self._topic!r}: the broker sends none of the records it says it has")
        return sorted(self._runs, key=lambda run: (run.partition, run.next_offset))

    def _events_a_record(self) -> int:
        """Events of the first record, at least 1."""
        run = next((run for run in self._runs if len(run)), None)
        if run is None or not are_arrow(run, "arrow")[0]:
            return 1
        try:
            return max(1, int(read_arrow(run.values[0] or b"").num_rows))
        except SchemaError:
            return 1

    def _stretch(self, spans: Mapping[int, tuple[int, int]], most_bytes: int) -> None:
        """Read records between offsets, until all are read, or so many bytes in all, or the broker is silent."""
        for run in Spans(self._reader, spans).runs(lambda: self._fit(most_bytes)):
            self._take(run)

    def _fit(self, most_bytes: int) -> int:
        """Records of the next request; 0 for none."""
        if self._bytes >= most_bytes:
            return 0
        if not self._bytes:
            return _FIRST_RECORDS
        return max(1, min(_MOST_RECORDS, (most_bytes - self._bytes) * self._records // self._bytes))

    def _take(self, run: Fetched) -> None:
        if not len(run):
            return
        self._runs.append(run)
        self._records += len(run)
        self._bytes += int(run.sizes().clip(0).sum())
        self._on_records(len(run))


def _empty(topic: str, *, had_records: bool) -> str:
    why = "what it had is deleted" if had_records else "nothing was written to it"
    return (
        f"topic {topic!r} is empty, {why}: wait until a producer has written to it; or draft the job from files "
        "(--file), and fill the topic by `sparsewatch publish`"
    )
