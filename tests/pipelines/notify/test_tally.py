"""What receivers took is exported as it is declared."""

from dataclasses import dataclass, field

from sparsewatch.pipelines.notify.tally import Tally, TallyCollector
from sparsewatch.schemas.metrics import METRICS


@dataclass
class Sender:
    receiver: str
    tally: Tally = field(default_factory=Tally)
    waiting: int = 0


def test_series_are_those_declared_summed_by_receiver() -> None:
    senders = [Sender("a", Tally(1, 2, 3), 4), Sender("b"), Sender("a", Tally(10, 20, 30), 40)]
    found = {s.name: (dict(s.labels), s.value) for f in TallyCollector(senders).collect() for s in f.samples[:1]}
    assert found == {
        "sparsewatch_notify_sent_total": ({"receiver": "a"}, 11),
        "sparsewatch_notify_refused_total": ({"receiver": "a"}, 22),
        "sparsewatch_notify_failed_total": ({"receiver": "a"}, 33),
        "sparsewatch_notify_waiting": ({"receiver": "a"}, 44),
    }
    assert set(found) == {metric.name for metric in METRICS if metric.of == ("notify",)}
    assert [len(family.samples) for family in TallyCollector(senders).collect()] == [2] * 4
