"""The client protocol over kafka-python: pure Python, the default."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    UnknownError,
)

from sparsewatch.schemas.errors import SinkError, SourceError, SparsewatchError
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.schemas.settings import parse_duration_us
from sparsewatch.transforms.kafka.client import Sight
from sparsewatch.transforms.kafka.column_reading import read_columns
from sparsewatch.transforms.kafka.ends import Ends
from sparsewatch.transforms.kafka.faults import TOO_LARGE, refused_topic
from sparsewatch.transforms.kafka.kafka_python_admin import topics_of
from sparsewatch.transforms.kafka.opening import opened
from sparsewatch.transforms.kafka.record_columns import Columns
from sparsewatch.transforms.kafka.topic_sight import TopicSight
from sparsewatch.transforms.records import Fetched, Headers, passed_over

#: Bytes that a client asks for at once, of all partitions, and that it keeps ahead: as many as fill a batch.
FETCH_BYTES = 16 << 20
#: Bytes of one partition among them, at least: it is asked again when these are used up, and smaller answers keep a
#: job waiting.
_PARTITION_BYTES = 8 << 20
#: Room beside the largest record in one fetch and in one request.
_MARGIN_BYTES = 1 << 20
#: Largest record we write: a reject carries its original bytes whatever their size.
_MAX_REQUEST_BYTES = 64 << 20
_FOREVER_MS = 2**31 - 1
#: How long the broker holds a fetch that finds nothing.
_FETCH_WAIT_MS = 100
#: How long a first fetch at the end of a partition may take, how long each try, and how long the broker holds it: it
#: finds nothing. Asked not to hold it at all, some brokers answer without having looked (see docs/brokers.md).
_LOOK_S, _LOOK_POLL_S, _LOOK_WAIT_MS = 5.0, 0.005, 1


def ends_of_all(settings: KafkaSettings, topic: str, partitions: Iterable[int]) -> dict[int, int]:
    """Where the records of partitions end, those of open transactions included.

    Raises:
        SourceError: If the broker does not answer.
    """
    try:
        with closing(opened(KafkaAdminClient, settings)) as admin:
            found = admin.list_partition_offsets({TopicPartition(topic, p): OffsetSpec.LATEST for p in partitions})
    except KafkaError as error:
        raise SourceError(f"the broker gave no offsets of topic {topic!r}: {error!r}") from error
    return {tp.partition: answer.offset for tp, answer in found.items()}


class KafkaPythonReader:
    """See `sparsewatch.transforms.kafka.client.Reader`."""

    def __init__(self, settings: KafkaSettings, topic: str, max_bytes: int) -> None:
        self._settings = settings
        self._topic = topic
        self._timeout_ms = parse_duration_us(settings.timeout) // 1000
        self._partitions: tuple[int, ...] = ()
        #: Next offset of each partition, as reported by `fetch`.
        self._next: dict[int, int] = {}
        self._sight = TopicSight(settings, topic)
        self._ends = Ends(self.log_ends)
        self._consumer = opened(
            KafkaConsumer,
            settings,
            group_id=None,
            isolation_level=settings.isolation_level,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=max(_PARTITION_BYTES, max_bytes + _MARGIN_BYTES),
            fetch_max_bytes=max(FETCH_BYTES, max_bytes + _MARGIN_BYTES),
            fetch_max_wait_ms=_FETCH_WAIT_MS,
        )
        read_columns(self._consumer)

    def partitions(self) -> tuple[int, ...]:
        """See the protocol."""
        return topics_of(self._consumer).get(self._topic) or self._sight.look().partitions

    def look(self) -> Sight:
        """See the protocol."""
        return self._sight.look()

    def assign(self, positions: Mapping[int, int]) -> None:
        """See the protocol."""
        self._partitions = tuple(sorted(positions))
        self._next = dict(positions)
        self._consumer.assign([TopicPartition(self._topic, p) for p in self._partitions])
        for partition in self._partitions:
            self._consumer.seek(TopicPartition(self._topic, partition), positions[partition])

    def fetch(self, timeout_s: float, max_records: int) -> list[Fetched]:
        """See the protocol."""
        got = self._poll(timeout_s, max_records)
        runs = [run for tp, found in got.items() if found for run in _runs(tp.partition, found)]
        last = {run.partition: run for run in runs}
        for partition in self._partitions:
            at = self._consumer.position(TopicPartition(self._topic, partition))
            if at is None:
                continue
            if run := last.get(partition):
                run.next_offset = max(run.next_offset, at)
            elif at > self._next[partition]:
                runs.append(passed_over(partition, at))
        self._next.update({run.partition: run.next_offset for run in runs})
        return runs

    def _poll(self, timeout_s: float, max_records: int | None = None) -> dict[TopicPartition, list[Any]]:
        try:
            got: dict[TopicPartition, list[Any]] = self._consumer.poll(round(timeout_s * 1000), max_records)
        except TopicAuthorizationFailedError as error:
            raise refused_topic(self._settings, self._topic, "READ") from error
        except KafkaError as error:
            raise SourceError(f"topic {self._topic!r} cannot be read: {error!r}") from error
        return got

    def end_offsets(self) -> dict[int, int]:
        """See the protocol.

        Some brokers answer with the start of the last batch when asked for the end, and a fetch shows more. So a
        partition that was never fetched from is fetched from once, at the end that the broker states.
        """
        if unknown := [tp for tp in self._assigned() if self._consumer.highwater(tp) is None]:
            self._look_at_ends(unknown)
        fetched = {tp.partition: self._consumer.highwater(tp) or 0 for tp in self._assigned()}
        return self._ends.settled(fetched, self._stated_ends())

    def _stated_ends(self) -> dict[int, int]:
        return self._ask(self._consumer.end_offsets, self._assigned())

    def _look_at_ends(self, partitions: list[TopicPartition]) -> None:
        stated = self._stated_ends()
        back = {tp: self._consumer.position(tp) for tp in self._assigned()}
        for tp in partitions:
            self._consumer.seek(tp, stated[tp.partition])
        deadline = time.monotonic() + _LOOK_S
        requests = self._consumer._fetcher.config
        requests["fetch_max_wait_ms"] = _LOOK_WAIT_MS
        try:
            while time.monotonic() < deadline and any(self._consumer.highwater(tp) is None for tp in partitions):
                self._poll(_LOOK_POLL_S)
        finally:
            requests["fetch_max_wait_ms"] = _FETCH_WAIT_MS
        for tp, position in back.items():
            self._consumer.seek(tp, position)

    def log_ends(self) -> dict[int, int]:
        """See the protocol."""
        return ends_of_all(self._settings, self._topic, self._partitions)

    def begin_offsets(self) -> dict[int, int]:
        """See the protocol."""
        return self._ask(self._consumer.beginning_offsets, self._assigned())

    def offsets_at(self, timestamp_ms: int) -> dict[int, int]:
        """See the protocol."""
        found = self._ask(self._consumer.offsets_for_times, dict.fromkeys(self._assigned(), timestamp_ms))
        ends = self.end_offsets()
        return {p: ends[p] if found[p] is None else found[p].offset for p in ends}

    def _assigned(self) -> list[TopicPartition]:
        return [TopicPartition(self._topic, p) for p in self._partitions]

    def _ask(self, question: Callable[..., Mapping[TopicPartition, Any]], about: Any) -> dict[int, Any]:
        try:
            answer = question(about, timeout_ms=self._timeout_ms)
        except TopicAuthorizationFailedError as error:
            raise refused_topic(self._settings, self._topic, "DESCRIBE") from error
        except (KafkaError, KeyError) as error:
            # The client looks up partitions that the broker did not answer for: those of a topic just made.
            raise SourceError(f"the broker gave no offsets of topic {self._topic!r}: {error!r}") from error
        return {tp.partition: offset for tp, offset in answer.items()}

    def close(self) -> None:
        """See the protocol."""
        self._sight.close()
        self._consumer.close(autocommit=False)


def _runs(partition: int, found: list[Any]) -> list[Fetched]:
    if isinstance(found[0], Columns):
        return [columns.run(partition) for columns in found]
    return [_run(partition, found)]


def _run(partition: int, records: list[Any]) -> Fetched:
    return Fetched(
        partition=partition,
        offsets=[r.offset for r in records],
        timestamps_ms=[-1 if r.timestamp is None else r.timestamp for r in records],
        values=[r.value for r in records],
        headers=[r.headers for r in records],
        keys=lambda i: records[i].key,
        next_offset=records[-1].offset + 1,
    )


class KafkaPythonWriter:
    """See `sparsewatch.transforms.kafka.client.Writer`."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._pending: list[tuple[str, Any]] = []
        self._producer = self._opened()

    def _opened(self) -> KafkaProducer:
        return opened(
            KafkaProducer,
            self._settings,
            acks="all",
            linger_ms=5,
            batch_size=1 << 17,
            max_request_size=_MAX_REQUEST_BYTES,
            delivery_timeout_ms=_FOREVER_MS,
            max_block_ms=_FOREVER_MS,
        )

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> None:
        """See the protocol."""
        try:
            future = self._producer.send(
                topic, value=value, key=key, headers=list(headers), partition=partition, timestamp_ms=timestamp_ms
            )
        except TopicAuthorizationFailedError as error:
            raise refused_topic(self._settings, topic, "WRITE") from error
        except KafkaError as error:
            raise SinkError(f"topic {topic!r}: the record cannot be sent: {error}") from error
        self._pending.append((topic, future))

    def flush(self) -> None:
        """See the protocol."""
        with suppress(UnknownError):
            # It is raised where a batch was split, since the broker took it for too large; its records have futures.
            self._producer.flush()
        pending, self._pending = self._pending, []
        for _, future in pending:
            with suppress(KafkaError):
                future.get()
        for topic, future in pending:
            if future.failed():
                # An idempotent producer that was refused a record refuses all that follow.
                self._producer.close(timeout=0)
                self._producer = self._opened()
                raise self._refusal(topic, future.exception) from future.exception

    def _refusal(self, topic: str, reason: BaseException) -> SparsewatchError:
        if isinstance(reason, TopicAuthorizationFailedError):
            return refused_topic(self._settings, topic, "WRITE")
        if isinstance(reason, MessageSizeTooLargeError):
            return SinkError(TOO_LARGE.format(topic))
        return SinkError(f"topic {topic!r} refused a record: {reason}")

    def close(self) -> None:
        """See the protocol."""
        self._producer.close()
