"""Small polls merged into one batch: a poll returns what has arrived, often a few hundred records of one partition."""

import time
from collections.abc import Callable, Mapping, Sequence

from transforms.kafka.client import Fetched, Reader

_POLL_S = 0.1


def fetch_batch(reader: Reader, max_records: int, gather_s: float) -> list[Fetched]:
    """Up to `max_records` records, gathered for at most `gather_s` seconds; one entry a partition."""
    runs: dict[int, list[Fetched]] = {}
    count, end = 0, time.monotonic() + gather_s
    while count < max_records and (left := end - time.monotonic()) > 0:
        for fetched in reader.fetch(min(_POLL_S, left), max_records - count):
            runs.setdefault(fetched.partition, []).append(fetched)
            count += len(fetched.offsets)
    return [merge(runs[partition]) for partition in sorted(runs)]


def merge(runs: Sequence[Fetched]) -> Fetched:
    """Runs of one partition, in order, as one."""
    if len(runs) == 1:
        return runs[0]
    return Fetched(
        partition=runs[0].partition,
        offsets=[x for run in runs for x in run.offsets],
        timestamps_ms=[x for run in runs for x in run.timestamps_ms],
        values=[x for run in runs for x in run.values],
        headers=[x for run in runs for x in run.headers],
        keys=_key_of(runs),
        next_offset=runs[-1].next_offset,
    )


def _key_of(runs: Sequence[Fetched]) -> Callable[[int], bytes | None]:
    def key(i: int) -> bytes | None:
        for run in runs:
            if i < len(run.offsets):
                return run.keys(i)
            i -= len(run.offsets)
        raise IndexError(i)

    return key


def stop_before(fetched: Sequence[Fetched], stop: Mapping[int, int]) -> list[Fetched]:
    """Only what lies before the stop offset of its partition."""
    return [_cut(f, stop[f.partition]) for f in fetched]


def _cut(fetched: Fetched, stop: int) -> Fetched:
    if fetched.next_offset <= stop:
        return fetched
    n = sum(offset < stop for offset in fetched.offsets)
    return Fetched(
        partition=fetched.partition,
        offsets=fetched.offsets[:n],
        timestamps_ms=fetched.timestamps_ms[:n],
        values=fetched.values[:n],
        headers=fetched.headers[:n],
        keys=fetched.keys,
        next_offset=stop,
    )
