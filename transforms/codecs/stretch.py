"""A stretch of event time of decoded events."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pyarrow as pa

from sparsewatch.schemas.block import EVENT_TIME_US, OFFSET, PARTITION
from sparsewatch.schemas.errors import ConfigError
from sparsewatch.schemas.units import parse_moment_us
from sparsewatch.transforms.codecs.decode import Decoded
from sparsewatch.transforms.codecs.wrong_cells import taken


@dataclass(frozen=True, slots=True)
class Stretch:
    """Event times from one moment to another, microseconds since the epoch; the end is exclusive, None is open."""

    since_us: int | None = None
    until_us: int | None = None

    @classmethod
    def parse(cls, since: str | None, until: str | None) -> Self:
        """As the options `--since` and `--until` give it, ISO-8601.

        Raises:
            ConfigError: If one is no time, or the stretch is empty.
        """
        moments: list[int | None] = []
        for option, text in (("--since", since), ("--until", until)):
            try:
                moments.append(None if text is None else parse_moment_us(text))
            except ConfigError as error:
                raise ConfigError(f"{option}: {error}") from error
        first, last = moments
        if first is not None and last is not None and last <= first:
            raise ConfigError(f"--until: expected a time behind --since {since}, got {until}")
        return cls(first, last)

    @property
    def is_all(self) -> bool:
        """Whether it has neither begin nor end."""
        return self.since_us is None and self.until_us is None

    def holds(self, times_us: np.ndarray) -> np.ndarray:
        """Which event times are of it, bool of the same shape."""
        inside = np.ones(len(times_us), bool)
        if self.since_us is not None:
            inside &= times_us >= self.since_us
        if self.until_us is not None:
            inside &= times_us < self.until_us
        return inside

    def of(self, decoded: Decoded) -> Decoded:
        """The events of the stretch, and those rejects that lie between events of it in their partition.

        A reject has no time: where a batch holds no event of the stretch, its rejects are not of it.
        """
        if self.is_all:
            return decoded
        inside = self.holds(decoded.rows.column(EVENT_TIME_US).to_numpy())
        return decoded if inside.all() and len(inside) else _only(decoded, inside)


def _only(decoded: Decoded, inside: np.ndarray) -> Decoded:
    stay = np.flatnonzero(inside)
    partitions = decoded.rows.column(PARTITION).to_numpy()[stay]
    offsets = decoded.rows.column(OFFSET).to_numpy()[stay]
    spans = {
        partition: (offsets[partitions == partition].min(), offsets[partitions == partition].max())
        for partition in np.unique(partitions).tolist()
    }
    return replace(
        decoded,
        rows=decoded.rows.filter(pa.array(inside)),
        records=decoded.records[stay],
        timestamps_ms=decoded.timestamps_ms[stay],
        wrong=taken(decoded.wrong, stay, len(inside)),
        rejects=[
            reject
            for reject in decoded.rejects
            if reject.partition in spans and spans[reject.partition][0] <= reject.offset <= spans[reject.partition][1]
        ],
    )
