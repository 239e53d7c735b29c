"""What became of what receivers were told, as metrics of `sparsewatch notify`."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from sparsewatch.schemas.metrics import NOTIFY_FAILED, NOTIFY_REFUSED, NOTIFY_SENT, NOTIFY_WAITING


@dataclass(slots=True)
class Tally:
    """Of one receiver."""

    sent: int = 0
    #: For good.
    refused: int = 0
    #: Tries that failed, to tell it or to mark what it took.
    failed: int = 0


class Tallied(Protocol):
    """Tells a receiver, and counts."""

    @property
    def receiver(self) -> str:
        """Its name, or its host and port."""

    @property
    def tally(self) -> Tally:
        """What became of what it was told."""

    @property
    def waiting(self) -> int:
        """What it has not taken yet."""


class TallyCollector:
    """Series of all receivers, as prometheus_client asks for them.

    Args:
        senders: Of whom each receiver may have several, one a job.
    """

    def __init__(self, senders: Sequence[Tallied]) -> None:
        self._senders = senders

    def collect(self) -> Iterable[Metric]:
        """The series, summed by receiver."""
        sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for one in self._senders:
            counts = (one.tally.sent, one.tally.refused, one.tally.failed, one.waiting)
            sums[one.receiver] = [before + more for before, more in zip(sums[one.receiver], counts, strict=True)]
        for place, declared in enumerate((NOTIFY_SENT, NOTIFY_REFUSED, NOTIFY_FAILED, NOTIFY_WAITING)):
            kind = CounterMetricFamily if declared.kind == "counter" else GaugeMetricFamily
            family = kind(declared.name, declared.help, labels=declared.labels)
            for receiver, counted in sums.items():
                family.add_metric([receiver], counted[place])
            yield family
