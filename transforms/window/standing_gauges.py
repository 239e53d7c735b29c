"""Gauges of a window stand until the next window: what the next one does not state is withdrawn.

The newest sample of a key stands in a compacted topic for ever, and so on the exporter's page. A feature that is no
longer among the best, a pattern of which no wafer came, a stream that has stopped: their gauges would state the past as
the present. A record without a value withdraws a series. After a restart the topic tells what an earlier run left.
"""

from collections.abc import Iterable

import msgspec

from sparsewatch.schemas.alerts import SAMPLE, MetricSample
from sparsewatch.schemas.errors import StateError
from sparsewatch.schemas.jobs import JobIdentity
from sparsewatch.transforms.kafka.compacted import Compacted
from sparsewatch.transforms.kafka.presence import patiently

_MAX_RECORD_BYTES = 1 << 20


class StandingGauges:
    """The gauges of the last window of a job that stand in its metrics topic; connects at the first window.

    Args:
        identity: The job.
    """

    def __init__(self, identity: JobIdentity) -> None:
        self._identity = identity
        self._keys: set[str] | None = None

    def forget(self) -> None:
        """Read the topic again before the next window: another instance may have written."""
        self._keys = None

    def of_window(self, samples: Iterable[MetricSample]) -> dict[str, MetricSample | None]:
        """Samples of a window by key, and None for each gauge of the window before that it does not state.

        Args:
            samples: With the label of the job.

        Raises:
            SourceError: If the broker does not answer.
        """
        new = {sample.key: msgspec.structs.replace(sample, of_window=True) for sample in samples}
        standing = patiently(self._standing) if self._keys is None else self._keys
        self._keys = {key for key, sample in new.items() if sample.kind == "gauge"}
        return {**dict.fromkeys(sorted(standing - new.keys())), **new}

    def _standing(self) -> set[str]:
        own = self._identity
        with Compacted(own.kafka, own.topics.metrics, _MAX_RECORD_BYTES) as records:
            return {key.decode() for key, value in records.newest().items() if _is_of_window(value, own.job)}


def _is_of_window(value: bytes, job: str) -> bool:
    try:
        sample = SAMPLE.parse(value, MetricSample)
    except StateError:
        # Not ours to withdraw; the exporter counts it.
        return False
    return sample.of_window and sample.kind == "gauge" and sample.labels.get("job") == job
