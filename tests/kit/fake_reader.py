"""A reader over lists, for what needs no broker. Keys are the offset as text."""

from collections.abc import Mapping, Sequence

from sparsewatch.schemas.errors import SourceError
from sparsewatch.transforms.records import Fetched


def fetched(partition: int, first: int, values: Sequence[bytes | None], timestamp_ms: int = 0) -> Fetched:
    """A run of records without headers."""
    offsets = list(range(first, first + len(values)))
    return Fetched(
        partition=partition,
        offsets=offsets,
        timestamps_ms=[timestamp_ms] * len(values),
        values=list(values),
        headers=[()] * len(values),
        keys=lambda i: str(offsets[i]).encode(),
        next_offset=first + len(values),
    )


class FakeReader:
    """Gives what it holds, `step` records a fetch and partition; `away` makes it a broker that does not answer."""

    def __init__(self, topic: Mapping[int, Sequence[bytes | None]], step: int = 1000) -> None:
        self.topic = topic
        self.step = step
        self.away = False
        self.positions: dict[int, int] = {}

    def assign(self, positions: Mapping[int, int]) -> None:
        """See the protocol."""
        self.positions = dict(positions)

    def fetch(self, timeout_s: float, max_records: int) -> list[Fetched]:
        """See the protocol; never waits."""
        del timeout_s
        runs = []
        for partition, position in self.positions.items():
            values = self.topic[partition][position : position + min(self.step, max_records)]
            if values and not self.away:
                runs.append(fetched(partition, position, values))
                self.positions[partition] += len(values)
        return runs

    def end_offsets(self) -> dict[int, int]:
        """See the protocol."""
        if self.away:
            raise SourceError("the broker is away")
        return {p: len(self.topic[p]) for p in self.positions}

    def begin_offsets(self) -> dict[int, int]:
        """See the protocol."""
        return dict.fromkeys(self.positions, 0)

    def offsets_at(self, timestamp_ms: int) -> dict[int, int]:
        """See the protocol."""
        del timestamp_ms
        return self.end_offsets()

    def close(self) -> None:
        """See the protocol."""
