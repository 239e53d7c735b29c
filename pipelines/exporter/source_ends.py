"""Where the source topic of a job ends: what is behind there is not read yet, also while the job is down."""

import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing

from sparsewatch.schemas.alerts import MetricSample
from sparsewatch.schemas.jobs import KafkaSettings
from sparsewatch.schemas.metrics import PARTITION_END
from sparsewatch.transforms.kafka.follow_topic import PATIENCE, Patience
from sparsewatch.transforms.kafka.open import open_quick_reader

_logger = logging.getLogger(__name__)
#: No record is read.
_MAX_BYTES = 1 << 16


class SourceEnds:
    """Asks the broker for the ends of a topic; `follow` is meant for a thread of its own.

    Args:
        kafka: The broker.
        job: Whose source it is.
        topic: The source.
        patience: How often it asks.
    """

    def __init__(self, kafka: KafkaSettings, job: str, topic: str, patience: Patience = PATIENCE) -> None:
        self._kafka, self._job, self._topic, self._patience = kafka, job, topic, patience
        #: What was answered last; empty while there is no answer.
        self.newest: Sequence[MetricSample] = ()
        self._said = ""

    def follow(self, stop: threading.Event) -> None:
        """Ask until told to stop."""
        while not stop.is_set():
            try:
                self.newest = end_samples(self._job, self._ends())
                self._said = ""
            except Exception as error:  # noqa: BLE001  whatever a client raises: the job's own series go on
                self.newest = ()
                if str(error) != self._said:
                    _logger.warning("the ends of topic %r cannot be asked for: %s", self._topic, error)
                    self._said = str(error)
            stop.wait(self._patience.check_s)

    def _ends(self) -> dict[int, int]:
        # A reader that stays open would state what it saw at first where a broker tells the start of the last batch.
        with closing(open_quick_reader(self._kafka, self._topic, _MAX_BYTES)) as reader:
            reader.assign(dict.fromkeys(reader.partitions(), 0))
            return reader.end_offsets()


def end_samples(job: str, ends: Mapping[int, int]) -> list[MetricSample]:
    """Samples of the offset behind the last record of each partition."""
    return [PARTITION_END.sample(end, job=job, partition=str(p)) for p, end in sorted(ends.items())]
