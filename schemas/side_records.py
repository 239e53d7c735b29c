"""Records set aside, with their original bytes: rejects (cannot be used) and late records (their window has closed)."""

from typing import Literal

import msgspec

from sparsewatch.schemas.block import source_name

SideKind = Literal["reject", "late"]


class SideRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One record, or the rows of a many-event record, on its way to the rejects or late topic."""

    kind: SideKind
    topic: str
    partition: int
    offset: int
    #: Kafka timestamp of the record in milliseconds since the epoch.
    timestamp_ms: int
    key: bytes | None
    #: The original bytes; of a many-event record only the rows concerned, encoded the same way.
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    #: Reason in snake case: `broken_json`, `wrong_type`, `missing_value` … or `late`.
    code: str
    message: str
    #: Number of events; of a many-event record that could not be read, as its headers state it, or 1.
    events: int = 1
    #: Position of the first row concerned inside a many-event record; -1 for the whole record.
    row: int = -1
    #: True if the fault is ours and a replay can succeed unchanged; False if the record must be repaired.
    retriable: bool = False
    #: Of its partition, see `schemas.block.source_name`.
    era: str = ""
    #: Id of the topic that its offset belongs to; empty if it is not known.
    topic_id: str = ""

    @property
    def id(self) -> str:
        """Deterministic id: a record that is written twice has the same id both times."""
        return f"{source_name(self.topic, self.era)}/{self.partition}/{self.offset}/{self.row}/{self.code}"
