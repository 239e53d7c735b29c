"""The client protocol over confluent-kafka (librdkafka): the extra `confluent`, for those who need its speed."""

import itertools
import logging
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

import numpy as np
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from kafka import KafkaAdminClient
from numpy.typing import NDArray

from sparsewatch.schemas.errors import SinkError, SourceError
from sparsewatch.schemas.jobs import KafkaSettings, read_password
from sparsewatch.schemas.settings import parse_duration_us
from sparsewatch.transforms.kafka.client import Sight
from sparsewatch.transforms.kafka.ends import Ends
from sparsewatch.transforms.kafka.faults import TOO_LARGE, listens, refused_topic
from sparsewatch.transforms.kafka.kafka_python import FETCH_BYTES, ends_of_all
from sparsewatch.transforms.kafka.opening import opened
from sparsewatch.transforms.kafka.presence import broker_at
from sparsewatch.transforms.kafka.topic_sight import TopicSight
from sparsewatch.transforms.records import Fetched, Headers, passed_over

_T = TypeVar("_T")
_CLIENT_LOG = logging.getLogger("librdkafka")
#: librdkafka's level of information.
_LOG_ALL = 6

#: Largest record we write, as in the kafka-python client.
_MAX_REQUEST_BYTES = 64 << 20
#: Bytes of records sent as one, which a topic takes or refuses as one; by default as many as most topics take at all.
_BATCH_BYTES = 1 << 17

#: A broker that answers, and does not let us in.
_REFUSALS = (KafkaError._AUTHENTICATION, KafkaError._SSL)
#: Longest wait for a sign of a broker that was away.
_LOOK_S = 0.2
#: Longest wait between two tries to connect.
_RECONNECT_MS = 500
#: How long the broker may hold a request for records that are not there yet. It answers a connection's requests in
#: turn, so that questions about offsets wait as long.
_LONGEST_FETCH_MS = 50
#: How many records are waited for together, and how long: where a topic is behind, so many are there at once.
_TOGETHER, _TOGETHER_S = 500, 0.02
#: How soon a queue that was full is looked at again; librdkafka's own second leaves the reader without records.
_FULL_QUEUE_MS = 10
#: Longest wait of a new writer for its first sight of a broker.
_FIRST_SIGHT_S = 0.5


def connection(settings: KafkaSettings) -> dict[str, Any]:
    """Properties of librdkafka for our settings; once the broker has let another client in with them.

    That client, kafka-python's, tells at once what librdkafka waits for in silence.

    Raises:
        AccessError: If the broker refuses us: password, certificate, protocol.
        SourceError: If no broker answers in time.
        ConfigError: If the password or the certificates cannot be read.
    """
    opened(KafkaAdminClient, settings).close()
    properties: dict[str, Any] = {
        "bootstrap.servers": ",".join(settings.bootstrap_servers),
        "security.protocol": settings.security_protocol,
        "client.id": "sparsewatch",
        "reconnect.backoff.max.ms": _RECONNECT_MS,
        "error_cb": _on_error,
        "logger": _CLIENT_LOG,
        # What concerns users is said by us, once.
        "log_level": _LOG_ALL if _CLIENT_LOG.isEnabledFor(logging.DEBUG) else 0,
    }
    if settings.ca_file:
        properties["ssl.ca.location"] = settings.ca_file
    if settings.sasl_mechanism:
        password = read_password(settings)
        properties["sasl.mechanism"] = settings.sasl_mechanism
        properties["sasl.username"] = settings.username
        properties["sasl.password"] = None if password is None else password.reveal()
    return properties


def _on_error(error: Any) -> None:
    # Such as "sasl_ssl://kafka:9092/bootstrap: Connect to ipv4#10.0.0.1:9092 failed: Connection refused (after 0ms)".
    found = re.match(r"(?:\w+://)?([^/\s]+:\d+)/\S+: (Connect to .* failed: )?(.*?)(?: \(after .*)?$", error.str())
    if found is None or broker_at(found[1]).is_away:
        return
    # A producer is told late, when it is next asked to do something: the broker may be back.
    if error.code() in _REFUSALS or (found[2] and not listens(found[1])):
        broker_at(found[1]).away(found[3])


class ConfluentReader:
    """See `sparsewatch.transforms.kafka.client.Reader`."""

    def __init__(self, settings: KafkaSettings, topic: str, max_bytes: int) -> None:
        self._settings = settings
        self._topic = topic
        self._timeout_s = parse_duration_us(settings.timeout) / 1e6
        self._partitions: tuple[int, ...] = ()
        #: Next offset of each partition, as reported by `fetch`.
        self._next: dict[int, int] = {}
        #: Whether the consumer has been given the positions.
        self._is_fetching = False
        self._sight = TopicSight(settings, topic)
        self._ends = Ends(self.log_ends)
        self._consumer = Consumer(
            {
                **connection(settings),
                "isolation.level": settings.isolation_level,
                # librdkafka wants a group even where partitions are assigned by hand; nothing is committed to it.
                "group.id": "sparsewatch-reader",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "max.partition.fetch.bytes": max_bytes + (1 << 20),
                "fetch.max.bytes": max(FETCH_BYTES, max_bytes + (1 << 20)),
                "queued.max.messages.kbytes": FETCH_BYTES >> 10,
                "fetch.queue.backoff.ms": _FULL_QUEUE_MS,
                "fetch.wait.max.ms": _LONGEST_FETCH_MS,
            }
        )

    def partitions(self) -> tuple[int, ...]:
        """See the protocol."""
        topics = self._ask(lambda: self._consumer.list_topics(timeout=self._timeout_s)).topics
        if self._topic not in topics:
            return self._sight.look().partitions
        return tuple(sorted(topics[self._topic].partitions))

    def look(self) -> Sight:
        """See the protocol."""
        return self._sight.look()

    def assign(self, positions: Mapping[int, int]) -> None:
        """See the protocol."""
        self._partitions = tuple(sorted(positions))
        self._next = dict(positions)
        self._is_fetching = False

    def fetch(self, timeout_s: float, max_records: int) -> list[Fetched]:
        """See the protocol."""
        self._begin_to_fetch()
        found: dict[int, list[_Columns]] = {}
        # Messages are dropped as soon as their columns are taken: kept to the end of a fetch, each costs twice as much.
        for messages in self._consume(timeout_s, max_records):
            for partition, records in self._by_partition(messages):
                found.setdefault(partition, []).append(_columns(records))
        self._look_for_broker(bool(found))
        fetched = [_joined(partition, columns) for partition, columns in found.items()]
        self._next.update({run.partition: run.next_offset for run in fetched})
        return fetched + self._passed_over(set(found))

    def _consume(self, timeout_s: float, max_records: int) -> Iterator[list[Message]]:
        # consume() waits for the whole count. So one is waited for, then for little and not long what comes with it;
        # the rest is taken as it is there.
        messages: list[Message] = self._consumer.consume(num_messages=1, timeout=timeout_s)
        count, wanted, wait_s = len(messages), len(messages), _TOGETHER_S
        while messages:
            yield messages
            if len(messages) < wanted or count >= max_records:
                return
            wanted = min(_TOGETHER, max_records - count)
            messages = self._consumer.consume(num_messages=wanted, timeout=wait_s)
            count, wait_s = count + len(messages), 0

    def _by_partition(self, messages: list[Message]) -> Iterator[tuple[int, list[Message]]]:
        """Those that are records, in order, by partition."""
        # By identity: an error of librdkafka cannot be compared with None.
        if any(error is not None for error in map(Message.error, messages)):
            messages = [m for m in messages if self._is_record(m)]
        messages.sort(key=Message.partition)
        for partition, run in itertools.groupby(messages, Message.partition):
            yield partition, list(run)

    def _look_for_broker(self, has_records: bool) -> None:
        # librdkafka says when a connection fails, and nothing when one succeeds again.
        away = [b for b in map(broker_at, self._settings.bootstrap_servers) if b.is_away]
        if away and (has_records or self._has_answer()):
            for broker in away:
                broker.answers()

    def _has_answer(self) -> bool:
        try:
            self._consumer.list_topics(self._topic, timeout=_LOOK_S)
        except KafkaException:
            return False
        return True

    def _begin_to_fetch(self) -> None:
        """Give the consumer the positions; it fetches from then on, and other questions wait behind its requests."""
        if not self._is_fetching:
            self._consumer.assign([TopicPartition(self._topic, p, self._next[p]) for p in self._partitions])
            self._is_fetching = True

    def _passed_over(self, fetched: set[int]) -> list[Fetched]:
        # One entry a partition: partitions that gave records just now are checked by the next fetch.
        positions = self._consumer.position(
            [TopicPartition(self._topic, p) for p in self._partitions if p not in fetched]
        )
        ahead = [passed_over(tp.partition, tp.offset) for tp in positions if tp.offset > self._next[tp.partition]]
        self._next.update({run.partition: run.next_offset for run in ahead})
        return ahead

    def _is_record(self, message: Any) -> bool:
        error = message.error()
        if error is None:
            return True
        if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise refused_topic(self._settings, self._topic, "READ")
        if error.code() == KafkaError._PARTITION_EOF or error.retriable() or not error.fatal():
            return False
        raise SourceError(f"topic {self._topic!r} cannot be read: {error}")

    def end_offsets(self) -> dict[int, int]:
        """See the protocol.

        Some brokers answer with the start of the last batch when asked for the end, and a fetch shows more.
        """
        fetched = {p: self._fetched_end(p) for p in self._partitions}
        return self._ends.settled(fetched, {p: high for p, (_, high) in self._watermarks().items()})

    def _fetched_end(self, partition: int) -> int:
        _, high = self._consumer.get_watermark_offsets(TopicPartition(self._topic, partition), cached=True)
        return int(high)

    def log_ends(self) -> dict[int, int]:
        """See the protocol."""
        return ends_of_all(self._settings, self._topic, self._partitions)

    def begin_offsets(self) -> dict[int, int]:
        """See the protocol."""
        return {p: low for p, (low, _) in self._watermarks().items()}

    def offsets_at(self, timestamp_ms: int) -> dict[int, int]:
        """See the protocol."""
        wanted = [TopicPartition(self._topic, p, timestamp_ms) for p in self._partitions]
        found = self._ask(lambda: self._consumer.offsets_for_times(wanted, timeout=self._timeout_s))
        ends = self.end_offsets()
        return {tp.partition: tp.offset if tp.offset >= 0 else ends[tp.partition] for tp in found}

    def _watermarks(self) -> dict[int, tuple[int, int]]:
        return {p: self._ask(self._watermark_of(p)) for p in self._partitions}

    def _watermark_of(self, partition: int) -> Callable[[], tuple[int, int]]:
        def ask() -> tuple[int, int]:
            answer: tuple[int, int] = self._consumer.get_watermark_offsets(
                TopicPartition(self._topic, partition), timeout=self._timeout_s, cached=False
            )
            return answer

        return ask

    def _ask(self, question: Callable[[], _T]) -> _T:
        try:
            return question()
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                raise refused_topic(self._settings, self._topic, "DESCRIBE") from error
            raise SourceError(f"the broker gave no offsets of topic {self._topic!r}: {error}") from error

    def close(self) -> None:
        """See the protocol."""
        self._sight.close()
        self._consumer.close()


class _Columns(NamedTuple):
    """Records of one partition, in order."""

    offsets: NDArray[np.int64]
    timestamps_ms: NDArray[np.int64]
    values: list[bytes | None]
    keys: list[bytes | None]
    headers: list[Headers | None]


def _columns(messages: list[Message]) -> _Columns:
    times = map(operator.itemgetter(1), map(Message.timestamp, messages))
    return _Columns(
        np.fromiter(map(Message.offset, messages), np.int64, len(messages)),
        np.fromiter(times, np.int64, len(messages)),
        list(map(Message.value, messages)),
        list(map(Message.key, messages)),
        list(map(Message.headers, messages)),
    )


def _joined(partition: int, columns: list[_Columns]) -> Fetched:
    offsets, times, values, keys, headers = zip(*columns, strict=True)
    found = list(itertools.chain.from_iterable(headers))
    return Fetched(
        partition=partition,
        offsets=np.concatenate(offsets),
        timestamps_ms=np.concatenate(times),
        values=list(itertools.chain.from_iterable(values)),
        headers=[own or () for own in found] if any(found) else (),
        keys=list(itertools.chain.from_iterable(keys)).__getitem__,
        next_offset=int(offsets[-1][-1]) + 1,
    )


class ConfluentWriter:
    """See `sparsewatch.transforms.kafka.client.Writer`."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        #: Since the last flush.
        self._sent = 0
        self._refused: list[tuple[str, Any]] = []
        self._producer = Producer(
            {
                **connection(settings),
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 5,
                "batch.size": _BATCH_BYTES,
                "message.max.bytes": _MAX_REQUEST_BYTES,
                "message.timeout.ms": 0,
                "queue.buffering.max.messages": 1_000_000,
                "queue.buffering.max.kbytes": 1 << 20,
                # To be told of each record that it was written costs 2 µs of the 7.5 that a record of 12 headers takes.
                "delivery.report.only.error": True,
            }
        )
        # What is sent before it waits for librdkafka's next look at the topics, once a second.
        with suppress(KafkaException):
            self._producer.cluster_id(_FIRST_SIGHT_S)

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
        where = {} if partition is None else {"partition": partition}
        when = {} if timestamp_ms is None else {"timestamp": timestamp_ms}
        while True:
            try:
                self._producer.produce(
                    topic, value=value, key=key, headers=list(headers), on_delivery=self._not_delivered, **where, **when
                )
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                raise SinkError(f"topic {topic!r} refused a record: {error}") from error
            else:
                self._sent += 1
                return

    def _not_delivered(self, error: Any, message: Any) -> None:
        self._refused.append((message.topic(), error))

    def flush(self) -> None:
        """See the protocol."""
        self._producer.flush()
        (sent, self._sent), (refused, self._refused) = (self._sent, 0), (self._refused, [])
        if sent > len(refused):
            for server in self._settings.bootstrap_servers:
                broker_at(server).answers()
        if refused:
            topic, error = refused[0]
            if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                raise refused_topic(self._settings, topic, "WRITE")
            if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                raise SinkError(TOO_LARGE.format(topic))
            raise SinkError(f"topic {topic!r} refused a record: {error}")

    def close(self) -> None:
        """See the protocol."""
        self._producer.flush()
