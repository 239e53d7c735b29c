"""Records of the source topic that show an incident, as the broker has them."""

from collections.abc import Sequence
from contextlib import closing
from typing import Any, NamedTuple

import msgspec

from sparsewatch.pipelines.job.ready import Ready
from sparsewatch.pipelines.records.reading import Record
from sparsewatch.transforms.kafka.open import open_quick_reader
from sparsewatch.transforms.records import Fetched

#: Records of an incident that are named, and other things that an alert lists.
MOST_LISTED = 10
_FETCH_S, _PATIENCE = 3.0, "5s"


class Original(NamedTuple):
    """A record of the source topic."""

    partition: int
    offset: int
    #: The run of records that begins with it; None if the broker no longer has it.
    fetched: Fetched | None

    @property
    def value(self) -> bytes | None:
        """Its bytes; None if it is gone."""
        return None if self.fetched is None else self.fetched.values[0]

    @property
    def text(self) -> str:
        """Its value as text, as far as it is."""
        return "" if self.value is None else self.value.decode(errors="backslashreplace")


def listed(evidence: Record, key: str) -> list[Record]:
    """Objects that an alert's evidence lists under a key."""
    found = evidence.get(key)
    return [one for one in found if isinstance(one, dict)][:MOST_LISTED] if isinstance(found, list) else []


def offsets_of(evidence: Record) -> list[tuple[int, int]]:
    """Partition and offset of records that show what an alert says."""
    found: list[Any] = list(evidence.get("sample_offsets") or ())
    for key in ("examples", "worst"):
        found += [(one["partition"], one["offset"]) for one in listed(evidence, key) if "offset" in one]
    return list(dict.fromkeys((int(partition), int(offset)) for partition, offset in found))[:MOST_LISTED]


def originals(made: Ready, offsets: Sequence[tuple[int, int]]) -> list[Original]:
    """Records of a job's source topic.

    Args:
        made: The job.
        offsets: Their partitions and offsets.

    Raises:
        SourceError: If the broker does not answer.
    """
    if not offsets:
        return []
    # A person waits for it.
    kafka = msgspec.structs.replace(made.job.kafka, timeout=_PATIENCE)
    with closing(open_quick_reader(kafka, made.topics.source, made.events.max_record_bytes)) as reader:
        return [_original(reader, partition, offset) for partition, offset in offsets]


def _original(reader: Any, partition: int, offset: int) -> Original:
    reader.assign({partition: offset})
    if not reader.begin_offsets()[partition] <= offset < reader.end_offsets()[partition]:
        return Original(partition, offset, None)
    for fetched in reader.fetch(_FETCH_S, 1):
        if len(fetched) and fetched.offsets[0] == offset:
            return Original(partition, offset, fetched.before(offset + 1))
    return Original(partition, offset, None)
