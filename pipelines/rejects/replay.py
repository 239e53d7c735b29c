"""Sends rejects back to the topic they came from, repaired or, with `force`, unchanged; late records to another.

Order of writing: records, wait until they are durable, then their ids. If a replay is interrupted in between,
`sparsewatch.pipelines.rejects.replay_log` finds what it had sent.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from sparsewatch.pipelines.rejects.repairs import Repair
from sparsewatch.pipelines.rejects.topics import REPLAYED_FROM, Origin, Originals, SetAside
from sparsewatch.schemas.errors import SchemaError, SinkError
from sparsewatch.transforms.kafka.client import Writer

#: Records sent before a flush. A larger value is flushed alone, so that a refusal is known to be of this record.
_BATCH_RECORDS = 200
_ALONE_BYTES = 1 << 18


@dataclass(frozen=True, kw_only=True)
class ReplayPlan:
    """What to replay and how."""

    origin: Origin
    #: The topic that records are sent to, and its partitions.
    to: str
    partitions: tuple[int, ...]
    #: Repaired values by id, if they come from a file.
    values: Mapping[str, bytes] = field(default_factory=dict)
    #: Makes a repaired value from id and original value; raises SchemaError where it cannot.
    repair: Repair | None = None
    #: Also replay records that are certain to be rejected again.
    force: bool = False
    dry_run: bool = False


@dataclass
class ReplayCount:
    """What became of the rejects."""

    replayed: int = 0
    events: int = 0
    repaired: int = 0
    #: Number of rejects that were not replayed.
    left: int = 0


class Replay:
    """Replays rejects one after the other; `finish` makes the last of them durable.

    Args:
        plan: What to do.
        writer: Where replayed records and their ids go.
        originals: Finds values that were too large for the rejects topic.
        on_left: Called with the id and the fate of each reject that is not replayed, or would be in a dry run.
    """

    def __init__(
        self, plan: ReplayPlan, writer: Writer, originals: Originals, on_left: Callable[[str, str], None]
    ) -> None:
        self.count = ReplayCount()
        self._plan = plan
        self._writer = writer
        self._originals = originals
        self._on_left = on_left
        self._unsure: list[tuple[SetAside, bool]] = []

    def take(self, reject: SetAside) -> None:
        """Replay one reject, or report why not.

        Raises:
            SinkError: If the broker refuses a batch of records.
            SourceError: If the broker does not answer.
        """
        try:
            value, repaired = self._value(reject)
            self._check_partition(reject.record.partition)
        except SchemaError as error:
            self._leave(reject, str(error))
            return
        if self._plan.dry_run:
            self._on_left(reject.id, f"would be replayed {'repaired' if repaired else 'as it is'}")
            self._add(reject, repaired)
        elif len(value or b"") > _ALONE_BYTES:
            self._send_alone(reject, value, repaired)
        else:
            self._send(reject, value, repaired)
            if len(self._unsure) >= _BATCH_RECORDS:
                self.finish()

    def finish(self) -> None:
        """Wait until what was sent is durable, then note its ids.

        Raises:
            SinkError: If the broker refuses a record.
        """
        if not self._unsure:
            return
        self._writer.flush()
        for reject, repaired in self._unsure:
            note = msgspec.json.encode({"code": reject.record.code, "repaired": repaired})
            self._writer.send(self._plan.origin.replayed_topic, reject.id.encode(), note)
        self._writer.flush()
        for reject, repaired in self._unsure:
            self._add(reject, repaired)
        self._unsure.clear()

    def _value(self, reject: SetAside) -> tuple[bytes | None, bool]:
        given = self._plan.values.get(reject.id)
        if given is not None and reject.left_out:
            return given, True
        original = self._original(reject)
        value = given
        if value is None:
            value = original if self._plan.repair is None else self._plan.repair(reject.id, original)
        if value == original and self._is_certain_to_return(reject):
            raise SchemaError(
                f"unchanged it would be rejected again ({reject.record.code}): repair it, or use --force if the job's "
                "settings have changed since"
            )
        return value, value != original

    def _is_certain_to_return(self, reject: SetAside) -> bool:
        """Whether it would be rejected again as it is; another topic has another job."""
        return not (reject.record.retriable or self._plan.force or self._plan.to != self._plan.origin.topic)

    def _original(self, reject: SetAside) -> bytes | None:
        record = reject.record
        if not reject.left_out:
            return record.value
        if record.row >= 0:
            raise SchemaError(
                "a row too large for the rejects topic: its record is not sent again, its other rows are counted"
            )
        return self._originals.value(record)

    def _partition(self, partition: int) -> int:
        # Another topic may have fewer: records of a partition stay together and in order.
        places = self._plan.partitions
        return partition if partition in places else places[partition % len(places)]

    def _check_partition(self, partition: int) -> None:
        if partition not in self._plan.partitions and self._plan.to == self._plan.origin.topic:
            raise SchemaError(f"topic {self._plan.to!r} has no partition {partition} any more")

    def _send(self, reject: SetAside, value: bytes | None, repaired: bool) -> None:
        record = reject.record
        self._writer.send(
            self._plan.to,
            record.key,
            value,
            [*record.headers, (REPLAYED_FROM, reject.id.encode())],
            partition=self._partition(record.partition),
            timestamp_ms=record.timestamp_ms if record.timestamp_ms >= 0 else None,
        )
        self._unsure.append((reject, repaired))

    def _send_alone(self, reject: SetAside, value: bytes | None, repaired: bool) -> None:
        self.finish()
        try:
            self._send(reject, value, repaired)
            self._writer.flush()
        except SinkError as error:
            self._unsure.clear()
            self._leave(reject, str(error))
        self.finish()

    def _add(self, reject: SetAside, repaired: bool) -> None:
        self.count.replayed += 1
        self.count.events += reject.record.events
        self.count.repaired += repaired

    def _leave(self, reject: SetAside, why: str) -> None:
        self._on_left(reject.id, f"not replayed: {why}")
        self.count.left += 1
